"""The table of ONNX ops: a row for each, with the function that imports it and the attributes that it covers."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from cnnc.importing import arithmetic, norms, products, shapes, windows
from cnnc.importing.arithmetic import affine, clip, unary
from cnnc.importing.flat_network import FlatNetwork
from cnnc.importing.onnx_nodes import OnnxNode, short
from cnnc.importing.values import Content, Known, Unsupported, Value
from cnnc.importing.views import settle

Import = Callable[[FlatNetwork, OnnxNode], "Content | Sequence[Content]"]


class Row(NamedTuple):
    """How an ONNX op is imported. A node with an attribute that is not in `attributes` is refused."""

    add: Import
    attributes: tuple[str, ...] = ()


def _plain(op: str) -> Import:
    """Import an op without attributes as `op`."""
    return lambda net, node: unary(net, op, node.value())


def _with(op: str, onnx: str, name: str, default: float, ours: float) -> Import:
    """Import an op whose attribute `onnx` is the spec's `name`; the defaults of both may differ."""

    def add(net: FlatNetwork, node: OnnxNode) -> Value:
        number = short(node.attr(onnx, default))
        return unary(net, op, node.value(), {} if number == ours else {name: number})

    return add


def _same(net: FlatNetwork, node: OnnxNode) -> Content:
    given = node.inputs[0]
    if given is None:
        raise Unsupported("its input is missing")
    return given


def _dropout(net: FlatNetwork, node: OnnxNode) -> Value:
    if node.opset >= 12 and node.has(2) and bool(node.known(2, "training_mode").array):
        raise Unsupported("it drops elements: its training_mode is true", "export the model in evaluation")
    node.require_one_output("the mask")
    rate = short(node.scalar(1, 0.5) if node.opset >= 12 else node.attr("ratio", 0.5))  # type: ignore[arg-type]
    return unary(net, "dropout", node.value(), {} if rate == 0.5 else {"rate": rate})


def _clip(net: FlatNetwork, node: OnnxNode) -> Value:
    if node.opset < 11:
        return clip(net, node.value(), node.attr("min"), node.attr("max"))
    return clip(net, node.value(), node.scalar(1), node.scalar(2))


def _hard_sigmoid(net: FlatNetwork, node: OnnxNode) -> Value:
    alpha, beta = node.attr("alpha", 0.2), node.attr("beta", 0.5)
    if abs(alpha - 1 / 6) < 1e-5 and beta == 0.5:
        return unary(net, "hardsigmoid", node.value())
    return clip(net, affine(net, node.value(), alpha, beta), 0.0, 1.0)


def _pow(net: FlatNetwork, node: OnnxNode) -> Value:
    x, power = node.value(), node.scalar(1)
    if power == 1:
        return x
    if power == 2:
        return unary(net, "square", x)
    if power == 3:
        return arithmetic.binary(net, "mul", x, unary(net, "square", x))
    if power == 4:
        return unary(net, "square", unary(net, "square", x))
    if power == 0.5:
        return unary(net, "sqrt", x)
    if power in (-0.5, -1.0):
        return arithmetic.divided(net, unary(net, "sqrt", x) if power == -0.5 else x, 1.0)
    raise Unsupported(f"its exponent is {power}; cnnc has the powers 2, 3, 4, 1/2, -1/2 and -1")


def _prelu(net: FlatNetwork, node: OnnxNode) -> Value:
    x, slope = settle(net, node.value()), node.known(1, "the slope")
    array = slope.array
    shape = (1,) * (len(x.sizes) - array.ndim) + array.shape
    channels = x.sizes[1]
    if array.size == 1:
        return net.add("prelu", [x], weights={"weight": Known(array.reshape(1), slope.name, slope.whole)})
    if shape != (1, channels, *(1 for _ in x.sizes[2:])):
        raise Unsupported(f"its slopes have the shape {[*array.shape]}, neither one number nor one per channel")
    weight = Known(array.reshape(-1), slope.name, slope.whole)
    return net.add("prelu", [x], {"per_channel": True}, weights={"weight": weight})


def _gelu(net: FlatNetwork, node: OnnxNode) -> Value:
    mode = node.attr("approximate", "none")
    return unary(net, "gelu", node.value(), {} if mode == "none" else {"approximate": mode})


def _celu(net: FlatNetwork, node: OnnxNode) -> Value:
    return _with("celu", "alpha", "alpha", 1.0, 1.0)(net, node)  # type: ignore[return-value]


def _selu(net: FlatNetwork, node: OnnxNode) -> Value:
    alpha, gamma = node.attr("alpha", 1.6732632), node.attr("gamma", 1.0507010)
    if not np.allclose([alpha, gamma], [1.6732632, 1.0507010], rtol=1e-4):
        raise Unsupported(f"its alpha and gamma are {alpha} and {gamma}, not those of the paper")
    return unary(net, "selu", node.value())


def _swish(net: FlatNetwork, node: OnnxNode) -> Value:
    if node.attr("alpha", 1.0) != 1:
        raise Unsupported(f"its alpha is {node.attr('alpha')}; cnnc's silu has 1")
    return unary(net, "silu", node.value())


def _erf(net: FlatNetwork, node: OnnxNode) -> Value:
    x = node.value()
    return net.part("_erf", [x], x.sizes)


def _cast(net: FlatNetwork, node: OnnxNode) -> Value:
    if node.op == "Cast" and node.attr("to") not in (1, 11):
        raise Unsupported(f"it casts a value to element type {node.attr('to')}; cnnc computes in float32")
    return node.value()


