"""Weight maps: YAML files, which users can edit, from the weights of a network to the tensors of a checkpoint.

    weights:
      conv1.weight: backbone.stem.conv.weight

`propose` creates a map from the layers of both sides, and lists what it could not decide. `use` checks a map against
the network and the checkpoint (E408) and returns the network's tensors. Tensors that the map does not name are not
used.
"""

import json
import re
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cnnc.diagnostics import CnncError, Code, Diagnostic, Note, Span
from cnnc.diagnostics.suggestions import did_you_mean
from cnnc.graph.graph import Graph
from cnnc.text.reader import parse_text
from cnnc.text.source import read as read_text
from cnnc.text.value import Value
from cnnc.weights.layers import COUNTER, Layer, Shape, ancestors, layers_of, squeezed
from cnnc.weights.match import match_layers, pair_by_order
from cnnc.weights.mismatch import size

if TYPE_CHECKING:
    from torch import Tensor

SHOWN = 10
_PLAIN = re.compile(r"[A-Za-z_][\w.-]*\.[\w.-]*\w|(?!(?i:true|false|null|yes|no|on|off|nan|inf)$)[A-Za-z_][\w-]*")


@dataclass(frozen=True)
class Proposal:
    """A map as far as it is certain; for each undecided layer, the candidate layers of the checkpoint.

    `by_order` are the keys in the map that were matched by order alone.
    """

    map: Mapping[str, str]
    undecided: tuple[tuple[Layer, list[Layer]], ...]
    unused: tuple[tuple[str, Shape], ...]
    by_order: frozenset[str] = frozenset()

    def as_yaml(self, about: str) -> str:
        """Return the file's text; candidates for undecided layers are comments, one per line."""
        lines = [
            f"# {about}",
            "weights:",
            *(
                f"  {_written(ours)}: {_written(theirs)}{'  # by order' * (ours in self.by_order)}"
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


_COMPLETE = "remove the `#` before the right candidates, or add lines of `NETWORK KEY: TENSOR NAME`"


def _bad(message: str, span: Span, help: str | None) -> Diagnostic:
    return Diagnostic(Code.BAD_WEIGHT_MAP, message, span, help=help)


def propose(
    graph: Graph, shapes: Mapping[str, Shape], theirs: list[Layer], *, ordered: bool, by_order: bool = False
) -> Proposal:
    """Propose a map for a network and its state_dict's shapes; `ordered`: `theirs` are in their network's order.

    `by_order`: pair what is left by that order.
    """
    ours = layers_of(graph, shapes)
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
    return Proposal(found, undecided, unused, marked)


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


def read_map(path: Path) -> Value:
    """Return the `weights` of a map file; raises E1xx if the YAML is invalid, E408 if it is not a map."""
    root = parse_text(read_text(path))
    assert isinstance(root.data, dict)
    found = root.data.get("weights")
    faults = [_bad(f"a map has no key `{key}`", root.keys[key], None) for key in root.data if key != "weights"]
    if found is not None and found.data is None:
        faults.append(_bad("the map is empty: `weights` has no lines yet", found.span, _COMPLETE))
        raise CnncError(faults)
    if found is None or not isinstance(found.data, dict):
        faults.append(_bad("a map must have `weights`, with lines of `NETWORK KEY: TENSOR NAME`", root.span, None))
        raise CnncError(faults)
    for key, value in found.data.items():
        if not isinstance(value.data, str):
            faults.append(_bad(f"`{key}` needs the name of a tensor", value.span, "put a name of digits in quotes"))
    if faults:
        raise CnncError(faults)
    return found


def names(map: Value) -> set[str]:
    """Return the names of the checkpoint's tensors in a map."""
    assert isinstance(map.data, dict)
    return {str(value.data) for value in map.data.values()}


def use(
    map: Value,
    checkpoint: Path,
    tensors: "Mapping[str, Tensor]",
    expected: Mapping[str, Shape],
    *,
    shared: bool,
    drawn: AbstractSet[str] = frozenset(),
) -> "dict[str, Tensor]":
    """Return the network's tensors by its keys; raises E408. `shared`: a tensor may be several weights, as in ONNX.

    `drawn` are keys of the network that are not needed: the map may name them.
    """
    assert isinstance(map.data, dict)
    faults: list[Diagnostic] = []
    found: dict[str, Tensor] = {}
    seen: dict[str, str] = {}
    for key, value in map.data.items():
        name = str(value.data)
        tensor = tensors.get(name)
        if key in drawn:
            continue
        if key not in expected:
            faults.append(_bad(f"the network has no `{key}`", map.keys[key], did_you_mean(key, expected)))
        elif tensor is None:
            faults.append(_bad(f"{checkpoint} has no `{name}`", value.span, did_you_mean(name, tensors)))
        elif squeezed(tuple(tensor.shape)) != squeezed(expected[key]):
            shapes = f"`{name}` is {size(tuple(tensor.shape))}, `{key}` is {size(expected[key])}"
            faults.append(_bad(shapes, value.span, None))
        elif name in seen and not shared:
            faults.append(
                _bad(f"`{name}` is already used for `{seen[name]}`", value.span, "use each tensor for one weight")
            )
        else:
            seen[name] = key
            found[key] = tensor.reshape(expected[key])
    missing = [key for key in expected if key not in map.data and key.rpartition(".")[2] != COUNTER]
    if missing:
        listed = ", ".join(f"`{key}`" for key in missing[:SHOWN])
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        faults.append(_bad(f"the map lacks {listed}{more}", map.span, "`cnnc weights` proposes a map with candidates"))
    if faults:
        raise CnncError(faults)
    return found
