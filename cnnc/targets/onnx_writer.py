"""Write an ONNX file in chunks: weights go from their arrays to the disk without a copy.

Takes a model without initializers and their arrays; produces the bytes of the whole ModelProto. protobuf's serializer
would hold the weights three times, and take longer than the rest of a large export. Only keys and lengths of the wire
format are written by hand: https://protobuf.dev/programming-guides/encoding

A protobuf message is limited to 2 GiB. Larger weights go into an external data file next to the model, one after the
other; the model holds the offset of each (https://onnx.ai/onnx/repo-docs/ExternalData.html) and the file's SHA-256.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnc.files.onnx_seal import DATA, sealed
from cnnc.files.write import stage_file

if TYPE_CHECKING:
    import numpy as np
    import onnx

    Array = np.ndarray[Any, np.dtype[Any]]

LENGTH_DELIMITED = 2
LARGEST = 2**31 - 1
SPARE = 2**20  # for everything in a file but the weights
ENDING = ".data"
SMALL = 2**10  # smaller arrays stay in the model: among them are those whose values determine shapes
ALIGNMENT = 2**16  # every system can memory-map a file at multiples of this


@dataclass(frozen=True)
class ExternalData:
    """An external data file: its name, and the offset of each array in it."""

    name: str
    places: Mapping[str, int]


def write(path: Path, model: "onnx.ModelProto", initializers: "Mapping[str, Array]") -> list[Path]:
    """Write a sealed model to a staged path without copying its weights; raises E405.

    Returns the paths of its files: the model, and the external data if the weights are too large for one file.
    """
    if sum(each.nbytes for each in initializers.values()) <= LARGEST - SPARE:
        stage_file(path, lambda file: file.writelines(sealed(chunks(model, initializers))))
        return [path]
    data = ExternalData(f"{path.name}{ENDING}", _laid_out(initializers))
    beside, digest = path.with_name(data.name), sha256()
    for piece in _data_chunks(initializers, data):
        digest.update(piece)
    stage_file(beside, lambda file: file.writelines(_data_chunks(initializers, data)))
    reference = json.dumps({"name": data.name, "sha256": digest.hexdigest()})
    stage_file(
        path, lambda file: file.writelines(sealed(chunks(_with_metadata(model, DATA, reference), initializers, data)))
    )
    return [path, beside]


def _laid_out(initializers: "Mapping[str, Array]") -> dict[str, int]:
    places, end = {}, 0
    for key, array in initializers.items():
        if array.nbytes >= SMALL:
            places[key] = end + -end % ALIGNMENT
            end = places[key] + array.nbytes
    return places


def _data_chunks(initializers: "Mapping[str, Array]", data: ExternalData) -> "Iterator[bytes | memoryview]":
    """Yield the bytes of an external data file."""
    end = 0
    for key, place in data.places.items():
        yield bytes(place - end)
        yield initializers[key].reshape(-1).data.cast("B")
        end = place + initializers[key].nbytes


def _with_metadata(model: "onnx.ModelProto", key: str, value: str) -> "onnx.ModelProto":
    result = type(model)()
    result.CopyFrom(model)
    result.metadata_props.add(key=key, value=value)
    return result


def chunks(
    model: "onnx.ModelProto", initializers: "Mapping[str, Array]", data: ExternalData | None = None
) -> "Iterator[bytes | memoryview]":
    """Yield the bytes of `model` with the arrays, contiguous and little-endian, as its graph's initializers.

    The contents of arrays that have a place in `data` are left out.
    """
    from onnx import GraphProto, ModelProto, TensorProto

    tensors: list[bytes | memoryview] = []
    for name, array in initializers.items():
        if data and name in data.places:
            head = _elsewhere(described(name, array), data, array.nbytes).SerializeToString()
            tensors.append(_opened(GraphProto, "initializer", len(head)) + head)
            continue
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
    """Return an ONNX tensor without its data."""
    from onnx import TensorProto, helper

    kind = helper.np_dtype_to_tensor_dtype(array.dtype.newbyteorder("="))
    return TensorProto(name=name, data_type=kind, dims=array.shape)


def _elsewhere(tensor: "onnx.TensorProto", data: ExternalData, nbytes: int) -> "onnx.TensorProto":
    """Mark the tensor's data as external, and return the tensor."""
    from onnx import TensorProto

    tensor.data_location = TensorProto.EXTERNAL
    place = {"location": data.name, "offset": data.places[tensor.name], "length": nbytes}
    for key, value in place.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def _opened(message: Any, field: str, length: int) -> bytes:
    """Return the key and length before the content of a field of `length` bytes."""
    return _varint(message.DESCRIPTOR.fields_by_name[field].number << 3 | LENGTH_DELIMITED) + _varint(length)


def _varint(value: int) -> bytes:
    """Encode a protobuf varint: seven bits per byte, lowest first; the eighth bit marks that more follow."""
    *more, last = (value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7))
    return bytes([*(each | 0x80 for each in more), last])
