"""ONNX's normalisations and reductions as ops."""

from dataclasses import replace
from typing import Any

import numpy as np

from cnnc.importing import patterns
from cnnc.importing.arithmetic import unary
from cnnc.importing.flat_network import FlatNetwork
from cnnc.importing.onnx_nodes import OnnxNode, short
from cnnc.importing.shapes import axis_of, reshaped, shown
from cnnc.importing.values import ConstantArray, GraphTensor, Symbol, Unsupported, place_of
from cnnc.importing.views import along_last, settle

EPS = 1e-5


def _eps(node: OnnxNode) -> dict[str, float]:
    eps = short(node.attr("epsilon", EPS))
    return {} if eps == EPS else {"eps": eps}


def batch_norm(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
    """BatchNormalization in inference."""
    if node.attr("training_mode", 0) or any(name in node.used for name in node.proto.output[1:]):
        raise Unsupported("it is a batch norm in training", "export the model in evaluation: `model.eval()`")
    if node.attr("spatial", 1) != 1:
        raise Unsupported("`spatial` is 0: its statistics differ from position to position")
    roles = ("weight", "bias", "running_mean", "running_var")
    weights = {role: node.known(k, f"its {role}") for k, role in enumerate(roles, start=1)}
    x = settle(net, node.value())
    if any(known.array.shape != (x.sizes[1],) for known in weights.values()):
        raise Unsupported(f"its weights are not vectors of {x.sizes[1]} numbers")
    attributes: dict[str, Any] = _eps(node)
    momentum = short(1 - node.attr("momentum", 0.9))
    if abs(momentum - 0.1) > 1e-6 and 0 <= momentum <= 1:
        attributes["momentum"] = round(momentum, 6)
    return net.add("batch_norm", [x], attributes, weights=weights)


def _plain(weight: ConstantArray, bias: ConstantArray) -> bool:
    return bool((weight.array == 1).all() and (bias.array == 0).all())


def instance_norm(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
    """InstanceNormalization; on a value reshaped to (batch, groups, rest) it is a group norm."""
    x, weight, bias = node.value(), node.known(1, "the weight"), node.known(2, "the bias")
    if len(x.sizes) == 3:
        return _by_group(net, node, x, _plain(weight, bias))
    x = settle(net, x)
    if weight.array.shape != (x.sizes[1],) or bias.array.shape != (x.sizes[1],):
        raise Unsupported(f"its weights are not vectors of {x.sizes[1]} numbers")
    if _plain(weight, bias) and not weight.whole:
        return net.add("instance_norm", [x], _eps(node))
    return net.add("instance_norm", [x], {**_eps(node), "affine": True}, weights={"weight": weight, "bias": bias})


def _by_group(net: FlatNetwork, node: OnnxNode, x: GraphTensor, plain: bool) -> GraphTensor:
    base = GraphTensor(x.made, x.port, x.steps[:-1])
    reshaped_ = bool(x.steps) and x.steps[-1].perm is None and base.sizes[0] == x.sizes[0]
    if not plain or not reshaped_:
        raise Unsupported("it normalises a value of three axes that is no map in groups")
    groups = x.sizes[1]
    normed = net.add("group_norm", [base], {"groups": groups, **_eps(node), "affine": False})
    return GraphTensor(normed.made, normed.port, (*normed.steps, x.steps[-1]))


def group_norm(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
    """GroupNormalization, whose weights are per group before opset 21."""
    x, groups = settle(net, node.value()), node.attr("num_groups")
    weight, bias = node.known(1, "the weight"), node.known(2, "the bias")
    channels = x.sizes[1]
    if weight.array.size == groups != channels:
        weight, bias = (ConstantArray(np.repeat(each.array, channels // groups), each.name) for each in (weight, bias))
    return net.add("group_norm", [x], {"groups": groups, **_eps(node)}, weights={"weight": weight, "bias": bias})


def layer_norm(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
    """LayerNormalization over the last axis, over all axes, or over the channels of a map with channels last."""
    x, weight = node.value(), node.known(1, "the weight")
    node.require_one_output("the mean")
    axis = place_of(node.attr("axis", -1), len(x.sizes))
    last = axis == len(x.sizes) - 1 and bool(x.steps) and _is_over_features(net, x)
    x = x if last else settle(net, x)
    sizes = x.sizes
    if axis == len(sizes) - 1 and (len(sizes) in (2, 3) or last):
        given: dict[str, Any] = {}
    elif axis == 1:
        given = {"over": "all"}
    else:
        raise Unsupported(f"it normalises the axes from {axis} on of a value of {len(sizes)} axes")
    bias = {"bias": node.known(2, "the bias")} if node.has(2) else {}
    weights = {"weight": weight, **bias}
    wrong = [known.array.shape for known in weights.values() if known.array.shape != sizes[axis:]]
    if wrong:
        expected = f"the shape {shown(sizes[axis:])} of the axes that it normalises"
        raise Unsupported(f"its weights must have {expected}, got {shown(wrong[0])}")
    given |= _eps(node)
    if not bias and (weight.array == 1).all():
        given, weights = {**given, "affine": False}, {}
    elif not bias:
        given["bias"] = False
    plain = net.add("layer_norm", [GraphTensor(x.made, x.port) if last else x], given, weights=weights)
    return GraphTensor(plain.made, plain.port, x.steps if last else ())


def _is_over_features(net: FlatNetwork, x: GraphTensor) -> bool:
    """Whether the last axis of a value seen through steps has the channels of a map, or the features of tokens."""
    tokens = len(x.base) == 3 and len(x.sizes) == 4 and x.base[0] == net.batch
    return patterns.channels_last(x) or (tokens and along_last(x))


def local_response_norm(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
    """LRN."""
    given = {
        "size": node.attr("size"),
        "alpha": short(node.attr("alpha", 1e-4)),
        "beta": short(node.attr("beta", 0.75)),
        "k": short(node.attr("bias", 1.0)),
    }
    defaults = {"alpha": 1e-4, "beta": 0.75, "k": 1.0}
    return net.add("local_response_norm", [node.value()], {k: v for k, v in given.items() if defaults.get(k) != v})


def lp_normalization(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
    """LpNormalization with p = 2."""
    if node.attr("p", 2) != 2:
        raise Unsupported(f"its p is {node.attr('p')}; cnnc has the Euclidean norm")
    x = settle(net, node.value())
    axis = axis_of(x, node.attr("axis", -1))
    return net.add("l2_norm", [x], {"axis": axis} if axis else {})


REDUCTIONS = {"ReduceMean": "mean", "ReduceSum": "sum", "ReduceMax": "amax"}


def reduction(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
    """ReduceMean, ReduceSum and ReduceMax; the mean over a map's height and width is a global pool."""
    x, axes = node.value(), node.listed("axes", 1, "the axes")
    keep = bool(node.attr("keepdims", 1))
    if not axes and node.attr("noop_with_empty_axes", 0):
        return x
    rank = len(x.sizes)
    places = sorted(place_of(axis, rank) for axis in axes or range(rank))
    op = REDUCTIONS[node.op]
    if x.op == "_windows" and op == "amax" and places == [x.made.attributes["axis"] + 1] and not keep:
        return _adaptive(net, x)
    x = settle(net, x)
    if 0 in places:
        raise Unsupported("it reduces the batch")
    pool = {"mean": "global_avg_pool", "amax": "global_max_pool"}.get(op)
    if rank == 4 and places == [2, 3] and pool:
        pooled = net.add(pool, [x])
        return pooled if keep else reshaped(pooled, pooled.sizes[:2])
    if not keep and len(places) == rank - 1:
        total = net.add(op, [x], {"axes": [axis - 1 for axis in places]})
        raise Unsupported(f"it leaves no axis but the batch of {total.made.inputs[0].sizes}")
    spec = [axis - 1 for axis in places]
    given: dict[str, Any] = {"axes": spec[0] if len(spec) == 1 else spec}
    return net.add(op, [x], given if keep else {**given, "keep": False})


def _adaptive(net: FlatNetwork, x: GraphTensor) -> GraphTensor:
    """Return the adaptive pool whose windows along an axis `x` holds."""
    axis, source = x.made.attributes["axis"], x.made.inputs[0]
    size: list[Any] = [*source.sizes[2:]]
    size[axis - 2] = x.sizes[axis]
    if source.op == "adaptive_max_pool" and axis == 3:
        source = source.made.inputs[0]
    if any(isinstance(each, Symbol) for each in size):
        raise Unsupported("it pools a map of open height or width by rows")
    return net.add("adaptive_max_pool", [source], {"size": size})


def reduce_l2(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
    """ReduceL2: over one axis it is a part of `l2_norm`, over several the root of a sum of squares."""
    axes = node.listed("axes", 1, "the axes") or []
    if len(axes) != 1 or not node.attr("keepdims", 1):
        squares = replace(node, op="ReduceSum", inputs=[unary(net, "square", node.value()), *node.inputs[1:]])
        return unary(net, "sqrt", reduction(net, squares))
    x = settle(net, node.value())
    place = place_of(axes[0], len(x.sizes))
    sizes = tuple(1 if axis == place else size for axis, size in enumerate(x.sizes))
    return net.part("_l2", [x], sizes, axis=axis_of(x, place))
