"""Split an ONNX file into its graph and the file positions of its weights, without reading the weights.

Takes a path; returns a model whose float tensors are marked as external, and their positions, in the file itself or in
its external data file.
"""

from math import prod
from os.path import isfile, islink
from pathlib import Path
from typing import IO, TYPE_CHECKING

from cnnc.files.mapped_weights import InFile, Place
from cnnc.files.protobuf import Span, fields, part

if TYPE_CHECKING:
    import onnx


def split(path: Path) -> "tuple[onnx.ModelProto, InFile]":
    """Return the model without the data of its float tensors, and the data by tensor name.

    Raises ValueError or EOFError for a file that is no model.
    """
    from onnx import GraphProto, ModelProto

    model, arrays = ModelProto(), dict[str, Place]()
    with path.open("rb") as file:
        for number, field, content in fields(file, 0, path.stat().st_size):
            if number != ModelProto.GRAPH_FIELD_NUMBER:
                model.MergeFromString(part(file, field))
                continue
            for inner, span, tensor in fields(file, *content):
                if inner != GraphProto.INITIALIZER_FIELD_NUMBER:
                    model.graph.MergeFromString(part(file, span))
                    continue
                name, place = _add_initializer(model.graph, file, tensor, path)
                if place is not None:
                    arrays[name] = place
    return model, InFile(arrays)


def _add_initializer(graph: "onnx.GraphProto", file: IO[bytes], span: Span, path: Path) -> tuple[str, Place | None]:
    """Add a tensor; return its name and, if it has contiguous float data, the place of that data, which is left out."""
    from onnx import TensorProto

    tensor, start, length = graph.initializer.add(), None, 0
    for number, field, content in fields(file, *span):
        if number == TensorProto.RAW_DATA_FIELD_NUMBER:
            start, length = content[0], content[1] - content[0]
        else:
            tensor.MergeFromString(part(file, field))
    if tensor.data_location == TensorProto.EXTERNAL:
        path, start, length = _elsewhere(tensor, path)
    if start is None:
        return tensor.name, None
    del tensor.external_data[:]
    if tensor.data_type == TensorProto.FLOAT and tensor.dims:
        if length != 4 * prod(tensor.dims):
            raise ValueError(f"`{tensor.name}` has {length:,} bytes of data, expected {4 * prod(tensor.dims):,}")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="elsewhere")
        return tensor.name, Place(path, "float32", tuple(tensor.dims), start)
    tensor.data_location = TensorProto.DEFAULT
    with path.open("rb") as data:
        tensor.raw_data = part(data, (start, start + length))
    return tensor.name, None


def _elsewhere(tensor: "onnx.TensorProto", path: Path) -> tuple[Path, int, int]:
    """Return a tensor's external data file, and its offset and length there; raises ValueError if they are invalid."""
    from onnx import helper

    given = {each.key: each.value for each in tensor.external_data}
    beside = path.with_name(given.get("location", ""))
    if islink(beside) or not isfile(beside):
        raise ValueError(f"its external data `{beside.name}` is not a file in its folder")
    start = int(given.get("offset", 0))
    length = int(given.get("length", helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize * prod(tensor.dims)))
    if not 0 <= start <= start + length <= beside.stat().st_size:
        raise ValueError(f"its external data `{beside.name}` is too short")
    return beside, start, length
