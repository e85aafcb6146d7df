"""An ONNX file in two parts: its graph, and where in the file the numbers of its weights lie.

In goes a path; out comes a model whose large tensors are said to lie elsewhere, and views of these in the file itself,
which is mapped into memory: nothing is read that nobody looks at. What protobuf's wire format needs for that is to go
from field to field: https://protobuf.dev/programming-guides/encoding
"""

from collections.abc import Iterator
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import onnx

    Array = np.ndarray[Any, np.dtype[Any]]

VARINT, FIXED64, LENGTH_DELIMITED, FIXED32 = 0, 1, 2, 5
Span = tuple[int, int]


def split(path: Path) -> "tuple[onnx.ModelProto, dict[str, Array]]":
    """The model without the numbers of its tensors of floats, and those by their names; raises ValueError."""
    from onnx import GraphProto, ModelProto

    with path.open("rb") as file:
        data = mmap(file.fileno(), 0, access=ACCESS_READ)
    model, arrays = ModelProto(), {}
    for number, field, content in _fields(data, 0, len(data)):
        if number != ModelProto.GRAPH_FIELD_NUMBER:
            model.MergeFromString(data[slice(*field)])
            continue
        for inner, part, tensor in _fields(data, *content):
            if inner != GraphProto.INITIALIZER_FIELD_NUMBER:
                model.graph.MergeFromString(data[slice(*part)])
                continue
            name, array = _add_initializer(model.graph, data, tensor)
            if array is not None:
                arrays[name] = array
    return model, arrays


def _add_initializer(graph: "onnx.GraphProto", data: mmap, span: Span) -> "tuple[str, Array | None]":
    """Add a tensor; its numbers, where they are floats in one piece, stay out and are given instead."""
    import numpy as np
    from onnx import TensorProto

    tensor, raw = graph.initializer.add(), None
    for number, field, content in _fields(data, *span):
        if number == TensorProto.RAW_DATA_FIELD_NUMBER:
            raw = content
        else:
            tensor.MergeFromString(data[slice(*field)])
    if raw is None:
        return tensor.name, None
    if tensor.data_type != TensorProto.FLOAT or not tensor.dims:
        tensor.raw_data = data[slice(*raw)]
        return tensor.name, None
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="elsewhere")
    return tensor.name, np.frombuffer(data, "<f4", (raw[1] - raw[0]) // 4, raw[0]).reshape(tensor.dims)


def _fields(data: mmap, at: int, end: int) -> Iterator[tuple[int, Span, Span]]:
    """The fields of a message: number, the whole field's place, its content's; raises ValueError for other bytes."""
    while at < end:
        start = at
        key, at = _varint(data, at)
        kind = key & 7
        if kind == LENGTH_DELIMITED:
            length, at = _varint(data, at)
            after = at + length
        elif kind == VARINT:
            after = _varint(data, at)[1]
        elif kind in (FIXED32, FIXED64):
            after = at + (4 if kind == FIXED32 else 8)
        else:
            raise ValueError(f"a field of kind {kind}")
        if after > end:
            raise ValueError("a field ends behind its message")
        yield key >> 3, (start, after), (at, after)
        at = after


def _varint(data: mmap, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
