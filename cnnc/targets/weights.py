"""Weights from foreign files, held to what a module expects.

In goes a `.safetensors`, `.pt`, `.pth` or `.onnx` file and the shape of every key; out come float32 tensors on the CPU,
one for each key. Keys are the file's own, or found by a map. Nothing is taken on trust: pickles are read with torch's
restricted reader or refused (E402), keys and shapes must be the spec's (E401), and every number must be finite (E403).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnc.diagnostics import CnncError, Code, Note
from cnnc.files import require_file
from cnnc.targets import onnx_weights, weight_map
from cnnc.targets.layers import COUNTER, Layer, layers
from cnnc.targets.onnx_weights import OnnxWeights
from cnnc.targets.stamp import Damaged, require_whole

if TYPE_CHECKING:
    from torch import Tensor

Shapes = Mapping[str, tuple[int, ...]]

SHOWN = 10
NESTS = ("state_dict", "model_state_dict", "model")
SUFFIXES = (".safetensors", ".pt", ".pth", ".onnx")


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds; `ordered`: its layers stand in the order of the network that they come from."""

    tensors: "dict[str, Tensor]"
    layers: list[Layer]
    ordered: bool


def read(path: Path, expected: Shapes, map: Path | None = None) -> "dict[str, Tensor]":
    """The tensors of the file, in the order of `expected`; raises E401, E402, E403, or E408 for a `map` that is wrong.

    Other floating types become float32. A batch norm's count of batches may be missing, and is then 0.
    """
    import torch

    wanted = None if map is None else weight_map.read_map(map)
    found = checkpoint(path, expected).tensors
    if wanted is not None:
        found = weight_map.use(wanted, path, found, expected, shared=path.suffix == ".onnx")
    for key in expected:
        if key.rpartition(".")[2] == COUNTER:
            found[key] = found.get(key, torch.tensor(0)).to(torch.int64)
    _require_match(path, {key: tuple(tensor.shape) for key, tensor in found.items()}, expected)
    weights = {key: _numbers(path, key, found[key]) for key in expected}
    _require_finite(path, weights)
    return weights


def checkpoint(path: Path, expected: Shapes) -> Checkpoint:
    """The tensors and layers of the file, for a network with these shapes; raises E402, or E401 for folded norms."""
    data = _load(path)
    if isinstance(data, OnnxWeights):
        _require_norms(path, data, expected)
        return Checkpoint(data.tensors, data.layers, ordered=True)
    found = _tensors(path, _unwrap(data))
    if all(key.startswith("module.") for key in found) and not any(key.startswith("module.") for key in expected):
        found = {key.removeprefix("module."): tensor for key, tensor in found.items()}  # torch's DataParallel
    return Checkpoint(found, layers(shapes(found)), ordered=path.suffix != ".safetensors")  # which sorts its keys


def _require_norms(path: Path, found: OnnxWeights, expected: Shapes) -> None:
    wanted = len([key for key in expected if key.rpartition(".")[2] == "running_var"])
    if found.norms < wanted:
        raise CnncError.of(
            Code.WEIGHTS_MISMATCH,
            f"{path} has {found.norms} batch norms, the network {wanted}: the exporter has folded the others into the "
            "layers before them, and what is folded cannot be told apart again",
            help="take the weights that it was made from; torch.onnx.export(optimize=False) folds nothing",
        )


def shapes(state: "Mapping[str, Tensor]") -> dict[str, tuple[int, ...]]:
    """What `read` wants to know of a module's state_dict."""
    return {key: tuple(tensor.shape) for key, tensor in state.items()}


def _load(path: Path) -> Any:
    """What the file holds, by the reader that its suffix names."""
    if path.suffix not in SUFFIXES:
        known = f"{', '.join(SUFFIXES[:-1])} and {SUFFIXES[-1]}"
        raise _unreadable(path, f"weights come as {known}, not as `{path.suffix or path.name}`", None)
    require_file(path, Code.WEIGHTS_UNREADABLE, "weights")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, (error.strerror or str(error)).lower(), None) from error
    readers = {".safetensors": _load_safetensors, ".onnx": onnx_weights.read}
    return readers.get(path.suffix, _load_pickle)(path, data)


def _load_safetensors(path: Path, data: bytes) -> Any:
    from safetensors.torch import load

    if data[:2] in (b"PK", b"\x80\x02"):
        raise _unreadable(path, "it is a pickle, whatever its name says", "if you trust it, rename it to .pt")
    weights = _guarded(path, lambda: load(data))
    try:
        require_whole(data, weights)
    except Damaged as error:
        raise _unreadable(path, str(error), "take another copy of the file, or make it again") from error
    return weights


def _load_pickle(path: Path, data: bytes) -> Any:
    from io import BytesIO
    from pickle import UnpicklingError

    import torch

    if _is_torchscript(data):
        way_out = f"take the weights that stand beside it, {path.stem}.safetensors, or save `model.state_dict()`"
        raise _unreadable(path, "it is TorchScript, a whole model and no weights", way_out)
    try:
        return _guarded(path, lambda: torch.load(BytesIO(data), map_location="cpu", weights_only=True))
    except CnncError as error:
        wants = re.search(r"GLOBAL ([\w.]+)", str(error.__cause__))
        if not wants or not isinstance(error.__cause__, UnpicklingError):
            raise
        message = f"it wants to run `{wants[1]}`, and cnnc runs no code from weights"
        raise _unreadable(path, message, "save `model.state_dict()`, not the model; best with safetensors") from error


