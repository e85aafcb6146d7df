"""The ONNX target: emit an ONNX model directly from the graph and the state_dict.

Takes a Graph and its weights by the keys of the state_dict; returns a ModelProto. A node and its value are named by the
spec's path; if an op needs several ONNX nodes, the others are named like `PATH/Pad`. The value of a graph output has
the output's name, an initializer has its key as its name (with `.weight` if an output has that name), and the batch is
the dimension `batch`. Values carry the types that the graph has proved, so a model that disagrees with ONNX's shape
inference fails its strict check.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cnnc.diagnostics import CnncError, Code
from cnnc.graph.graph import Graph, Node, Picture, Ref
from cnnc.ops.types import TensorType
from cnnc.targets.choices import OPSET, OPSETS
from cnnc.targets.onnx_writer import described
from cnnc.targets.pixels import emit_normalised
from cnnc.version import __version__

if TYPE_CHECKING:
    import numpy as np
    import onnx

    Array = np.ndarray[Any, np.dtype[Any]]

DIMENSIONS = ("height", "width")


@dataclass(frozen=True)
class Emitted:
    """A model without its initializers, the initializers by name, and the names of the graph's values in it.

    `keys` holds, by the names of the weights, their keys in the state_dict.
    """

    model: "onnx.ModelProto"
    initializers: "Mapping[str, Array]"
    names: Mapping[Ref, str]
    keys: Mapping[str, str]


def lower(
    graph: Graph,
    weights: "Mapping[str, Array]",
    opset: int = OPSET,
    metadata: Mapping[str, str] | None = None,
) -> "onnx.ModelProto":
    """Emit the whole model, with `metadata` as its metadata_props. Raises E406 as `require_exportable` does."""
    emitted = emit(graph, weights, opset, metadata)
    for name, array in emitted.initializers.items():
        tensor = emitted.model.graph.initializer.add()
        tensor.CopyFrom(described(name, array))
        tensor.raw_data = array.tobytes()
    return emitted.model


def emit(
    graph: Graph,
    weights: "Mapping[str, Array]",
    opset: int = OPSET,
    metadata: Mapping[str, str] | None = None,
    pixels: Picture | None = None,
) -> Emitted:
    """Emit the model without its initializers; otherwise like `lower`.

    With `pixels`, the preprocessing of the only input, that input is uint8 (N, H, W, C), and the model normalises it.
    """
    from onnx import helper

    require_exportable(graph, opset)
    emitter = Emitter(graph, weights, opset, pixels)
    for node in graph.nodes:
        emitter.add(node)
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(
        emitter.finish(),
        opset_imports=opsets,
        ir_version=helper.find_min_ir_version_for(opsets),
        producer_name="cnnc",
        producer_version=__version__,
    )
    helper.set_model_props(model, dict(metadata or {}))
    computed = {ref: name for ref, name in emitter.values.items() if ref.node in graph.node}
    return Emitted(model, emitter.initializers, computed, emitter.keys)


def require_exportable(graph: Graph, opset: int) -> None:
    """Raise E406 if the graph cannot become an ONNX file of this opset; needs no weights and imports nothing."""
    if opset not in OPSETS:
        raise CnncError.of(
            Code.NOT_EXPORTABLE,
            f"cannot write ONNX opset {opset}: cnnc writes {OPSETS[0]} to {OPSETS[-1]}",
            help=f"omit `--opset` for {OPSET}, which onnxruntime 1.17 and later support",
        )
    for output in graph.outputs:
        if output.name in {each.name for each in graph.inputs}:
            raise CnncError.of(
                Code.NOT_EXPORTABLE,
                f"`{output.name}` is both an input and an output, but ONNX requires different names",
                output.span,
                help="give the output another name",
            )


class NodeBuilder:
    """Emits the ONNX nodes of one spec node; see ops.base.OnnxBuilder."""

    def __init__(self, emitter: "Emitter", node: Node) -> None:
        self.inputs, self.outputs, self.opset = emitter.graph.input_types(node), node.outputs, emitter.opset
        self._emitter, self._path, self._keys = emitter, node.path, node.keys
        self.emitted: list[onnx.NodeProto] = []

    def op(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output and return the output's name."""
        return self.ops(op_type, 1, *inputs, **attributes)[0]

    def ops(self, op_type: str, outputs: int, *inputs: str, **attributes: Any) -> tuple[str, ...]:
        """Add a node with several outputs and return their names."""
        from onnx import helper

        names = tuple(self._emitter.name(f"{self._path}/{op_type}") for _ in range(outputs))
        self.emitted.append(helper.make_node(op_type, inputs, names, names[0], **attributes))
        return names

    def weight(self, name: str) -> str:
        """Add the initializer of `PATH.name`, or of `PATH` if the name is empty, and return its name."""
        return self._emitter.add_weight(f"{self._keys}.{name}" if name else self._keys)

    def constant(self, value: "list[int] | list[float] | list[list[float]] | int | float") -> str:
        """Add an initializer of int64 or float32 (a scalar, a vector or a matrix) and return its name."""
        import numpy as np

        name = self._emitter.name(f"{self._path}/constant")
        array = np.asarray(value)
        self._emitter.add_initializer(name, array, "int64" if array.dtype.kind == "i" else "float32")
        return name


