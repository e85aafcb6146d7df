"""An ONNX file's outermost layer, read before onnxruntime sees it.

In: a path. Out: the bytes, and the texts of `metadata_props`. Only the fields of the ModelProto itself are walked (the
graph is one of them and is stepped over), so this costs nothing, and a model that carries no contract of ours never
needs to be loaded into this process to find that out. Empty, cut off and foreign files are E501.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from cnnc.diagnostics import CnncError, Code
from cnnc.runtime.files import require_file

# field numbers of ModelProto and StringStringEntryProto, wire types of protobuf
_GRAPH, _METADATA, _KEY, _VALUE = 7, 14, 1, 2
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True, slots=True)
class ModelFile:
    """The file's bytes and what its `metadata_props` say."""

    path: str
    data: bytes = field(repr=False)
    metadata: dict[str, str]


def read_model(path: str | os.PathLike[str]) -> ModelFile:
    """Read the ONNX file at `path`; raises CnncError (E501) where it is none."""
    name = os.fspath(path)
    require_file(name, Code.MODEL_UNREADABLE, "model")
    try:
        with open(name, "rb") as file:
            data = file.read()
    except OSError as error:
        raise _unreadable(name, (error.strerror or str(error)).lower()) from error
    try:
        fields = list(_fields(memoryview(data)))
        metadata = dict(_entry(body) for number, body in fields if number == _METADATA)
    except EOFError as error:
        raise _unreadable(name, f"the file is cut off, or not an ONNX model: {error}") from error
    except ValueError as error:
        raise _unreadable(name, "it is not an ONNX model") from error
    if not any(number == _GRAPH for number, _ in fields):
        raise _unreadable(name, "it is not an ONNX model: it holds no graph")
    return ModelFile(name, data, metadata)


def _unreadable(path: str, reason: str) -> CnncError:
    return CnncError.of(
        Code.MODEL_UNREADABLE,
        f"cannot read the model {path}: {reason}",
        help="infer takes the .onnx file that `cnnc build` writes",
    )


def _entry(body: memoryview) -> tuple[str, str]:
    fields = dict(_fields(body))
    return str(fields.get(_KEY, b""), "utf-8"), str(fields.get(_VALUE, b""), "utf-8")


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Each field of a protobuf message: its number and its bytes (nothing of a number's)."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        size = {_FIXED64: 8, _FIXED32: 4, _VARINT: 0}.get(tag & 7)
        if tag & 7 == _VARINT:
            _, at = _varint(data, at)
        elif tag & 7 == _BYTES:
            size, at = _varint(data, at)
        if size is None or tag >> 3 == 0:
            raise ValueError(f"no such wire type: {tag & 7}")
        if at + size > len(data):
            raise EOFError(f"{at + size:,} bytes are announced, {len(data):,} are there")
        yield tag >> 3, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """The number that starts at `at`, seven bits a byte, and where the next thing starts."""
    value = 0
    for place, byte in enumerate(data[at : at + 10]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, at + place + 1
    raise EOFError("it ends inside a number")
