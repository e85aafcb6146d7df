"""The stamp in safetensors files that cnnc writes: the class names, and a hash that detects damage.

A safetensors file has no checksum, and most flipped bits only change numbers. So the files of `cnnc build` and `cnnc
train` contain a hash of their contents, as JSON under one key of their metadata. Files of other tools have no stamp.
This module writes the files itself, tensor by tensor: the writers of the library keep the whole file in memory, or
ignore the umask. The format: https://huggingface.co/docs/safetensors/index#format
"""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    Array = np.ndarray[Any, np.dtype[Any]]

KEY, HASH = "cnnc", "cnnc_sha256"
TYPES = {"float64": "F64", "float32": "F32", "float16": "F16", "int64": "I64", "int32": "I32", "bool": "BOOL"}
ALIGNMENT = 8


class Damaged(Exception):
    """The file differs from what cnnc wrote."""


def write_stamped(
    file: BinaryIO,
    weights: "Mapping[str, Tensor | Array]",
    labels: Sequence[str] | None,
    weights_sha256: str | None = None,
) -> None:
    """Write weights and class names as safetensors; `weights_sha256` is the digest of the weights, if known."""
    arrays = {key: _little(each) for key, each in weights.items()}
    names = None if labels is None else list(labels)
    stamp = {"labels": names, HASH: _hash(weights_sha256 or digest(arrays), names)}
    header: dict[str, Any] = {"__metadata__": {KEY: json.dumps(stamp, ensure_ascii=False)}}
    ordered = sorted(arrays, key=lambda key: (-arrays[key].itemsize, key))  # so that each is aligned to its size
    start = 0
    for key in ordered:
        end = start + arrays[key].nbytes
        header[key] = {
            "dtype": TYPES[arrays[key].dtype.name],
            "shape": arrays[key].shape,
            "data_offsets": (start, end),
        }
        start = end
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    file.write(len(text).to_bytes(ALIGNMENT, "little") + text)
    for key in ordered:
        file.write(arrays[key].reshape(-1).data.cast("B"))


def header(path: Path) -> tuple[dict[str, Any], int]:
    """The header of a safetensors file, and the offset of its first tensor."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(ALIGNMENT), "little")
        return json.loads(file.read(length)), ALIGNMENT + length


def require_intact(data: bytes, weights: "Mapping[str, Tensor]") -> None:
    """Raise Damaged if a safetensors file has a stamp that does not match `weights`, read from it, or its names."""
    text = _stamp(data)
    if text is None:
        return
    try:
        stamp = json.loads(text)
        whole = stamp[HASH] == _hash(digest(weights), stamp["labels"])
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise Damaged("it is damaged: the stamp that cnnc wrote into it cannot be read") from error
    if not whole:
        raise Damaged("it is damaged: its weights or class names differ from what cnnc wrote")


def labels(path: Path) -> tuple[str, ...] | None:
    """The class names in a file that `cnnc.weights.load.read` accepts; None if it has none."""
    with path.open("rb") as file:
        length, first = file.read(8), file.read(1)
        if first != b"{":  # not safetensors
            return None
        text = _stamp(length + first + file.read(int.from_bytes(length, "little") - 1))
    names = None if text is None else json.loads(text)["labels"]
    return None if names is None else tuple(names)


def digest(weights: Mapping[str, Any]) -> str:
    """The SHA-256 of tensors or arrays: of keys, dtypes, shapes and values, independent of the order of the keys."""
    result = sha256()
    for key in sorted(weights):
        array = _little(weights[key])
        result.update(f"{key} {array.dtype.name} {list(array.shape)}\n".encode())
        result.update(array.reshape(-1).data.cast("B"))
    return result.hexdigest()


def _little(tensor: "Tensor | Array") -> "Array":
    """A tensor as a contiguous little-endian array, without a copy if possible."""
    import numpy as np

    array = tensor if isinstance(tensor, np.ndarray) else tensor.detach().cpu().numpy()
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(array.shape)


def _hash(weights_sha256: str, labels: list[str] | None) -> str:
    return sha256(f"{json.dumps(labels)}\n{weights_sha256}".encode()).hexdigest()


def _stamp(data: bytes) -> str | None:
    """The stamp in a readable header, found by its key, or by the key of its hash if one of them is damaged."""
    length = int.from_bytes(data[:8], "little")
    remarks: dict[str, str] = json.loads(data[8 : 8 + length]).get("__metadata__") or {}
    return next((text for key, text in remarks.items() if key == KEY or HASH in text), None)