class Emitter:
    """An ONNX graph under construction: its nodes, initializers, types, and the names in use."""

    def __init__(self, graph: Graph, weights: "Mapping[str, Array]", opset: int, pixels: Picture | None = None) -> None:
        self.graph, self.weights, self.opset, self.pixels = graph, weights, opset, pixels
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, Array] = {}
        self.keys: dict[str, str] = {}
        self.value_infos: list[onnx.ValueInfoProto] = []
        self.values = {Ref(each.name): each.name for each in graph.inputs}
        self.shown = {each.name for each in graph.outputs}
        self.taken = {*weights, *self.values.values(), *self.shown}
        self.output_of = {each.ref: each.name for each in reversed(graph.outputs)}
        if pixels:
            name = graph.inputs[0].name
            self.values[Ref(name)] = emit_normalised(self, name, pixels.mode, pixels)

    def name(self, wanted: str) -> str:
        """Return an unused value name: `wanted`, or `WANTED_2` and so on."""
        name, count = wanted, 1
        while name in self.taken:
            count += 1
            name = f"{wanted}_{count}"
        self.taken.add(name)
        return name

    def apply(self, path: str, op_type: str, *inputs: str, **attributes: Any) -> str:
        """Add a node named like `PATH/OP` and return the name of its output."""
        from onnx import helper

        name = self.name(f"{path}/{op_type}")
        self.nodes.append(helper.make_node(op_type, inputs, [name], name, **attributes))
        return name

    def small(self, path: str, value: Any, dtype: str) -> str:
        """Add a constant named like `PATH/constant` and return its name."""
        import numpy as np

        name = self.name(f"{path}/constant")
        self.add_initializer(name, np.asarray(value), dtype)
        return name

    def add(self, node: Node) -> None:
        """Emit a node of the spec; its values and the ONNX node that computes them are named by its path."""
        builder = NodeBuilder(self, node)
        result = node.op.to_onnx(builder, *(self.values[ref] for ref in node.inputs))
        results = result if isinstance(result, tuple) else (result,)
        made = {name for proto in builder.emitted for name in proto.output}
        renamed = {}
        for port, value in enumerate(results):
            ref = Ref(node.path, port)
            if value in made and value not in renamed:
                renamed[value] = self._final_name(ref)
            self.values[ref] = renamed.get(value, value)
        _rename(builder.emitted, renamed, node.path)
        self.nodes += builder.emitted

    def add_weight(self, key: str) -> str:
        """Add a weight and return its name: its key, unless an output has this name."""
        name = f"{key}.weight" if key in self.shown else key
        self.keys[name] = key
        self.add_initializer(name, self.weights[key], "float32")
        return name

    def add_initializer(self, name: str, array: "Array", dtype: str) -> None:
        """Add a tensor unless its name exists already."""
        import numpy as np

        if name not in self.initializers:
            self.initializers[name] = np.ascontiguousarray(array, np.dtype(dtype).newbyteorder("<")).reshape(
                np.shape(array)
            )

    def finish(self) -> "onnx.GraphProto":
        """Return the graph without its initializers."""
        from onnx import helper

        for output in self.graph.outputs:
            if self.values[output.ref] != output.name:  # the output is an input, or a value with another output's name
                name = f"{output.name}/Identity"
                self.nodes.append(helper.make_node("Identity", [self.values[output.ref]], [output.name], name))
        return helper.make_graph(
            self.nodes,
            self.graph.name,
            [_value_info(each.name, each.type, self._dimensions(each.name), self.pixels) for each in self.graph.inputs],
            [_value_info(each.name, self.graph.type_of(each.ref)) for each in self.graph.outputs],
            doc_string=self.graph.description,
            value_info=self.value_infos,
        )

    def _final_name(self, ref: Ref) -> str:
        if ref in self.output_of:
            return self.output_of[ref]
        name = self.name(self.graph.spelling(ref))
        self.value_infos.append(_value_info(name, self.graph.type_of(ref)))
        return name

    def _dimensions(self, name: str) -> tuple[str, str]:
        """Return the dimension names of an input's unknown height and width, which may differ between inputs."""
        return DIMENSIONS if len(self.graph.inputs) == 1 else (f"{name}_{DIMENSIONS[0]}", f"{name}_{DIMENSIONS[1]}")


def _rename(nodes: "Sequence[onnx.NodeProto]", renamed: Mapping[str, str], path: str) -> None:
    """Rename values to their final names, and the first node that computes one of them to the path."""
    for proto in nodes:
        if not renamed.keys().isdisjoint(proto.output):
            proto.name, path = path, proto.name
        for names in (proto.input, proto.output):
            names[:] = [renamed.get(name, name) for name in names]


def _value_info(
    name: str, type: TensorType, unknown: tuple[str, str] | None = None, pixels: Picture | None = None
) -> "onnx.ValueInfoProto":
    from onnx import TensorProto, helper

    sizes: list[int | str | None] = list(type.shape)
    if unknown and type.is_map:
        sizes[1:] = [size or named for size, named in zip(type.space, unknown, strict=True)]
    if pixels:
        return helper.make_tensor_value_info(name, TensorProto.UINT8, ["batch", *sizes[1:], sizes[0]])
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *sizes])
