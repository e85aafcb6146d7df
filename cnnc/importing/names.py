"""The names of imported nodes: paths in the source (`layer1.0.conv1`), and names that a spec may use.

A path comes from a layer's weights (`layer1.0.conv1.weight`), from what torch's exporters note with a node, or from the
node's name (`/layer1/layer1.0/conv1/Conv`). Names that only count nodes (`Conv_12`) are no paths.
"""

import keyword
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cnnc.importing.values import NewNode
from cnnc.language.names import CONSTANTS, COUNTERS, TAKEN
from cnnc.recover import words

if TYPE_CHECKING:
    import onnx

SUFFIX = re.compile(
    r"(?:[./_](?:weight|bias|kernel|gamma|beta|w|W|b|B|scale|s|moving_mean|moving_variance|running_mean|running_var"
    r"|in_proj_weight|in_proj_bias)(?:_\d+)?(?::\d+)?(?:/read)?)$"
)
COUNTED = re.compile(
    r"^(?:(?:node_|n|node|val_|r|t|tensor_|OC2_DUMMY_|onnx::|[A-Z])?[A-Za-z]*[_:]*\d+|[A-Z][A-Za-z]*|)$"
)
WRAPPER = re.compile(r"gpu_\d+|model|module|_orig_mod|main_graph|torch_jit")
SCOPES = "pkg.torch.onnx.name_scopes"
SMALL = 3  # nodes
DEEPEST = 32  # scopes; a spec cannot be nested as deep
KEYWORDS = frozenset(keyword.kwlist)


def paths(nodes: Sequence[NewNode]) -> dict[NewNode, str]:
    """Return the path in the source of each node that has one, of at most DEEPEST scopes."""
    found = {made: _path(made) for made in nodes if made.op}
    scopes = _of_modules({made: path for made, path in found.items() if path and path.count(".") <= DEEPEST})
    scopes = _beside_layers(scopes)
    inner = _containers(scopes)
    named = {made: f"{path}.{made.op}" if path in inner else path for made, path in scopes.items()}
    return _without_prefix(_without_small({made: path.strip(".") for made, path in named.items()}))


def _of_modules(scopes: dict[NewNode, str]) -> dict[NewNode, str]:
    """Return the paths without the number that torch adds to a module's name if the module is called again."""
    ops = {(path, made.op) for made, path in scopes.items()}
    result = {}
    for made, path in scopes.items():
        first = re.sub(r"_\d+$", "", path)
        result[made] = first if (first, made.op) in ops else path
    return result


def _beside_layers(scopes: Mapping[NewNode, str]) -> dict[NewNode, str]:
    """Return the paths with nodes inside of a layer beside it, so that its weights keep their names in the module.

    Such are the activation in a module of a batch norm, and the padding in one of a convolution.
    """
    weighted = [(path, made) for made, path in scopes.items() if made.weights]
    around = Counter(path[:end] for path, _ in weighted for end in _ends(path))
    own = {path for path, made in weighted if any(name.rpartition(".")[0] == path for name in made.names)}
    layers = {path for path in own if not around[path] and len({m.op for p, m in weighted if p == path}) == 1}
    return {made: path if made.weights else _joined(path, made, layers) for made, path in scopes.items()}


def _joined(path: str, made: NewNode, layers: set[str]) -> str:
    layer = next((path[:end] for end in (*_ends(path), len(path)) if path[:end] in layers), None)
    if layer is None:
        return path
    return f"{layer}_{path[len(layer) + 1 :].replace('.', '_') or made.op}"


def _ends(path: str) -> list[int]:
    """Return where the scopes around a path end."""
    return [end for end, letter in enumerate(path) if letter == "."]


def _without_small(named: Mapping[NewNode, str]) -> dict[NewNode, str]:
    """Return the paths without scopes of few nodes that have no weights, such as a pool with its `flatten`."""
    counts = Counter(path[:end] for path in named.values() for end in _ends(path))
    weighted = {path[:end] for made, path in named.items() if made.weights for end in _ends(path)}
    found = {}
    for made, path in named.items():
        small = next((end for end in _ends(path) if counts[path[:end]] <= SMALL and path[:end] not in weighted), None)
        found[made] = path if small is None else path[:small] + path[small:].replace(".", "_")
    return found


