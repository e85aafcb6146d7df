"""ONNX's convolutions, pools and Pad as ops: `pads`, `auto_pad`, `ceil_mode`, groups and dilation.

Pads in front of a conv or pool are merged into its padding. Each function takes the network and an ONNX node, adds ops
and returns the output; raises Unsupported.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from cnnc.importing import patterns
from cnnc.importing.flat_network import FlatNetwork
from cnnc.importing.onnx_nodes import OnnxNode
from cnnc.importing.padding import cut, four, padding, shorter
from cnnc.importing.shapes import reshaped
from cnnc.importing.values import ConstantArray, GraphTensor, Symbol, Unsupported

AUTO = {"SAME_UPPER": "same", "SAME_LOWER": "same_lower", "VALID": 0}


def pair(given: Any, default: int = 1) -> Any:
    """Return two sizes as a spec has them: one integer if they are equal."""
    sides = [*(given or (default, default))]
    if len(sides) != 2:
        raise Unsupported(f"it has {len(sides)} spatial axes, and cnnc's maps have two")
    return sides[0] if sides[0] == sides[1] else sides


def _pads(node: OnnxNode) -> Any:
    auto = node.attr("auto_pad", "NOTSET")
    if auto in AUTO:
        return AUTO[auto]
    pads = [*node.attr("pads", [0, 0, 0, 0])]
    if len(pads) != 4:
        raise Unsupported(f"it has {len(pads)} pads, and cnnc's maps have two axes")
    return pads if min(pads) < 0 else padding(pads)


def _without_pad(value: GraphTensor, pads: Any, fill: float) -> tuple[GraphTensor, Any]:
    """Return the input before a `pad` node that fills with `fill`, and both pads as one."""
    made = value.made
    constant = made.attributes.get("mode", "constant") == "constant" and made.attributes.get("value", 0.0) == fill
    if value.op not in ("pad", "_pad") or not constant or isinstance(pads, str):
        return value, pads
    return made.inputs[0], padding([a + b for a, b in zip(four(made.attributes["padding"]), four(pads), strict=True)])


def _negative(net: FlatNetwork, x: GraphTensor, pads: Any) -> tuple[GraphTensor, Any]:
    """Return the input cut by negative pads, and the pads without them."""
    if isinstance(pads, list) and len(pads) == 4 and min(pads) < 0:
        x = cut(net, x, pads)
        return x, padding([max(each, 0) for each in pads])
    return x, pads


def conv(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
    """Conv: a weight of (out, channels / group, height, width), and a bias; over one axis it is that of a row."""
    x, weight = node.value(), node.known(1, "the weight")
    shape = weight.array.shape
    if len(shape) == len(x.sizes) == 3:
        row = conv(net, _of_a_row(node, x, weight))
        return reshaped(row, (*row.sizes[:2], row.sizes[3]))
    if len(shape) != 4:
        raise Unsupported(f"its weight has {len(shape)} axes: cnnc has convolutions over two axes only")
    _require_kernel(node, shape)
    x, pads = _without_pad(x, _pads(node), 0.0)
    x, pads = _negative(net, x, pads)
    attributes = shorter(
        {
            "out": shape[0],
            "kernel": pair(shape[2:]),
            "stride": pair(node.attr("strides")),
            "dilation": pair(node.attr("dilations")),
            "padding": pads,
            "groups": node.attr("group", 1),
            "bias": node.has(2),
        },
        stride=1,
        dilation=1,
        padding=0,
        groups=1,
        bias=True,
    )
    _require_channels(x, shape[1] * node.attr("group", 1))
    return net.add("conv", [x], attributes, weights=_weights(node, weight))


def _of_a_row(node: OnnxNode, x: GraphTensor, weight: ConstantArray) -> OnnxNode:
    """Return a convolution over one axis as one over the width of a map of height 1."""
    neutral = {"kernel_shape": 1, "strides": 1, "dilations": 1}
    attributes = {name: [neutral[name], *each] if name in neutral else each for name, each in node.attributes.items()}
    if "pads" in attributes:
        before, after = attributes["pads"]
        attributes["pads"] = [0, before, 0, after]
    kernel = ConstantArray(np.expand_dims(weight.array, 2), weight.name, weight.whole)
    inputs = [reshaped(x, (*x.sizes[:2], 1, x.sizes[2])), kernel, *node.inputs[2:]]
    return replace(node, inputs=inputs, attributes=attributes)


def _weights(node: OnnxNode, weight: ConstantArray) -> dict[str, ConstantArray]:
    return {"weight": weight, **({"bias": node.known(2, "the bias")} if node.has(2) else {})}


def _require_kernel(node: OnnxNode, shape: tuple[int, ...]) -> None:
    given = node.attr("kernel_shape")
    if given is not None and [*given] != [*shape[2:]]:
        raise Unsupported(f"its kernel_shape is {[*given]}, but its weight is {shape}")


def _require_channels(x: GraphTensor, channels: int) -> None:
    if x.sizes[1] != channels:
        raise Unsupported(f"its weight takes {channels} channels, but its input has {x.sizes[1]}")


def conv_transpose(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
    """ConvTranspose: a weight of (channels, out / group, height, width), and a bias."""
    x, weight = node.value(), node.known(1, "the weight")
    shape, groups = weight.array.shape, node.attr("group", 1)
    if len(shape) != 4:
        raise Unsupported(f"its weight has {len(shape)} axes: cnnc has convolutions over two axes only")
    _require_kernel(node, shape)
    _require_channels(x, shape[0])
    pads, extra = _pads(node), pair(node.attr("output_padding"), 0)
    if pads == "same_lower" or node.attr("output_shape"):
        pads, extra = _transposed_pads(node, x, shape)
    if isinstance(pads, list) and min(pads) < 0:
        raise Unsupported(f"its pads are negative: {pads}")
    attributes = shorter(
        {
            "out": shape[1] * groups,
            "kernel": pair(shape[2:]),
            "stride": pair(node.attr("strides")),
            "dilation": pair(node.attr("dilations")),
            "padding": pads,
            "output_padding": extra,
            "groups": groups,
            "bias": node.has(2),
        },
        stride=1,
        dilation=1,
        padding=0,
        output_padding=0,
        groups=1,
        bias=True,
    )
    rows = _zeros_before(net, x)
    if rows is not None:
        before, wide = rows
        attributes["output_padding"] = pair(
            [a + b * c for a, b, c in zip(_two(extra), wide, _two(attributes.get("stride", 1)), strict=True)]
        )
        x = before
    return net.add("conv_transpose", [x], attributes, weights=_weights(node, weight))


def _two(given: Any) -> list[int]:
    return [given, given] if isinstance(given, int) else [*given]


def _zeros_before(net: FlatNetwork, x: GraphTensor) -> tuple[GraphTensor, list[int]] | None:
    """Return the input before zeros at the bottom and right, and their number: they are output padding."""
    if x.op != "pad" or x.made.attributes.get("value", 0.0) != 0 or "mode" in x.made.attributes:
        return None
    top, left, bottom, right = four(x.made.attributes["padding"])
    return (x.made.inputs[0], [bottom, right]) if top == left == 0 else None


def _transposed_pads(node: OnnxNode, x: GraphTensor, shape: tuple[int, ...]) -> tuple[Any, Any]:
    """Return the pads that ONNX computes from `output_shape`, or from `auto_pad`, and the output padding."""
    strides, dilations = node.attr("strides", [1, 1]), node.attr("dilations", [1, 1])
    extra = node.attr("output_padding", [0, 0])
    space = x.sizes[2:]
    if any(isinstance(size, Symbol) for size in space):
        raise Unsupported("its padding depends on an open height or width", "export it with explicit `pads`")
    wanted = node.attr("output_shape") or [size * stride for size, stride in zip(space, strides, strict=True)]
    before, after = [], []
    for k in (0, 1):
        total = strides[k] * (int(space[k]) - 1) + extra[k] + (shape[2 + k] - 1) * dilations[k] + 1 - wanted[-2 + k]  # type: ignore[arg-type]
        half = total // 2
        lower = node.attr("auto_pad", "NOTSET") == "SAME_UPPER"
        before.append(half if lower else total - half)
        after.append(total - half if lower else half)
    return padding([*before, *after]), pair(extra, 0)


def max_pool(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
    """MaxPool, without the indices."""
    node.require_one_output("the indices")
    if node.attr("storage_order", 0):
        raise Unsupported("storage_order is 1")
    x, pads = node.value(), _pads(node)
    for fill in (float("-inf"), -3.4028234663852886e38):
        x, pads = _without_pad(x, pads, fill)
    return net.add("max_pool", [x], _pool(node, pads, dilation=pair(node.attr("dilations"))))


def average_pool(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
    """AveragePool, with or without the padding in the average."""
    if set(node.attr("dilations", [1])) != {1}:
        raise Unsupported("cnnc's avg_pool has no dilation")
    x = node.value()
    if _over_channels(node, x):
        return net.part("_channel_mean", [x], patterns.before_pad(x).sizes, size=node.attr("kernel_shape")[0])
    pads = _pads(node)
    counted = bool(node.attr("count_include_pad", 0))
    before, merged = _without_pad(x, pads, 0.0) if pads == 0 or counted else (x, pads)
    try:
        return _averaged(net, node, before, merged, counted or merged != pads)
    except Unsupported:
        if merged == pads:
            raise
        return _averaged(net, node, x, pads, counted)  # the pads before the pool are more than it may have


def _averaged(net: FlatNetwork, node: OnnxNode, x: GraphTensor, pads: Any, counted: bool) -> GraphTensor:
    """Return the average pool with these pads, which are `counted` or not."""
    attributes = _pool(node, pads)
    kernel = _two(attributes["kernel"])
    if not counted and attributes.get("ceil") is None and kernel == [*x.sizes[2:]] and not attributes.get("padding"):
        return net.add("global_avg_pool", [x])
    if not counted and (attributes.get("padding", 0) != 0):
        attributes["count_padding"] = False
    return net.add("avg_pool", [x], attributes)


def _over_channels(node: OnnxNode, x: GraphTensor) -> bool:
    """Whether it averages squares over channels, which an axis of 1 has made a side of a map: a part of LRN."""
    kernel, pads = [*node.attr("kernel_shape", [])], node.attr("pads", [0])
    if len(x.sizes) == 5:
        own = [kernel[0] // 2, 0, 0] * 2 if node.attr("count_include_pad", 0) else []
        return kernel[1:] == [1, 1] and (not any(pads) or [*pads] == own)
    return x.sizes[1] == 1 and bool(x.steps) and kernel[1:] == [1] and x.made.op == "square" and any(pads)


def lp_pool(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
    """LpPool."""
    if set(node.attr("dilations", [1])) != {1}:
        raise Unsupported("cnnc's lp_pool has no dilation")
    x, pads = _without_pad(node.value(), _pads(node), 0.0)
    return net.add("lp_pool", [x], shorter({"p": node.attr("p", 2), **_pool(node, pads)}, p=2))


def _pool(node: OnnxNode, pads: Any, **more: Any) -> dict[str, Any]:
    kernel = pair(node.attr("kernel_shape"))
    if isinstance(pads, list) and min(pads) < 0:
        raise Unsupported(f"its pads are negative: {pads}")
    return shorter(
        {
            "kernel": kernel,
            "stride": _stride(pair(node.attr("strides")), kernel),
            "padding": pads,
            "ceil": bool(node.attr("ceil_mode", 0)) and not isinstance(pads, str),
            **more,
        },
        stride=None,
        padding=0,
        ceil=False,
        dilation=1,
    )


def _stride(stride: Any, kernel: Any) -> Any:
    """Return None for a stride that is the kernel, which is the default."""
    return None if stride == kernel else stride