def _negative(net: FlatNetwork, node: OnnxNode) -> Value:
    return affine(net, node.value(), scale=-1.0)


def _inverse(net: FlatNetwork, node: OnnxNode) -> Value:
    return arithmetic.divided(net, node.value(), 1.0)


WINDOW = ("auto_pad", "dilations", "kernel_shape", "pads", "strides")
REDUCE = ("axes", "keepdims", "noop_with_empty_axes")

ROWS: dict[str, Row] = {
    "Conv": Row(windows.conv, (*WINDOW, "group")),
    "ConvTranspose": Row(windows.conv_transpose, (*WINDOW, "group", "output_padding", "output_shape")),
    "MaxPool": Row(windows.max_pool, (*WINDOW, "ceil_mode", "storage_order")),
    "AveragePool": Row(windows.average_pool, (*WINDOW, "ceil_mode", "count_include_pad")),
    "LpPool": Row(windows.lp_pool, (*WINDOW, "ceil_mode", "p")),
    "GlobalAveragePool": Row(lambda net, node: net.add("global_avg_pool", [node.value()])),
    "GlobalMaxPool": Row(lambda net, node: net.add("global_max_pool", [node.value()])),
    "Pad": Row(windows.pad, ("mode", "pads", "value")),
    "BatchNormalization": Row(norms.batch_norm, ("epsilon", "momentum", "spatial", "training_mode")),
    "InstanceNormalization": Row(norms.instance_norm, ("epsilon",)),
    "GroupNormalization": Row(norms.group_norm, ("epsilon", "num_groups", "stash_type")),
    "LayerNormalization": Row(norms.layer_norm, ("axis", "epsilon", "stash_type")),
    "LRN": Row(norms.local_response_norm, ("alpha", "beta", "bias", "size")),
    "LpNormalization": Row(norms.lp_normalization, ("axis", "p")),
    "Gemm": Row(products.gemm, ("alpha", "beta", "transA", "transB")),
    "MatMul": Row(products.matmul),
    "Softmax": Row(products.softmax, ("axis",)),
    "LogSoftmax": Row(products.softmax, ("axis",)),
    "ReduceMean": Row(norms.reduction, REDUCE),
    "ReduceSum": Row(norms.reduction, REDUCE),
    "ReduceMax": Row(norms.reduction, REDUCE),
    "ReduceL2": Row(norms.reduce_l2, REDUCE),
    "Add": Row(arithmetic.arithmetic),
    "Sub": Row(arithmetic.arithmetic),
    "Mul": Row(arithmetic.arithmetic),
    "Div": Row(arithmetic.arithmetic),
    "Max": Row(arithmetic.arithmetic),
    "Min": Row(arithmetic.arithmetic),
    "Sum": Row(arithmetic.arithmetic),
    "Mean": Row(arithmetic.mean),
    "Neg": Row(_negative),
    "Reciprocal": Row(_inverse),
    "Pow": Row(_pow),
    "Relu": Row(_plain("relu")),
    "Clip": Row(_clip, ("max", "min")),
    "LeakyRelu": Row(_with("leaky_relu", "alpha", "slope", 0.01, 0.01), ("alpha",)),
    "PRelu": Row(_prelu),
    "Elu": Row(_with("elu", "alpha", "alpha", 1.0, 1.0), ("alpha",)),
    "Selu": Row(_selu, ("alpha", "gamma")),
    "Celu": Row(_celu, ("alpha",)),
    "Sigmoid": Row(_plain("sigmoid")),
    "HardSigmoid": Row(_hard_sigmoid, ("alpha", "beta")),
    "HardSwish": Row(_plain("hardswish")),
    "Swish": Row(_swish, ("alpha",)),
    "Gelu": Row(_gelu, ("approximate",)),
    "Mish": Row(_plain("mish")),
    "Tanh": Row(_plain("tanh")),
    "Softplus": Row(_plain("softplus")),
    "Softsign": Row(_plain("softsign")),
    "Erf": Row(_erf),
    "Abs": Row(_plain("abs")),
    "Exp": Row(_plain("exp")),
    "Log": Row(_plain("log")),
    "Sqrt": Row(_plain("sqrt")),
    "Dropout": Row(_dropout, ("ratio", "seed")),
    "Identity": Row(_same),
    "Cast": Row(_cast, ("saturate", "to")),
    "CastLike": Row(_cast, ("saturate",)),
    "Shape": Row(shapes.shape, ("end", "start")),
    "Size": Row(shapes.size),
    "Reshape": Row(shapes.reshape, ("allowzero", "shape")),
    "Flatten": Row(shapes.flatten, ("axis",)),
    "Transpose": Row(shapes.transpose, ("perm",)),
    "Squeeze": Row(shapes.squeeze, ("axes",)),
    "Unsqueeze": Row(shapes.unsqueeze, ("axes",)),
    "Expand": Row(shapes.expand),
    "Concat": Row(shapes.concat, ("axis",)),
    "Split": Row(shapes.split, ("axis", "num_outputs", "split")),
    "Slice": Row(shapes.slice_, ("axes", "ends", "starts")),
    "Gather": Row(shapes.gather, ("axis",)),
    "DepthToSpace": Row(shapes.depth_to_space, ("blocksize", "mode")),
    "SpaceToDepth": Row(shapes.space_to_depth, ("blocksize",)),
    "Upsample": Row(shapes.resize, ("mode", "scales")),
    "Resize": Row(
        shapes.resize,
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
