"""Weight maps: YAML files, which users can edit, from the weights of a network to the tensors of a checkpoint.

    weights:
      conv1.weight: backbone.stem.conv.weight
      bn1.running_mean: {tensor: backbone.stem.bn.running_mean, minus: backbone.stem.conv.bias}

`use` checks a map against the network and the checkpoint (E408) and returns the network's tensors. Tensors that the map
does not name are not used. `proposal.py` creates a map.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import TYPE_CHECKING

from cnnc.diagnostics import CnncError, Code, Diagnostic, Span
from cnnc.diagnostics.suggestions import did_you_mean
from cnnc.text.reader import parse_text
from cnnc.text.source import read as read_text
from cnnc.text.value import Value
from cnnc.weights.layers import Shape, counts_batches, squeezed
from cnnc.weights.mismatch import size

if TYPE_CHECKING:
    from torch import Tensor

SHOWN = 10
_COMPLETE = "remove the `#` before the right candidates, or add lines of `NETWORK KEY: TENSOR NAME`"


def _bad(message: str, span: Span, help: str | None) -> Diagnostic:
    return Diagnostic(Code.BAD_WEIGHT_MAP, message, span, help=help)


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
        if isinstance(value.data, dict) and value.data.keys() == {"tensor", "minus"}:
            continue
        if not isinstance(value.data, str):
            faults.append(_bad(f"`{key}` needs the name of a tensor", value.span, "put a name of digits in quotes"))
    if faults:
        raise CnncError(faults)
    return found


def names(map: Value) -> set[str]:
    """Return the names of the checkpoint's tensors in a map."""
    assert isinstance(map.data, dict)
    return {name for value in map.data.values() for name in _both(value)}


def tensor_names(map: Value) -> dict[str, str]:
    """Return the name of the checkpoint's tensor for each key of the network."""
    assert isinstance(map.data, dict)
    return {key: _both(value)[0] for key, value in map.data.items()}


def _both(value: Value) -> list[str]:
    """Return the names of a tensor, and of the one that is subtracted from it, if any."""
    if isinstance(value.data, dict):
        return [str(value.data[name].data) for name in ("tensor", "minus")]
    return [str(value.data)]


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
        name, *minus = _both(value)
        if key in drawn:
            continue
        fault = _fault(key, map.keys[key], value, checkpoint, tensors, expected)
        if fault is not None:
            faults.append(fault)
        elif name in seen and not shared:
            message = f"`{name}` is already used for `{seen[name]}`"
            faults.append(_bad(message, value.span, "use each tensor for one weight"))
        else:
            seen[name] = key
            found[key] = tensors[name].reshape(expected[key])
            for other in minus:
                found[key] = found[key] - tensors[other].reshape(expected[key])
    missing = [key for key, shape in expected.items() if key not in map.data and not counts_batches(key, shape)]
    if missing:
        listed = ", ".join(f"`{key}`" for key in missing[:SHOWN])
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        faults.append(_bad(f"the map lacks {listed}{more}", map.span, "`cnnc weights` proposes a map with candidates"))
    if faults:
        raise CnncError(faults)
    return found


def _fault(
    key: str,
    span: Span,
    value: Value,
    checkpoint: Path,
    tensors: "Mapping[str, Tensor]",
    expected: Mapping[str, Shape],
) -> Diagnostic | None:
    """Return what is wrong with a line of a map, or None; `span` is that of its key."""
    if key not in expected:
        return _bad(f"the network has no `{key}`", span, did_you_mean(key, expected))
    for name in _both(value):
        if name not in tensors:
            return _bad(f"{checkpoint} has no `{name}`", value.span, did_you_mean(name, tensors))
        if squeezed(tuple(tensors[name].shape)) != squeezed(expected[key]):
            shapes = f"`{name}` is {size(tuple(tensors[name].shape))}, `{key}` is {size(expected[key])}"
            return _bad(shapes, value.span, None)
    return None
