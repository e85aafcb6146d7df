"""Open an ONNX file for import, and refuse what an import does not take.

Takes a path; returns an `OnnxFile`: the graph, its opset, its constants by name, its inputs and outputs. The file is
not trusted. Its sizes are limited, weights in other files are read only if the caller allows it, and training graphs,
control flow, quantised graphs and types other than float32 are refused, all in one error (E411).
"""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from cnnc.artifacts.contract import CONTRACT, Contract
from cnnc.diagnostics import CnncError, Code, counted
from cnnc.files.mapped_weights import InFile
from cnnc.files.onnx_header import read_model, unreadable
from cnnc.files.onnx_seal import Changed, require_intact
from cnnc.importing import channels_last
from cnnc.targets.onnx_parts import split

if TYPE_CHECKING:
    import numpy as np
    import onnx

    Array = np.ndarray[Any, np.dtype[Any]]

OLDEST, NEWEST = 9, 26
MOST_NODES = 50_000
MOST_ELEMENTS = 2 * 10**9
FLOAT = 1
CONTROL = ("Loop", "Scan", "SequenceMap")
QUANTISED = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger")
RECURRENT = ("LSTM", "GRU", "RNN")
EXTERNAL = "--allow-external lets `cnnc import` read weights in other files of the model's folder"


@dataclass(frozen=True)
class OnnxInput:
    """An input: its name, and its shape with the batch; None for an open size."""

    name: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True, eq=False)
class OnnxFile:
    """An opened model."""

    path: Path
    graph: "onnx.GraphProto"
    opset: int
    floats: InFile
    metadata: dict[str, str]

    @cached_property
    def initializers(self) -> "dict[str, onnx.TensorProto]":
        return {each.name: each for each in self.graph.initializer}

    @cached_property
    def contract(self) -> Contract | None:
        """The contract of a file that cnnc has built."""
        text = self.metadata.get(CONTRACT)
        return None if text is None else Contract.from_json(text)

    @cached_property
    def inputs(self) -> tuple[OnnxInput, ...]:
        return tuple(_input(each) for each in self.graph.input if each.name not in self.initializers)

    @cached_property
    def channels_last(self) -> frozenset[str]:
        """The inputs that are maps with their channels as the last axis, which the graph only transposes."""
        maps = (each.name for each in self.inputs if len(each.shape) == channels_last.RANK)
        return frozenset(each for each in maps if channels_last.transposes_first(self.graph, each))

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(each.name for each in self.graph.output)

    def constant(self, name: str) -> "Array":
        """Return the contents of an initializer."""
        return self.floats[name] if name in self.floats else as_array(self.path, self.initializers[name])


def as_array(path: Path, tensor: "onnx.TensorProto") -> "Array":
    """Return a tensor's contents; raises CnncError (E501) if it is damaged."""
    from onnx import numpy_helper

    try:
        array: Array = numpy_helper.to_array(tensor)
    except Exception as error:  # foreign bytes: numpy and onnx raise what they like
        raise unreadable(str(path), f"its tensor {tensor.name!r} is damaged ({str(error)[:100]})") from error
    return array


def refused(path: Path, why: str, help: str | None = None) -> CnncError:
    """Return E411 about the whole file."""
    return CnncError.of(Code.NOT_IMPORTABLE, f"cannot import {path}: {why}", help=help)


def open_onnx(path: str | os.PathLike[str], *, allow_external: bool = False) -> OnnxFile:
    """Open the file; raises CnncError: E501 if it is no ONNX model, E411 if it is one that cannot be imported."""
    file = read_model(path)
    place = Path(path)
    try:
        model, floats = _parts(place, allow_external=allow_external)
        _require_inside(place, model.graph)
        require_intact(place, file.metadata)
        _require_text(model)
    except (CnncError, ImportError):
        raise
    except Changed as error:
        raise unreadable(file.path, f"it is {error}") from error
    except Exception as error:  # foreign bytes: protobuf and numpy raise what they like
        reason = shorten(str(error).strip() or type(error).__name__, 200, placeholder=" …")
        raise unreadable(file.path, f"it is damaged ({reason})") from error
    _require_sizes(place, model)
    opset = _opset(place, model)
    _require_ops(place, model)
    return OnnxFile(place, model.graph, opset, floats, file.metadata)


def _parts(path: Path, *, allow_external: bool) -> "tuple[onnx.ModelProto, InFile]":
    """Return the model and its weights; raises E411 if they are in other files, unless `allow_external`."""
    from onnx import TensorProto, load_model

    bare = None
    if not allow_external:
        bare = load_model(path, load_external_data=False)
        elsewhere = [each for each in bare.graph.initializer if each.data_location == TensorProto.EXTERNAL]
        if elsewhere:
            names = {entry.value for each in elsewhere for entry in each.external_data if entry.key == "location"}
            where = ", ".join(sorted(map(repr, names))[:3])
            raise refused(path, f"it has weights in another file, {where}", EXTERNAL)
    return split(path)


