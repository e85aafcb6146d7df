"""Quantize an ONNX model to int8: each value becomes 8-bit steps of its range, each weight 8-bit steps per channel.

Takes a float32 model whose values all have types, and their ranges; returns a model with QuantizeLinear and
DequantizeLinear nodes (QDQ) around the layers, which onnxruntime fuses into integer kernels. Activations are unsigned,
weights signed, zero at zero: signed activations take twice the time on x86. A ReLU disappears into the range of the
layer before it, whose value keeps the ReLU's name. All other nodes keep their names.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnc.diagnostics import CnncError, Code

if TYPE_CHECKING:
    import onnx

    Initializers = Mapping[str, onnx.TensorProto]

LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
ROUNDED = (*LAYERS, "Add", "Mul", "Concat", "AveragePool", "GlobalAveragePool", "Sigmoid", "LeakyRelu", "Resize")
PASSED = ("Relu", "Clip", "MaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Split", "Pad")
OPS = (*ROUNDED, *PASSED)
"""The ops that onnxruntime runs on 8-bit values: those that round them again, and those that pass them on."""

OPSET = 13  # the first with a scale for each channel
TYPED = "float32.onnx"


def prepared(model: "onnx.ModelProto") -> "onnx.ModelProto":
    """Return the model with each batch norm of maps as a 1×1 convolution of each channel.

    onnxruntime has no integer kernel for a batch norm, and would turn its maps to float and back. Those that follow a
    layer have been folded into it before; DenseNet's follow a concatenation.
    """
    result = type(model)()
    result.CopyFrom(model)
    graph = result.graph
    known = {each.name: each for each in graph.initializer}
    ranks = {each.name: len(each.type.tensor_type.shape.dim) for each in (*graph.value_info, *graph.input)}
    for node in graph.node:
        foldable = node.op_type == "BatchNormalization" and len(node.output) == 1 and ranks.get(node.input[0]) == 4
        if foldable and all(name in known for name in node.input[1:]):
            _as_convolution(graph, node, known)
    _drop_unused(graph)
    return result


def _drop_unused(graph: "onnx.GraphProto") -> None:
    """Remove the initializers that no node takes; onnxruntime would warn of each."""
    used = {name for node in graph.node for name in node.input}
    kept = [each for each in graph.initializer if each.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def typed(model: "onnx.ModelProto", folder: Path) -> "onnx.ModelProto":
    """Return the model with the types of all values and a name for each node, also written to `folder/TYPED`.

    Call it inside `quantizing`.
    """
    from onnxruntime.quantization.quant_utils import load_model_with_shape_infer

    for at, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{at}"
    path = folder / TYPED
    path.write_bytes(model.SerializeToString())
    result: onnx.ModelProto = load_model_with_shape_infer(path)
    return result


def require_layers(model: "onnx.ModelProto", path: Path) -> None:
    """Raise E410 unless the model has a layer to quantize and an opset that can express it."""
    opset = next((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), 1)
    kinds = {node.op_type for node in model.graph.node}
    if "QuantizeLinear" in kinds or "DequantizeLinear" in kinds:
        raise _not_reducible(path, "it is quantized already", "quantize the float32 file that it was made from")
    if opset < OPSET:
        help = f"convert it first with `onnx.version_converter.convert_version(model, {OPSET})`, or export it again"
        raise _not_reducible(path, f"its opset is {opset}, int8 with a scale per channel needs {OPSET} or later", help)
    if kinds.isdisjoint(LAYERS):
        raise _not_reducible(path, "it has no convolution, linear layer or matrix product", "use the file as it is")


def _not_reducible(path: Path, reason: str, help: str) -> CnncError:
    return CnncError.of(Code.NOT_REDUCIBLE, f"cannot quantize {path.name}: {reason}", help=help)


def _as_convolution(graph: "onnx.GraphProto", node: "onnx.NodeProto", known: "Initializers") -> None:
    import numpy as np
    from onnx import helper, numpy_helper

    scale, shift, mean, variance = (numpy_helper.to_array(known[name]).astype(np.float64) for name in node.input[1:])
    eps = next((each.f for each in node.attribute if each.name == "epsilon"), 1e-5)
    factor = scale / np.sqrt(variance + eps)
    weight, bias = (node.name + ending for ending in ("/weight", "/bias"))
    graph.initializer.append(numpy_helper.from_array(factor.astype(np.float32).reshape(-1, 1, 1, 1), weight))
    graph.initializer.append(numpy_helper.from_array((shift - mean * factor).astype(np.float32), bias))
    source = node.input[0]
    node.op_type = "Conv"
    node.input[:] = [source, weight, bias]
    del node.attribute[:]
    node.attribute.extend([helper.make_attribute("group", len(factor)), helper.make_attribute("kernel_shape", [1, 1])])


def quantized(
    model: "onnx.ModelProto", ranges: Any, *, only: Collection[str] = (), in_float: Collection[str] = ()
) -> "onnx.ModelProto":
    """Return the quantized model; nodes in `in_float`, and with `only` all others than these, stay in float32.

    Call it inside `quantizing`.
    """
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
    from onnxruntime.quantization.quant_utils import QuantType

    copy = type(model)()
    copy.CopyFrom(model)
    quantizer = QDQQuantizer(
        copy,
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=ranges,
        nodes_to_quantize=list(only),
        nodes_to_exclude=[*in_float, *_before_powers(copy.graph)],
        op_types_to_quantize=list(OPS),
        extra_options={},
    )
    quantizer.quantize_model()
    quantizer.model.topological_sort()
    result: onnx.ModelProto = quantizer.model.model
    _keep_outputs(result.graph)
    _drop_unused(result.graph)
    return result


def _before_powers(graph: "onnx.GraphProto") -> Iterator[str]:
    """Yield the nodes that compute only the base of a power, such as the mean of squares of a local response norm.

    They take no time, and the range of squares is too wide for 8 bits.
    """
    makers = {name: node for node in graph.node for name in node.output}
    uses = Counter(name for node in graph.node for name in {*node.input}) + Counter(each.name for each in graph.output)
    for node in graph.node:
        base = node.input[0] if node.op_type == "Pow" else ""
        while base in makers and uses[base] == 1 and makers[base].input and makers[base].op_type not in LAYERS:
            yield makers[base].name
            base = makers[base].input[0]


def _keep_outputs(graph: "onnx.GraphProto") -> None:
    """Remove the last rounding of the graph's outputs, except a convolution's, whose integer kernel needs one."""
    makers = {name: node for node in graph.node for name in node.output}
    used = {name for node in graph.node for name in node.input}
    for output in graph.output:
        last = makers.get(output.name)
        if last is None or last.op_type != "DequantizeLinear" or output.name in used:
            continue
        rounding = makers[last.input[0]]
        maker = makers.get(rounding.input[0])
        if maker is None or maker.op_type in ("Conv", "ConvTranspose"):
            continue
        maker.output[:] = [output.name if name == rounding.input[0] else name for name in maker.output]
        graph.node.remove(last)
        graph.node.remove(rounding)


def layers(model: "onnx.ModelProto") -> Iterator["onnx.NodeProto"]:
    """Yield the nodes that quantization makes less exact, in order."""
    return (node for node in model.graph.node if node.op_type in ROUNDED)
