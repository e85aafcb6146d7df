"""Ways to use weights whose shapes do not fit a network: `--fresh` for its last layers, `--set` for its parameters.

Takes a graph and a `Mismatch`; returns a help line, or None. What it proposes has been tried: with it, the weights fit.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import product
from shlex import quote

from cnnc.diagnostics import CnncError, listed
from cnnc.expand.prove import prove
from cnnc.graph.graph import Graph
from cnnc.language.parse import parse
from cnnc.text.python_data import from_data, overrides
from cnnc.text.reader import parse_text
from cnnc.weights.layers import ancestors, layers, layers_of
from cnnc.weights.mismatch import Mismatch, size
from cnnc.weights.patterns import all_selected, around, names_of

MOST = 6  # patterns in a proposal
MOST_SETTINGS = 20  # values of parameters that are tried
UNITS = {  # of the first two axes of a weight
    "conv": ("output channels", "input channels per group"),
    "conv_transpose": ("input channels", "output channels per group"),
    "linear": ("output features", "input features"),
}


def for_training(graph: Graph, mismatch: Mismatch) -> str | None:
    """Return help for `cnnc train`: the options `--fresh` with which it can start from the weights."""
    found = fresh_for(graph, mismatch)
    if found is None:
        return _what_differs(graph, mismatch)
    kept = len(mismatch.expected.keys() - _drawn(graph, mismatch, found))
    return f"`{_options(found)}` {_effect(graph, mismatch, found)}, and takes the other {kept} tensors from the file"


def for_use(graph: Graph, mismatch: Mismatch) -> str | None:
    """Return help for commands that only use the weights: the parameters with which the network has these shapes."""
    setting, fresh = _setting_for(graph, mismatch), fresh_for(graph, mismatch)
    ways = [f"`--set {setting}` makes the network that of the file"] if setting else []
    if fresh is not None:
        ways.append(f"`cnnc train SPEC --weights {mismatch.path} {_options(fresh)}` trains this one from the file")
    return ", or ".join(ways) or _what_differs(graph, mismatch)


def _options(patterns: Iterable[str]) -> str:
    return " ".join(f"--fresh {quote(each)}" for each in patterns)


def fresh_for(graph: Graph, mismatch: Mismatch) -> list[str] | None:
    """Return the patterns of `--fresh` with which the other weights fit; None if more than the last layers differ.

    Every layer after one of another shape must be drawn anew as well, because it has learned from its outputs. Layers
    that the file lacks may be anywhere: the user has added them.
    """
    ours = layers_of(graph, mismatch.expected)
    differing = {graph.owner(key) for key in (*mismatch.missing, *mismatch.misshapen)}
    names = [each.name for each in ours if each.name in {graph.node[path].keys for path in differing if path}]
    if len(names) >= len(ours):
        return None
    before = ancestors(graph, ours)
    bits = sum(1 << index for index, each in enumerate(ours) if each.name in names)
    if mismatch.misshapen and any(before[each.name] & bits and each.name not in names for each in ours):
        return None
    only = [each.name for each in layers({key: mismatch.found[key] for key in mismatch.unexpected})]
    patterns = [*_scopes(names, mismatch.expected), *_scopes(only, mismatch.found)]
    patterns = [*dict.fromkeys(patterns)]
    return patterns if 0 < len(patterns) <= MOST and _fits(graph, mismatch, patterns) else None


def _scopes(names: Iterable[str], keys: Iterable[str]) -> list[str]:
    """Return the outermost paths that contain only these layers."""
    inside: dict[str, set[str]] = defaultdict(set)
    for key in keys:
        for scope in around(key):
            inside[scope].add(key)
    chosen = [*names]
    own = {key for name in chosen for key in inside[name]}
    return [*dict.fromkeys(next(each for each in around(name) if inside[each] <= own) for name in chosen)]


def _fits(graph: Graph, mismatch: Mismatch, patterns: list[str]) -> bool:
    """Whether nothing else differs once these patterns are fresh."""
    drawn = _drawn(graph, mismatch, patterns)
    ours, theirs = (
        {key: shape for key, shape in shapes.items() if key not in drawn}
        for shapes in (mismatch.expected, mismatch.found)
    )
    return ours == theirs and bool(ours)


def _drawn(graph: Graph, mismatch: Mismatch, patterns: list[str]) -> frozenset[str]:
    names = {key: around(key) for key in mismatch.found} | dict(names_of(graph, mismatch.expected))
    return all_selected(names, patterns)


def _effect(graph: Graph, mismatch: Mismatch, patterns: list[str]) -> str:
    """Describe what the patterns draw anew, and what of the file they leave out."""
    names = names_of(graph, mismatch.expected)
    anew = [f"`{each}`" for each in patterns if all_selected(names, [each])]
    others = [f"`{each}`" for each in patterns if f"`{each}`" not in anew]
    effects = [f"draws {listed(anew)} anew"] * bool(anew) + [f"leaves out {listed(others)} of the file"] * bool(others)
    return ", ".join(effects)


def _setting_for(graph: Graph, mismatch: Mismatch) -> str | None:
    """Return `NAME=VALUE` for a parameter of the spec with which its network has the shapes of the file."""
    sizes = [zip(mismatch.expected[key], mismatch.found[key], strict=False) for key in mismatch.misshapen]
    pairs = dict.fromkeys((ours, theirs) for each in sizes for ours, theirs in each if ours != theirs)
    params = {name: value for name, value in graph.spec.get("params", {}).items() if type(value) is int}
    tried = 0
    for (name, value), (ours, theirs) in product(params.items(), pairs):
        if value == ours and (tried := tried + 1) <= MOST_SETTINGS and _shapes_with(graph, name, theirs, mismatch):
            return f"{name}={theirs}"
    return None


def _shapes_with(graph: Graph, name: str, value: int, mismatch: Mismatch) -> bool:
    """Whether the network with this parameter has the shapes of the file."""
    from cnnc.targets import torch_module

    try:
        source = from_data(graph.spec)
        spec = parse(source, parse_text(source), lambda _: None)
        changed = None if spec is None else prove(spec, overrides({name: value}), lambda _: None)
    except CnncError:
        return False
    return changed is not None and torch_module.shapes(changed) == mismatch.found


def _what_differs(graph: Graph, mismatch: Mismatch) -> str | None:
    """Describe the layers of other shapes, if there are only such: their channels, features and kernels."""
    if mismatch.missing or mismatch.unexpected:
        return None
    words = [word for key in mismatch.misshapen for word in _differences(graph, key, mismatch)]
    more = f" and {len(words) - MOST} more" if len(words) > MOST else ""
    return f"set the spec's numbers to the file's: {', '.join(words[:MOST])}{more}" if words else None


def _differences(graph: Graph, key: str, mismatch: Mismatch) -> Iterator[str]:
    """Yield what differs in the weight of a convolution or linear layer: channels, features, kernel."""
    owner = graph.owner(key)
    op = graph.node[owner].op.name if owner else ""
    theirs, ours = mismatch.found[key], mismatch.expected[key]
    if op not in UNITS or not key.endswith(".weight") or len(theirs) != len(ours):
        return
    for unit, wanted, given in zip(UNITS[op], ours, theirs, strict=False):
        if wanted != given:
            yield f"`{owner}` has {given:,} {unit} in the file, {wanted:,} in the spec"
    if theirs[2:] != ours[2:]:
        yield f"`{owner}` has a kernel of {size(theirs[2:])} in the file, of {size(ours[2:])} in the spec"
