"""Propose a map from the weights of a network to the tensors of a checkpoint, and write it as YAML.

Takes the graph and the layers of both sides; returns the pairs that are certain, and lists what is not. If a layer of
the checkpoint has a bias that the network's has not, the batch norm after it takes it over: a norm subtracts its mean,
and with it any bias.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cnnc.diagnostics import CnncError, Code, Note
from cnnc.graph.graph import Graph, Node
from cnnc.weights.layers import COUNTER, Layer, Shape, ancestors, layers_of, squeezed
from cnnc.weights.match import match_layers, pair_by_order
from cnnc.weights.mismatch import size

SHOWN = 10
_PLAIN = re.compile(r"[A-Za-z_][\w.-]*\.[\w.-]*\w|(?!(?i:true|false|null|yes|no|on|off|nan|inf)$)[A-Za-z_][\w-]*")


@dataclass(frozen=True)
class Proposal:
    """A map as far as it is certain; for each undecided layer, the candidate layers of the checkpoint.

    `by_order` are the keys in the map that were matched by order alone. `minus` has the biases that are subtracted from
    running means, by their keys.
    """

    map: Mapping[str, str]
    undecided: tuple[tuple[Layer, list[Layer]], ...]
    unused: tuple[tuple[str, Shape], ...]
    by_order: frozenset[str] = frozenset()
    minus: Mapping[str, str] = field(default_factory=dict)

    def as_yaml(self, about: str) -> str:
        """Return the file's text; candidates for undecided layers are comments, one per line."""
        lines = [
            f"# {about}",
            "weights:",
            *(
                f"  {_written(ours)}: {self._tensor(ours, theirs)}{'  # by order' * (ours in self.by_order)}"
                for ours, theirs in self.map.items()
            ),
        ]
        if self.undecided:
            lines += ["", "# Undecided. Uncomment the right lines."]
        for ours, candidates in self.undecided:
            lines += _candidates(ours, candidates)
        if self.unused:
            lines += ["", "# Not used:", *(f"#   {key} {size(shape)}" for key, shape in self.unused)]
        return "\n".join(lines) + "\n"

    def _tensor(self, ours: str, theirs: str) -> str:
        bias = self.minus.get(ours)
        return _written(theirs) if bias is None else f"{{tensor: {_written(theirs)}, minus: {_written(bias)}}}"

    def require_decided(self, checkpoint: Path) -> None:
        """Raise E407 if anything is undecided."""
        if not self.undecided:
            return
        notes = [Note(f"{ours.name}: {_what(ours, found)}") for ours, found in self.undecided]
        if len(notes) > SHOWN:
            notes[SHOWN:] = [Note(f"… and {len(notes) - SHOWN} more")]
        several = len(self.undecided) > 1
        raise CnncError.of(
            Code.WEIGHTS_UNDECIDED,
            f"{len(self.undecided)} layer{'s' * several} of the network cannot be matched for certain in {checkpoint}",
            notes=tuple(notes),
            help="choose among the candidates in the map's comments, or pair them by order with `--by-order`; then "
            "build with --weights and --map"
            if any(found for _, found in self.undecided)
            else "use weights of this network; if they belong to other `params`, set these with --set",
        )