def _containers(scopes: Mapping[NewNode, str]) -> set[str]:
    """Return the paths that contain several nodes, so that none of them has this path."""
    ops: dict[str, set[str]] = {}
    for made, path in scopes.items():
        ops.setdefault(path, set()).add(made.op)
    parents = {path[:end] for path in ops for end in _ends(path)}
    return {path for path, kinds in ops.items() if path in parents or len(kinds) > 1}


def _without_prefix(named: dict[NewNode, str]) -> dict[NewNode, str]:
    """Return the paths without a first part of all of them that only wraps the network."""
    first = {path.partition(".")[0] for path in named.values()}
    wrapped = len(first) == 1 and WRAPPER.fullmatch(next(iter(first)))
    if not wrapped or len(named) < 2 or not all("." in path for path in named.values()):
        return named
    return _without_prefix({made: path.partition(".")[2] for made, path in named.items()})


def _path(made: NewNode) -> str:
    """Return the path in the source.

    Torch's older exporter keeps one of several equal weights, so there the node's name comes first. Its newer one folds
    batch norms and then notes their path at the convolution, so there the weights' names come first.
    """
    node = made.origin
    if made.op in ("parameter", "scale") and made.names and not COUNTED.match(made.names[0]):
        return _dotted(made.names[0])
    if node is not None and node.name.startswith("/"):
        return _of_torch(node.name)
    for name in made.names:
        bare = SUFFIX.sub("", name)
        if made.op == "attention":
            bare = bare.removesuffix(".out_proj")
        if bare != name and bare and not bare.startswith("onnx::"):
            return _dotted(bare)
    noted = _noted(node) if node is not None else None
    if noted is not None:
        return noted
    return "" if node is None or COUNTED.match(node.name) else _dotted(node.name)


def _noted(node: "onnx.NodeProto") -> str | None:
    """Return the module's path as torch's newer exporter notes it: a list in which the last entry is the operator."""
    for each in node.metadata_props:
        if each.key == SCOPES:
            parts = re.findall(r"'([^']*)'", each.value)
            return parts[-2] if len(parts) > 1 else ""
    return None


def _of_torch(name: str) -> str:
    """Return the path in a name like `/layer1/layer1.0/conv1/Conv`, in which scopes repeat the one before."""
    path: list[str] = []
    for part in name.strip("/").split("/")[:-1]:
        if path and part.startswith(f"{path[-1]}."):
            path[-1] = part
        else:
            path.append(part)
    return ".".join(path)


def _dotted(name: str) -> str:
    return re.sub(r"[./]+", ".", name).strip(".")


def names(nodes: Sequence[NewNode], paths: Mapping[NewNode, str], taken: set[str]) -> dict[NewNode, str]:
    """Return a name for each node: its path with `_` for dots, or else its op with a number."""
    found: dict[NewNode, str] = {}
    used = set(taken)
    for made in nodes:
        if made in paths:
            found[made] = unused(clean(paths[made]), used)
    count: Counter[str] = Counter()
    for made in nodes:
        if made not in found:
            found[made] = _counted(made.op, count, used)
    return found


def _counted(op: str, count: "Counter[str]", used: set[str]) -> str:
    while True:
        count[op] += 1
        name = op if count[op] == 1 else f"{op}_{count[op]}"
        if name not in used:
            used.add(name)
            return name


def unused(name: str, used: set[str]) -> str:
    """Return the name, with a number if it is used already, and add it to those used."""
    found = words.unused(name, used)
    used.add(found)
    return found


def clean(name: str) -> str:
    """Return a name with only the characters that names in a spec may have, which expressions can use."""
    found = words.valid(name.replace("-", "_"))
    bad = found in TAKEN["a node"] | CONSTANTS | COUNTERS.keys() | KEYWORDS
    return f"{found}_1" if bad else found