def _is_torchscript(data: bytes) -> bool:
    from io import BytesIO
    from zipfile import ZipFile

    try:
        return any(name.endswith("/constants.pkl") for name in ZipFile(BytesIO(data)).namelist())
    except Exception:  # an older checkpoint is a plain pickle; of a damaged one torch says what is wrong
        return False


def _guarded(path: Path, load: Callable[[], Any]) -> Any:
    """Foreign readers raise what they like on broken files: nearly every type of exception has been seen."""
    try:
        return load()
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        told = "" if "weights_only" in reason else f" ({reason})"  # torch would have it run what is in the file
        raise _unreadable(path, f"it is truncated or no weights file{told}", None) from error


def _unwrap(data: Any) -> Any:
    """The state_dict of a checkpoint that holds it beside other things."""
    if isinstance(data, Mapping) and not any(hasattr(value, "shape") for value in data.values()):
        nested = [data[key] for key in NESTS if isinstance(data.get(key), Mapping)]
        return nested[0] if len(nested) == 1 else data
    return data


def _tensors(path: Path, data: Any) -> "dict[str, Tensor]":
    import torch

    if not isinstance(data, Mapping):
        raise _unreadable(path, f"it holds a {type(data).__name__}, not a state_dict", "save `model.state_dict()`")
    for key, value in data.items():
        if not isinstance(key, str) or not isinstance(value, torch.Tensor):
            raise _unreadable(path, f"`{key}` is a {type(value).__name__}, not a tensor", "save `model.state_dict()`")
        if value.layout != torch.strided or value.is_quantized or value.device.type != "cpu":
            raise _unreadable(path, f"`{key}` is a sparse, quantized or empty (meta) tensor", "save dense float32")
    return dict(data)


def _require_match(path: Path, found: Shapes, expected: Shapes) -> None:
    missing = [key for key in expected if key not in found]
    unexpected = [key for key in found if key not in expected]
    misshapen = [key for key in expected if key in found and found[key] != expected[key]]
    if not missing + unexpected + misshapen:
        return
    rest = unexpected[:2000]  # close matches among very many keys take their time
    notes = [
        *_list("missing", [f"{key} {_size(expected[key])}{_near(key, rest)}" for key in missing[:SHOWN]], len(missing)),
        *_list("unexpected", [f"{key} {_size(found[key])}" for key in unexpected[:SHOWN]], len(unexpected)),
        *_list(
            "misshapen",
            [f"{key} is {_size(found[key])}, the spec has {_size(expected[key])}" for key in misshapen[:SHOWN]],
            len(misshapen),
        ),
    ]
    counts = [(len(missing), "missing"), (len(unexpected), "unexpected"), (len(misshapen), "misshapen")]
    summary = ", ".join(f"{count} {what}" for count, what in counts if count)
    raise CnncError.of(
        Code.WEIGHTS_MISMATCH,
        f"{path} does not fit this network: of {len(expected)} keys expected, {summary}",
        notes=tuple(notes),
        help=_way_out(found, expected, bool(missing or unexpected)),
    )


def _list(what: str, lines: list[str], count: int) -> Iterator[Note]:
    yield from (Note(f"{what}: {line}") for line in lines)
    if count > len(lines):
        yield Note(f"{what}: … and {count - len(lines)} more")


def _near(key: str, keys: list[str]) -> str:
    match = get_close_matches(key, keys, 1, 0.8)
    return f" (the file has `{match[0]}`)" if match else ""


def _way_out(found: Shapes, expected: Shapes, names: bool) -> str:
    if names and [found[key] for key in found if COUNTER not in key] == [
        expected[key] for key in expected if COUNTER not in key
    ]:
        return "all shapes agree in their order, so only names differ: `cnnc weights` proposes a map"
    return "are these the weights of another network, or of other `params`? Keys are the paths of the spec's nodes"


def _numbers(path: Path, key: str, tensor: "Tensor") -> "Tensor":
    import torch

    if key.rpartition(".")[2] == COUNTER:
        return tensor.clone()
    if not tensor.is_floating_point():
        kind = str(tensor.dtype).removeprefix("torch.")
        raise CnncError.of(
            Code.WEIGHTS_MISMATCH,
            f"{path}: `{key}` holds {kind} numbers, and weights are floating-point",
            help="quantized weights must be turned back into float32 first",
        )
    return tensor.detach().to(torch.float32, copy=True, memory_format=torch.contiguous_format)


def _require_finite(path: Path, weights: "Mapping[str, Tensor]") -> None:
    bad = [key for key, tensor in weights.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    if bad:
        listed = ", ".join(f"`{key}`" for key in bad[:SHOWN]) + (f" and {len(bad) - SHOWN} more" if bad[SHOWN:] else "")
        raise CnncError.of(
            Code.WEIGHTS_NOT_FINITE,
            f"{path} holds NaN, infinity or numbers beyond float32 in {listed}",
            help="the training has diverged, or the file is damaged: take an earlier checkpoint",
        )


def _unreadable(path: Path, reason: str, help: str | None) -> CnncError:
    return CnncError.of(Code.WEIGHTS_UNREADABLE, f"cannot read the weights {path}: {reason}", help=help)


def _size(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "scalar"
