"""Load weights from a file and check them against what a module expects.

Takes a file (safetensors, a torch checkpoint, or ONNX) and the shape of every key; returns float32 tensors on the CPU,
one per key. Keys are those of the file without wrapper prefixes, or are found by a map. The file is not trusted:
pickles are read with torch's restricted reader or refused (E402), keys and shapes must be the spec's (E401), and every
number must be finite (E403).
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from cnnc.diagnostics import CnncError, Code, Note
from cnnc.weights import checkpoint_file, map_file, state_dict
from cnnc.weights.layers import COUNTER, Layer, layers, squeezed
from cnnc.weights.onnx import OnnxWeights
from cnnc.weights.zip_checkpoint import unreadable

if TYPE_CHECKING:
    from torch import Tensor

Shapes = Mapping[str, tuple[int, ...]]
Tell = Callable[[str], None]

SHOWN = 10


def log(remark: str) -> None:
    """Log a remark to the logger `cnnc`, the default for callers that do not take remarks."""
    logging.getLogger("cnnc").warning(remark)


@dataclass(frozen=True)
class WeightsFile:
    """The contents of a weights file.

    `ordered`: its layers are in the order of the network that they come from. `shared`: a tensor may be used for
    several weights.
    """

    tensors: "Mapping[str, Tensor]"
    layers: list[Layer]
    ordered: bool
    shared: bool


def read(
    path: Path, expected: Shapes, map: Path | None = None, key: str | None = None, note: Tell = log
) -> "dict[str, Tensor]":
    """Return the tensors of the file, in the order of `expected`; raises E401, E402, E403, or E408 for a wrong `map`.

    Other floating types become float32. A batch norm's `num_batches_tracked` may be missing and is then 0. `key`
    selects one of several state_dicts; `note` is called with which one was used and what was stripped from its keys.
    """
    import torch

    wanted = None if map is None else map_file.read_map(map)
    source = _checkpoint(path, expected, map_file.names(wanted) if wanted else expected.keys(), key, note)
    found = dict(source.tensors)
    if wanted is not None:
        found = map_file.use(wanted, path, found, expected, shared=source.shared)
    for name in expected:
        if name.rpartition(".")[2] == COUNTER:
            found[name] = found.get(name, torch.tensor(0)).to(torch.int64)
    _require_match(path, key, {name: tuple(tensor.shape) for name, tensor in found.items()}, expected)
    taken: set[int] = set()
    weights = {name: _own(_numbers(path, name, found[name]), taken) for name in expected}
    _require_finite(path, weights)
    return weights


def checkpoint(path: Path, expected: Shapes, key: str | None = None, note: Tell = log) -> WeightsFile:
    """Return the tensors and layers of the file, for a network with these shapes; raises E402, or E401 if folded."""
    return _checkpoint(path, expected, expected.keys(), key, note)


def _checkpoint(path: Path, expected: Shapes, names: AbstractSet[str], key: str | None, note: Tell) -> WeightsFile:
    """Read the file; `names` are the tensor names expected by the network or by a map."""
    file = checkpoint_file.load(path)
    if isinstance(file.data, OnnxWeights):
        if key is not None:
            raise unreadable(path, f"an ONNX model holds no state_dict `{key}`", "leave out `--key`")
        _require_norms(path, file.data, expected)
        return WeightsFile(file.data.tensors, file.data.layers, ordered=True, shared=True)
    state = state_dict.find(path, file.data, names, key)
    _require_dense(path, state.tensors)
    if state.remark:
        note(state.remark)
    return WeightsFile(state.tensors, layers(shapes(state.tensors)), ordered=file.ordered, shared=False)


def _require_norms(path: Path, found: OnnxWeights, expected: Shapes) -> None:
    wanted = len([key for key in expected if key.rpartition(".")[2] == "running_var"])
    if found.norms < wanted:
        raise CnncError.of(
            Code.WEIGHTS_MISMATCH,
            f"{path} has {found.norms} batch norms, the network {wanted}: the exporter has folded the others into the "
            "layers before them, which cannot be undone",
            help="use the weights it was exported from, or export with torch.onnx.export(optimize=False)",
        )


def shapes(state: "Mapping[str, Tensor]") -> dict[str, tuple[int, ...]]:
    """Return the shapes in a module's state_dict, as `read` expects them."""
    return {key: tuple(tensor.shape) for key, tensor in state.items()}


