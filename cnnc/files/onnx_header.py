"""Reads the metadata of an ONNX file without onnxruntime.

Takes a path and returns the strings in `metadata_props` and the first bytes, which may hold a seal. Only the fields of
the ModelProto itself are read (the graph is skipped), so this is cheap, and a model without a cnnc contract is never
loaded into this process. Empty, truncated, damaged and foreign files are E501.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import IO

from cnnc.diagnostics import CnncError, Code
from cnnc.files import onnx_seal
from cnnc.files.checks import require_file, require_utf8

# field numbers of ModelProto and StringStringEntryProto, wire types of protobuf
_GRAPH, _METADATA, _KEY, _VALUE = 7, 14, 1, 2
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file that looks like an ONNX model: its `metadata_props`, and its first bytes, which may be a seal."""

    path: str
    metadata: dict[str, str]
    head: bytes


def read_model(path: str | os.PathLike[str]) -> ModelFile:
    """Read the ONNX file at `path`; raises CnncError (E501) if it is not one."""
    name = os.fspath(path)
    require_utf8(name, Code.MODEL_UNREADABLE, "read the model")
    size = require_file(name, Code.MODEL_UNREADABLE, "model")
    head = b""
    try:
        with open(name, "rb") as file:
            head = file.read(onnx_seal.SIZE)
            file.seek(0)
            fields = list(_fields(file, size, read=(_METADATA,)))
        metadata = dict(_entry(body) for number, body in fields if number == _METADATA)
    except OSError as error:
        raise unreadable(name, (error.strerror or str(error)).lower()) from error
    except EOFError as error:
        raise unreadable(name, f"the file is cut off, or {_not_a_model(head)}: {error}") from error
    except ValueError as error:
        raise unreadable(name, f"it is {_not_a_model(head)}") from error
    if not any(number == _GRAPH for number, _ in fields):
        raise unreadable(name, f"it is {_not_a_model(head)}: it contains no graph")
    return ModelFile(name, metadata, head)


def _not_a_model(head: bytes) -> str:
    return "damaged" if onnx_seal.is_sealed(head) else "not an ONNX model"


def unreadable(path: str, reason: str) -> CnncError:
    """An E501 error with a reason."""
    return CnncError.of(
        Code.MODEL_UNREADABLE,
        f"cannot read the model {path}: {reason}",
        help="give the .onnx file that `cnnc build` wrote",
    )


def _entry(body: bytes) -> tuple[str, str]:
    fields = dict(_fields(BytesIO(body), len(body), read=(_KEY, _VALUE)))
    return str(fields.get(_KEY, b""), "utf-8"), str(fields.get(_VALUE, b""), "utf-8")


def _fields(stream: IO[bytes], end: int, read: tuple[int, ...]) -> Iterator[tuple[int, bytes]]:
    """Yield each field of the protobuf message that ends at `end`: its number and, for numbers in `read`, its bytes."""
    while stream.tell() < end:
        tag = _varint(stream)
        size = {_FIXED64: 8, _FIXED32: 4, _VARINT: 0}.get(tag & 7)
        if tag & 7 == _VARINT:
            _varint(stream)
        elif tag & 7 == _BYTES:
            size = _varint(stream)
        if size is None or tag >> 3 == 0:
            raise ValueError(f"no such wire type: {tag & 7}")
        after = stream.tell() + size
        if after > end:
            raise EOFError(f"expected at least {after:,} bytes, got {end:,}")
        yield tag >> 3, stream.read(size) if tag >> 3 in read else b""
        stream.seek(after)


def _varint(stream: IO[bytes]) -> int:
    """Read a varint: seven bits per byte, the lowest first, at most ten bytes."""
    value = 0
    for place in range(10):
        byte = stream.read(1)
        if not byte:
            raise EOFError("it ends inside a number")
        value |= (byte[0] & 0x7F) << (7 * place)
        if byte[0] < 0x80:
            return value
    raise ValueError("a number of more than ten bytes")
