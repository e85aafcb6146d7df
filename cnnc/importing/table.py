"""The table of ONNX ops: a row for each, with the function that imports it and the attributes that it covers."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from cnnc.importing import arithmetic, norms, padding, patterns, products, resizing, shapes, windows
from cnnc.importing.arithmetic import affine, clip, unary
from cnnc.importing.flat_network import FlatNetwork
from cnnc.importing.onnx_nodes import OnnxNode, short
from cnnc.importing.torch_markers import CHANNEL_DROPOUTS
from cnnc.importing.values import ConstantArray, Content, GraphTensor, Unsupported
from cnnc.importing.views import settle

Import = Callable[[FlatNetwork, OnnxNode], "Content | Sequence[Content]"]


class ImportRow(NamedTuple):
    """How an ONNX op is imported. A node with an attribute that is not in `attributes` is refused."""

    add: Import
    attributes: tuple[str, ...] = ()


def _plain(op: str) -> Import:
    """Import an op without attributes as `op`."""
    return lambda net, node: unary(net, op, node.value())


def _with(op: str, onnx: str, name: str, default: float, ours: float) -> Import:
    """Import an op whose attribute `onnx` is the spec's `name`; the defaults of both may differ."""

    def add(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
        number = short(node.attr(onnx, default))
        return unary(net, op, node.value(), {} if number == ours else {name: number})

    return add


def _same(net: FlatNetwork, node: OnnxNode) -> Content:
    given = node.inputs[0]
    if given is None:
        raise Unsupported("its input is missing")
    return given


def _dropout(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
    if node.opset >= 12 and node.has(2) and bool(node.known(2, "training_mode").array):
        raise Unsupported("it drops elements: its training_mode is true", "export the model in evaluation")
    node.require_one_output("the mask")
    rate = short(node.scalar(1, 0.5) if node.opset >= 12 else node.attr("ratio", 0.5))  # type: ignore[arg-type]
    if rate == 0:
        return node.value()
    return unary(net, "dropout", node.value(), {} if rate == 0.5 else {"rate": rate})


def _clip(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
    if node.opset < 11:
        return clip(net, node.value(), node.attr("min"), node.attr("max"))
    return clip(net, node.value(), node.scalar(1), node.scalar(2))


def _hard_sigmoid(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
    alpha, beta = node.attr("alpha", 0.2), node.attr("beta", 0.5)
    if abs(alpha - 1 / 6) < 1e-5 and beta == 0.5:
        return unary(net, "hardsigmoid", node.value())
    return clip(net, affine(net, node.value(), alpha, beta), 0.0, 1.0)


def _pow(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
    x, power = node.value(), node.scalar(1)
    if power in POWERS:
        return POWERS[power](net, x)
    if x.made.op.startswith("_") and power is not None:
        return net.part("_pow", [x], x.sizes, power=short(power))
    raise Unsupported(f"its exponent is {power}; cnnc has {', '.join(map(str, POWERS))}")


POWERS: dict[float, Callable[[FlatNetwork, GraphTensor], GraphTensor]] = {
    1.0: lambda net, x: x,
    2.0: lambda net, x: unary(net, "square", x),
    3.0: lambda net, x: arithmetic.binary(net, "mul", x, unary(net, "square", x)),
    4.0: lambda net, x: unary(net, "square", unary(net, "square", x)),
    0.5: lambda net, x: unary(net, "sqrt", x),
    -0.5: lambda net, x: arithmetic.divided(net, unary(net, "sqrt", x), 1.0),
    -1.0: lambda net, x: arithmetic.divided(net, x, 1.0),
}


def _prelu(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
    x, slope = settle(net, node.value()), node.known(1, "the slope")
    array = slope.array
    shape = (1,) * (len(x.sizes) - array.ndim) + array.shape
    channels = x.sizes[1]
    if array.size == 1:
        return net.add("prelu", [x], weights={"weight": ConstantArray(array.reshape(1), slope.name, slope.whole)})
    if shape != (1, channels, *(1 for _ in x.sizes[2:])):
        raise Unsupported(f"its slopes have the shape {[*array.shape]}, neither one number nor one per channel")
    weight = ConstantArray(array.reshape(-1), slope.name, slope.whole)
    return net.add("prelu", [x], {"per_channel": True}, weights={"weight": weight})


def _gelu(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
    mode = node.attr("approximate", "none")
    return unary(net, "gelu", node.value(), {} if mode == "none" else {"approximate": mode})


def _celu(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
    return _with("celu", "alpha", "alpha", 1.0, 1.0)(net, node)  # type: ignore[return-value]


def _selu(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
    alpha, gamma = node.attr("alpha", 1.6732632), node.attr("gamma", 1.0507010)
    if not np.allclose([alpha, gamma], [1.6732632, 1.0507010], rtol=1e-4):
        raise Unsupported(f"its alpha and gamma are {alpha} and {gamma}, not those of the paper")
    return unary(net, "selu", node.value())


def _swish(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
    if node.attr("alpha", 1.0) != 1:
        raise Unsupported(f"its alpha is {node.attr('alpha')}; cnnc's silu has 1")
    return unary(net, "silu", node.value())


def _erf(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
    x = node.value()
    return net.part("_erf", [x], x.sizes)


def _greater(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
    x = node.value()
    return net.part("_greater", [x], x.sizes, than=node.scalar(1))


def _where(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
    """Import the softplus of torch's exporter, which is x where beta·x is large."""
    condition, x, y = node.value(0), node.value(1), node.value(2)
    soft = y.made.op == "softplus" and condition.made.op == "_greater" and patterns.argument(y).same(x)
    if soft and (condition.made.attributes["than"] or 0) >= 15:
        compared, scale, shift = patterns.scaled(patterns.argument(condition))
        if compared.same(x) and shift == 0 and patterns.close(scale, y.made.attributes.get("beta", 1.0)):
            return y
    raise Unsupported("it selects elements by a condition, which cnnc has only as part of softplus")


def _cast(net: FlatNetwork, node: OnnxNode) -> Content:
    given = node.inputs[0]
    if node.op == "CastLike" and isinstance(given, ConstantArray):
        return ConstantArray(given.array.astype(np.float32), given.name, given.whole)
    if node.op == "Cast" and node.attr("to") not in (1, 11):
        raise Unsupported(f"it casts a value to element type {node.attr('to')}; cnnc computes in float32")
    return node.value()


def _negative(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
    return affine(net, node.value(), scale=-1.0)


def _inverse(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
    return arithmetic.divided(net, node.value(), 1.0)


WINDOW = ("auto_pad", "dilations", "kernel_shape", "pads", "strides")
REDUCE = ("axes", "keepdims", "noop_with_empty_axes")

ROWS: dict[str, ImportRow] = {
    "Conv": ImportRow(windows.conv, (*WINDOW, "group")),
    "ConvTranspose": ImportRow(windows.conv_transpose, (*WINDOW, "group", "output_padding", "output_shape")),
    "MaxPool": ImportRow(windows.max_pool, (*WINDOW, "ceil_mode", "storage_order")),
    "AveragePool": ImportRow(windows.average_pool, (*WINDOW, "ceil_mode", "count_include_pad")),
    "LpPool": ImportRow(windows.lp_pool, (*WINDOW, "ceil_mode", "p")),
    "GlobalAveragePool": ImportRow(lambda net, node: net.add("global_avg_pool", [node.value()])),
    "GlobalMaxPool": ImportRow(lambda net, node: net.add("global_max_pool", [node.value()])),
    "Pad": ImportRow(padding.pad, ("mode", "pads", "value")),
    "BatchNormalization": ImportRow(norms.batch_norm, ("epsilon", "momentum", "spatial", "training_mode")),
    "InstanceNormalization": ImportRow(norms.instance_norm, ("epsilon",)),
    "GroupNormalization": ImportRow(norms.group_norm, ("epsilon", "num_groups", "stash_type")),
    "LayerNormalization": ImportRow(norms.layer_norm, ("axis", "epsilon", "stash_type")),
    "LRN": ImportRow(norms.local_response_norm, ("alpha", "beta", "bias", "size")),
    "LpNormalization": ImportRow(norms.lp_normalization, ("axis", "p")),
    "Gemm": ImportRow(products.gemm, ("alpha", "beta", "transA", "transB")),
    "MatMul": ImportRow(products.matmul),
    "Softmax": ImportRow(products.softmax, ("axis",)),
    "LogSoftmax": ImportRow(products.softmax, ("axis",)),
    "ReduceMean": ImportRow(norms.reduction, REDUCE),
    "ReduceSum": ImportRow(norms.reduction, REDUCE),
    "ReduceMax": ImportRow(norms.reduction, REDUCE),
    "ReduceL2": ImportRow(norms.reduce_l2, REDUCE),
    "Add": ImportRow(arithmetic.arithmetic),
    "Sub": ImportRow(arithmetic.arithmetic),
    "Mul": ImportRow(arithmetic.arithmetic),
    "Div": ImportRow(arithmetic.arithmetic),
    "Max": ImportRow(arithmetic.arithmetic),
    "Min": ImportRow(arithmetic.arithmetic),
    "Sum": ImportRow(arithmetic.arithmetic),
    "Mean": ImportRow(arithmetic.mean),
    "Neg": ImportRow(_negative),
    "Reciprocal": ImportRow(_inverse),
    "Pow": ImportRow(_pow),
    "Relu": ImportRow(_plain("relu")),
    "Clip": ImportRow(_clip, ("max", "min")),
    "LeakyRelu": ImportRow(_with("leaky_relu", "alpha", "slope", 0.01, 0.01), ("alpha",)),
    "PRelu": ImportRow(_prelu),
    "Elu": ImportRow(_with("elu", "alpha", "alpha", 1.0, 1.0), ("alpha",)),
    "Selu": ImportRow(_selu, ("alpha", "gamma")),
    "Celu": ImportRow(_celu, ("alpha",)),
    "Sigmoid": ImportRow(_plain("sigmoid")),
    "HardSigmoid": ImportRow(_hard_sigmoid, ("alpha", "beta")),
    "HardSwish": ImportRow(_plain("hardswish")),
    "Swish": ImportRow(_swish, ("alpha",)),
    "Gelu": ImportRow(_gelu, ("approximate",)),
    "Mish": ImportRow(_plain("mish")),
    "Tanh": ImportRow(_plain("tanh")),
    "Softplus": ImportRow(_plain("softplus")),
    "Softsign": ImportRow(_plain("softsign")),
    "Erf": ImportRow(_erf),
    "Greater": ImportRow(_greater),
    "Where": ImportRow(_where),
    "Abs": ImportRow(_plain("abs")),
    "Exp": ImportRow(_plain("exp")),
    "Log": ImportRow(_plain("log")),
    "Sqrt": ImportRow(_plain("sqrt")),
    "Dropout": ImportRow(_dropout, ("ratio", "seed")),
    "Identity": ImportRow(_same),
    "Cast": ImportRow(_cast, ("saturate", "to")),
    "CastLike": ImportRow(_cast, ("saturate",)),
    "Shape": ImportRow(shapes.shape, ("end", "start")),
    "Size": ImportRow(shapes.size),
    "Reshape": ImportRow(shapes.reshape, ("allowzero", "shape")),
    "Flatten": ImportRow(shapes.flatten, ("axis",)),
    "Transpose": ImportRow(shapes.transpose, ("perm",)),
    "Squeeze": ImportRow(shapes.squeeze, ("axes",)),
    "Unsqueeze": ImportRow(shapes.unsqueeze, ("axes",)),
    "Expand": ImportRow(shapes.expand),
    "Concat": ImportRow(shapes.concat, ("axis",)),
    "Split": ImportRow(shapes.split, ("axis", "num_outputs", "split")),
    "Slice": ImportRow(shapes.slice_, ("axes", "ends", "starts")),
    "Gather": ImportRow(shapes.gather, ("axis",)),
    "DepthToSpace": ImportRow(resizing.depth_to_space, ("blocksize", "mode")),
    "SpaceToDepth": ImportRow(resizing.space_to_depth, ("blocksize",)),
    "Upsample": ImportRow(resizing.resize, ("mode", "scales")),
    "Resize": ImportRow(
        resizing.resize,
        (
            "antialias",
            "axes",
            "coordinate_transformation_mode",
            "cubic_coeff_a",
            "exclude_outside",
            "extrapolation_value",
            "keep_aspect_ratio_policy",
            "mode",
            "nearest_mode",
        ),
    ),
}


def _adaptive(kind: str) -> Callable[[FlatNetwork, OnnxNode], Sequence[Content]]:
    def add(net: FlatNetwork, node: OnnxNode) -> Sequence[Content]:
        node.require_one_output("the indices")
        size = list(node.attr("size"))
        if size == [1, 1]:
            return [net.add(f"global_{kind}_pool", [node.value()])]
        return [net.add(f"adaptive_{kind}_pool", [node.value()], {"size": size[0] if size[0] == size[1] else size})]

    return add


def _channel_dropout(net: FlatNetwork, node: OnnxNode) -> Sequence[Content]:
    return [net.add("dropout", [node.value()], {"rate": short(node.attr("rate")), "channels": True})]


MARKERS: dict[str, Callable[[FlatNetwork, OnnxNode], Sequence[Content]]] = {
    "AdaptiveAvgPool2d": _adaptive("avg"),
    "AdaptiveMaxPool2d": _adaptive("max"),
    **dict.fromkeys(CHANNEL_DROPOUTS.values(), _channel_dropout),
}
"""How the nodes that `torch_markers` writes are imported."""
