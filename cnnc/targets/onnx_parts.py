"""Split an ONNX file into its graph and the file positions of its weights, without reading the weights.

Takes a path; returns a model whose float tensors are marked as external, and their positions, in the file itself or in
its external data file. The protobuf message is parsed field by field:
https://protobuf.dev/programming-guides/encoding
"""

from collections.abc import Iterator
from mmap import ACCESS_READ, mmap
from os.path import isfile, islink
from pathlib import Path
from typing import TYPE_CHECKING

from cnnc.files.mapped_weights import InFile, Place

if TYPE_CHECKING:
    import onnx

VARINT, FIXED64, LENGTH_DELIMITED, FIXED32 = 0, 1, 2, 5
Span = tuple[int, int]


def split(path: Path) -> "tuple[onnx.ModelProto, InFile]":
    """Return the model without the data of its float tensors, and the data by tensor name; raises ValueError."""
    from onnx import GraphProto, ModelProto

    with path.open("rb") as file:
        data = mmap(file.fileno(), 0, access=ACCESS_READ)
    model, arrays = ModelProto(), dict[str, Place]()
    for number, field, content in _fields(data, 0, len(data)):
        if number != ModelProto.GRAPH_FIELD_NUMBER:
            model.MergeFromString(data[slice(*field)])
            continue
        for inner, part, tensor in _fields(data, *content):
            if inner != GraphProto.INITIALIZER_FIELD_NUMBER:
                model.graph.MergeFromString(data[slice(*part)])
                continue
            name, place = _add_initializer(model.graph, data, tensor, path)
            if place is not None:
                arrays[name] = place
    return model, InFile(arrays)


def _add_initializer(graph: "onnx.GraphProto", data: mmap, span: Span, path: Path) -> tuple[str, Place | None]:
    """Add a tensor; return its name and, if it has contiguous float data, the place of that data, which is left out."""
    from onnx import TensorProto

    tensor, start = graph.initializer.add(), None
    for number, field, content in _fields(data, *span):
        if number == TensorProto.RAW_DATA_FIELD_NUMBER:
            start, length = content[0], content[1] - content[0]
        else:
            tensor.MergeFromString(data[slice(*field)])
    if tensor.data_location == TensorProto.EXTERNAL:
        path, start, length = _elsewhere(tensor, path)
    if start is None:
        return tensor.name, None
    del tensor.external_data[:]
    if tensor.data_type == TensorProto.FLOAT and tensor.dims:
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="elsewhere")
        return tensor.name, Place(path, "float32", tuple(tensor.dims), start)
    tensor.data_location = TensorProto.DEFAULT
    with path.open("rb") as file:
        file.seek(start)
        tensor.raw_data = file.read(length)
    return tensor.name, None


def _elsewhere(tensor: "onnx.TensorProto", path: Path) -> tuple[Path, int, int]:
    """Return a tensor's external data file, and its offset and length there; raises ValueError if they are invalid."""
    fields = {each.key: each.value for each in tensor.external_data}
    beside = path.with_name(fields.get("location", ""))
    if islink(beside) or not isfile(beside):
        raise ValueError(f"its external data `{beside.name}` is not a file in its folder")
    start = int(fields.get("offset", 0))
    length = int(fields.get("length", beside.stat().st_size - start))
    if not 0 <= start <= start + length <= beside.stat().st_size:
        raise ValueError(f"its external data `{beside.name}` is too short")
    return beside, start, length


def _fields(data: mmap, at: int, end: int) -> Iterator[tuple[int, Span, Span]]:
    """Yield each field of a message: number, span of the field, span of its content; raises ValueError if invalid."""
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
            raise ValueError(f"unknown protobuf wire type {kind}")
        if after > end:
            raise ValueError("a protobuf field is longer than its message")
        yield key >> 3, (start, after), (at, after)
        at = after


def _varint(data: mmap, at: int) -> tuple[int, int]:
    """Return a protobuf varint and the position after it."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