def _require_inside(path: Path, graph: "onnx.GraphProto") -> None:
    """Raise E411 for a tensor in another file, unless it is an initializer of the graph itself."""
    from onnx import TensorProto

    for node in graph.node:
        for attribute in node.attribute:
            inner = [each for each in (attribute.g, *attribute.graphs) if each.node or each.initializer]
            sparse = [attribute.sparse_tensor, *attribute.sparse_tensors]
            tensors = [
                attribute.t,
                *attribute.tensors,
                *(part for each in sparse for part in (each.values, each.indices)),
            ]
            tensors += [each for part in inner for each in part.initializer]
            if any(each.data_location == TensorProto.EXTERNAL for each in tensors):
                why = f"node {node.name or node.op_type!r} has a constant in another file"
                raise refused(path, why, "save the model with all its constants inside: `onnx.save_model(model, path)`")
            for each in inner:
                _require_inside(path, each)


def _require_text(model: "onnx.ModelProto") -> None:
    """Raise ValueError for a name that is not UTF-8, which protobuf returns as bytes."""
    graph = model.graph
    for node in graph.node:
        noted = (text for each in node.metadata_props for text in (each.key, each.value))
        texts = (node.name, node.op_type, node.domain, *node.input, *node.output, *noted)
        if not all(isinstance(each, str) for each in texts):
            raise ValueError("a node has a name that is not UTF-8")
    names = (each.name for port in (graph.input, graph.output, graph.initializer) for each in port)
    if not all(isinstance(each, str) for each in names):
        raise ValueError("a value has a name that is not UTF-8")


def _require_sizes(path: Path, model: "onnx.ModelProto") -> None:
    graph = model.graph
    if len(graph.node) > MOST_NODES:
        raise refused(path, f"it has {len(graph.node):,} nodes; at most {MOST_NODES:,} are imported")
    for each in graph.initializer:
        if any(size < 0 for size in each.dims) or prod(each.dims) > MOST_ELEMENTS:
            raise refused(path, f"its tensor {each.name!r} has the shape {list(each.dims)}")
    if len(model.training_info):
        raise refused(path, "it is a training graph", "export the network alone, in evaluation")
    if len(graph.sparse_initializer):
        raise refused(path, "it has sparse weights", "export dense weights")
    if len(model.functions):
        listed = ", ".join(sorted({each.name for each in model.functions})[:3])
        help = "inline them: `onnx.inliner.inline_local_functions(model)`"
        raise refused(path, f"it has functions of its own ({listed})", help)


def _opset(path: Path, model: "onnx.ModelProto") -> int:
    found = {each.domain: each.version for each in model.opset_import}
    version = found.get("", found.get("ai.onnx"))
    if version is None or not OLDEST <= version <= NEWEST:
        help = "convert it with `onnx.version_converter`, or export it again with another opset"
        raise refused(path, f"its opset is {version}; {OLDEST} to {NEWEST} are imported", help)
    return int(version)


def _require_ops(path: Path, model: "onnx.ModelProto") -> None:
    """Raise E411 for kinds of graphs that are refused as a whole."""
    ops = Counter(node.op_type for node in model.graph.node)
    kinds = (
        (CONTROL, "it has control flow", "export it by tracing, so that only the nodes that run are in the file"),
        (QUANTISED, "it is quantised to 8 bits", "import the float32 file that it was made from"),
        (RECURRENT, "it has recurrent layers", "cnnc has no recurrent layers"),
    )
    for names, why, help in kinds:
        found = [f"{counted(ops[name], name)}" for name in names if ops[name]]
        found += [
            f"{counted(count, name)}"
            for name, count in ops.items()
            if why.endswith("bits") and name.startswith("QLinear")
        ]
        if found:
            raise refused(path, f"{why}: {', '.join(found)}", help)


def _input(info: "onnx.ValueInfoProto") -> OnnxInput:
    tensor = info.type.tensor_type
    sides = [each.dim_value if each.WhichOneof("value") == "dim_value" else None for each in tensor.shape.dim]
    return OnnxInput(info.name, tuple(None if side is None or side < 1 else side for side in sides))


def require_ports(file: OnnxFile, sizes: Mapping[str, Sequence[int]]) -> None:
    """Raise E411 unless the inputs are float32 with a batch, and open only in batch, height and width.

    `sizes` are shapes, without the batch, for inputs with open sizes.
    """
    from onnx import TensorProto

    if not file.inputs or not file.outputs:
        raise refused(file.path, "it has no input or no output that depends on one")
    kinds = {each.name: each.type.tensor_type.elem_type for each in file.graph.input}
    for each in file.inputs:
        if kinds[each.name] != FLOAT:
            known = TensorProto.DataType.values()
            kind = TensorProto.DataType.Name(kinds[each.name]).lower() if kinds[each.name] in known else "no tensor"
            help = "export it with float32 inputs" if kind != "uint8" else "build it without `--uint8`"
            raise refused(file.path, f"its input {each.name!r} is {kind}, not float32", help)
        if len(each.shape) not in (2, 4):
            why = f"its input {each.name!r} has {len(each.shape)} axes, but a spec takes maps (4) and vectors (2)"
            raise refused(file.path, why)
        shape = (each.shape[0], *sizes.get(each.name, each.shape[1:]))
        last = each.name in file.channels_last
        may_be_open = {0, 1, 2} if last else {0, 2, 3} if len(shape) == channels_last.RANK else {0}
        if any(size is None and axis not in may_be_open for axis, size in enumerate(shape)):
            shown = [("?" if size is None else size) for size in each.shape]
            help = f"set them with --input-size, as in `--input-size {'224,224,3' if last else '3,224,224'}`"
            raise refused(
                file.path,
                f"its input {each.name!r} has the shape {shown}: only the batch, height and width may be open",
                help,
            )