def _require_dense(path: Path, tensors: "Mapping[str, Tensor]") -> None:
    import torch

    for key, value in tensors.items():
        if value.layout != torch.strided or value.is_quantized or value.device.type != "cpu":
            raise unreadable(path, f"`{key}` is a sparse, quantized or empty (meta) tensor", "save dense float32")


def _require_match(path: Path, key: str | None, found: Shapes, expected: Shapes) -> None:
    missing = [name for name in expected if name not in found]
    unexpected = [name for name in found if name not in expected]
    misshapen = [name for name in expected if name in found and found[name] != expected[name]]
    if not missing + unexpected + misshapen:
        return
    rest = unexpected[:2000]  # finding close matches among very many keys is slow
    notes = [
        *_list(
            "missing", [f"{name} {_size(expected[name])}{_near(name, rest)}" for name in missing[:SHOWN]], len(missing)
        ),
        *_list("unexpected", [f"{name} {_size(found[name])}" for name in unexpected[:SHOWN]], len(unexpected)),
        *_list(
            "misshapen",
            [f"{name} is {_size(found[name])}, the spec has {_size(expected[name])}" for name in misshapen[:SHOWN]],
            len(misshapen),
        ),
    ]
    counts = [(len(missing), "missing"), (len(unexpected), "unexpected"), (len(misshapen), "misshapen")]
    summary = ", ".join(f"{count} {what}" for count, what in counts if count)
    raise CnncError.of(
        Code.WEIGHTS_MISMATCH,
        f"{path} does not fit this network: of {len(expected)} keys expected, {summary}",
        notes=tuple(notes),
        help=_way_out(path, key, found, expected),
    )


def _list(what: str, lines: list[str], count: int) -> Iterator[Note]:
    yield from (Note(f"{what}: {line}") for line in lines)
    if count > len(lines):
        yield Note(f"{what}: … and {count - len(lines)} more")


def _near(key: str, keys: list[str]) -> str:
    match = get_close_matches(key, keys, 1, 0.8)
    return f" (the file has `{match[0]}`)" if match else ""


def _way_out(path: Path, key: str | None, found: Shapes, expected: Shapes) -> str:
    needed, there = (
        Counter(squeezed(shape) for name, shape in shapes.items() if COUNTER not in name)
        for shapes in (expected, found)
    )
    if needed <= there:
        map = f"`cnnc weights SPEC {path}{f' --key {key}' if key else ''} -o map.yaml`"
        return f"the file has tensors of all these shapes: {map} proposes a map for `--map map.yaml`"
    return "check that these weights belong to this network and its `params`; keys are the paths of the spec's nodes"


def _numbers(path: Path, key: str, tensor: "Tensor") -> "Tensor":
    import torch

    if key.rpartition(".")[2] == COUNTER:
        return tensor
    if not tensor.is_floating_point():
        kind = str(tensor.dtype).removeprefix("torch.")
        raise CnncError.of(
            Code.WEIGHTS_MISMATCH,
            f"{path}: `{key}` is {kind}, but weights must be floating-point",
            help="convert quantized weights to float32 first",
        )
    return tensor.detach().to(torch.float32).contiguous()


def _own(tensor: "Tensor", taken: set[int]) -> "Tensor":
    """Return the tensor, or a copy if its storage is larger or is in `taken`, the addresses of other tensors."""
    memory = tensor.untyped_storage()
    if memory.nbytes() > tensor.nbytes or memory.data_ptr() in taken:
        return tensor.clone()
    taken.add(memory.data_ptr())
    return tensor


def _require_finite(path: Path, weights: "Mapping[str, Tensor]") -> None:
    bad = [key for key, tensor in weights.items() if tensor.is_floating_point() and not _is_finite(tensor)]
    if bad:
        listed = ", ".join(f"`{key}`" for key in bad[:SHOWN]) + (f" and {len(bad) - SHOWN} more" if bad[SHOWN:] else "")
        raise CnncError.of(
            Code.WEIGHTS_NOT_FINITE,
            f"{path} holds NaN, infinity or numbers beyond float32 in {listed}",
            help="the training diverged or the file is damaged: use an earlier checkpoint",
        )


def _is_finite(tensor: "Tensor") -> bool:
    """Whether all elements are finite, by the extremes, which propagate NaN: `isfinite` would allocate a mask."""
    return tensor.numel() == 0 or all(bool(each.isfinite()) for each in tensor.aminmax())


def _size(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "scalar"