def propose(
    graph: Graph, shapes: Mapping[str, Shape], theirs: list[Layer], *, ordered: bool, by_order: bool = False
) -> Proposal:
    """Propose a map for a network and its state_dict's shapes; `ordered`: `theirs` are in their network's order.

    `by_order`: pair what is left by that order.
    """
    ours = layers_of(graph, shapes)
    sizes = {key: each.shapes[role] for each in theirs for role, key in each.keys.items()}
    theirs, biases = without_biases(graph, ours, theirs)
    before = ancestors(graph, ours)
    pairs, groups = match_layers(ours, theirs, before, ordered=ordered)
    guessed = pair_by_order(ours, theirs, before, groups) if by_order and ordered else {}
    left = {each.name: group[1] for group in groups for each in group[0] if each.name not in guessed}
    pairs |= guessed
    found = {
        each.keys[role]: pairs[each.name].keys[role]
        for each in ours
        if each.name in pairs
        for role in each.keys
        if role in pairs[each.name].keys
    }
    taken = set(found.values())
    free = {key: each.shapes[role] for each in theirs for role, key in each.keys.items() if key not in taken}
    undecided = tuple((each, left[each.name] or _tensors(each, free)) for each in ours if each.name in left)
    offered = {key for _, candidates in undecided for each in candidates for key in each.keys.values()}
    unused = tuple((key, shape) for key, shape in free.items() if key not in offered)
    marked = frozenset(key for each in ours if each.name in guessed for key in each.keys.values())
    norms = norms_after(graph)
    minus = {
        f"{norms[mine]}.running_mean": biases[its.name]
        for mine, its in pairs.items()
        if its.name in biases and norms[mine] in pairs
    }
    unused += tuple((key, sizes[key]) for key in biases.values() if key not in minus.values())
    return Proposal(found, undecided, unused, marked, minus)


def without_biases(graph: Graph, ours: list[Layer], theirs: list[Layer]) -> tuple[list[Layer], dict[str, str]]:
    """Return the checkpoint's layers without the biases that a batch norm of the network can take over, and these.

    Keras' residual networks have such biases: the norm after a layer subtracts its mean, and with it any bias. They are
    returned by the name of their layer.
    """
    norms = norms_after(graph)
    foldable = {each.kind for each in ours if each.name in norms and "bias" not in each.keys}
    foldable -= {_bare(each).kind for each in ours if each.name not in norms or "bias" in each.keys}
    found = {each.name: each.keys["bias"] for each in theirs if "bias" in each.keys and _bare(each).kind in foldable}
    return [_bare(each) if each.name in found else each for each in theirs], found


def _bare(layer: Layer) -> Layer:
    """Return the layer without its bias."""
    roles = [role for role in layer.keys if role != "bias"]
    return Layer(layer.name, {role: layer.keys[role] for role in roles}, {role: layer.shapes[role] for role in roles})


def norms_after(graph: Graph) -> dict[str, str]:
    """Return the batch norm that alone takes the output of each other node, by the keys of both."""
    users: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for ref in node.inputs:
            users.setdefault(ref.node, []).append(node)
    shared = {node.shares for node in graph.nodes} | {each.ref.node for each in graph.outputs}
    alone = {path: found[0] for path, found in users.items() if len(found) == 1 and path in graph.node}
    return {
        graph.node[path].keys: user.keys
        for path, user in alone.items()
        if user.op.name == "batch_norm" and not {path, graph.node[path].keys, user.keys} & shared
    }


def _tensors(ours: Layer, free: Mapping[str, Shape]) -> list[Layer]:
    """Return single tensors that fit a layer, each as a layer, because no layer of the checkpoint fits as a whole.

    Their names may end in words that are not known as roles, such as `kernel`.
    """
    return [
        Layer(key, {role: key}, {role: shape})
        for role, wanted in ours.shapes.items()
        if role != COUNTER
        for key, shape in free.items()
        if squeezed(shape) == squeezed(wanted)
    ]


def _candidates(ours: Layer, candidates: list[Layer]) -> Iterator[str]:
    yield f"# {ours.name}: {'one of' if candidates else 'no layer has its shapes'}"
    for each in candidates:
        for role, key in ours.keys.items():
            if role in each.keys:
                yield f"#  {_written(key)}: {_written(each.keys[role])}"


def _what(ours: Layer, candidates: list[Layer]) -> str:
    if not candidates:
        shapes = ", ".join(f"{role} {size(shape)}" for role, shape in ours.shapes.items() if role != COUNTER)
        return f"no layer has its shapes ({shapes})"
    names = ", ".join(each.name for each in candidates[:4])
    return f"may be {names}{f' and {len(candidates) - 4} others' if len(candidates) > 4 else ''}"


def _written(key: str) -> str:
    return key if _PLAIN.fullmatch(key) else json.dumps(key)
