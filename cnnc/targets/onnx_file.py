"""An ONNX file, written piece by piece: weights go from their arrays to the disk without a copy.

In goes a model without initializers and the arrays that these are to be; out come the bytes of the whole ModelProto.
protobuf's own serializer would hold them three times, and take longer than all else of a large file's export. What is
written here by hand is of its wire format no more than key and length: https://protobuf.dev/programming-guides/encoding
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import onnx

    Array = np.ndarray[Any, np.dtype[Any]]

LENGTH_DELIMITED = 2


def chunks(model: "onnx.ModelProto", initializers: "Mapping[str, Array]") -> "Iterator[bytes | memoryview]":
    """The bytes of `model` with the arrays, contiguous and little-endian, as its graph's initializers."""
    from onnx import GraphProto, ModelProto, TensorProto

    tensors = []
    for name, array in initializers.items():
        head = described(name, array).SerializeToString() + _opened(TensorProto, "raw_data", array.nbytes)
        tensors += [
            _opened(GraphProto, "initializer", len(head) + array.nbytes) + head,
            array.reshape(-1).data.cast("B"),
        ]
    graph = model.graph.SerializeToString()
    rest = ModelProto()
    rest.CopyFrom(model)
    rest.ClearField("graph")
    yield rest.SerializeToString()
    yield _opened(ModelProto, "graph", len(graph) + sum(map(len, tensors)))
    yield graph
    yield from tensors


def described(name: str, array: "Array") -> "onnx.TensorProto":
    """A tensor of ONNX but for its numbers."""
    from onnx import TensorProto, helper

    kind = helper.np_dtype_to_tensor_dtype(array.dtype.newbyteorder("="))
    return TensorProto(name=name, data_type=kind, dims=array.shape)


def _opened(message: Any, field: str, length: int) -> bytes:
    """The key and the length that a field of so many bytes begins with."""
    return _varint(message.DESCRIPTOR.fields_by_name[field].number << 3 | LENGTH_DELIMITED) + _varint(length)


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the eighth says that more come."""
    *more, last = (value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7))
    return bytes([*(each | 0x80 for each in more), last])
