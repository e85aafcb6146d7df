"""ONNX's matrix products as ops: `linear`, `matmul`, and the parts of multi-head attention."""

from dataclasses import replace
from typing import Any

import numpy as np

from cnnc.importing.attention import attended
from cnnc.importing.flat_network import FlatNetwork
from cnnc.importing.onnx_nodes import OnnxNode
from cnnc.importing.patterns import channels_last, rows_of_map
from cnnc.importing.shapes import axis_of, reshaped
from cnnc.importing.values import ConstantArray, GraphTensor, ShapeStep, Symbol, Unsupported, elements, place_of
from cnnc.importing.views import along_last, evaluate, settle, with_last


def gemm(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
    """Gemm of a value with a constant matrix, and a bias."""
    x, matrix = node.value(), node.known(1, "the second matrix")
    if node.attr("transA", 0) or matrix.array.ndim != 2 or len(x.sizes) != 2:
        raise Unsupported("it is not the product of rows with a constant matrix")
    weight = matrix.array if node.attr("transB", 0) else matrix.array.T
    alpha, beta = node.attr("alpha", 1.0), node.attr("beta", 1.0)
    bias = None
    if node.has(2):
        bias = node.known(2, "the bias")
        if bias.array.size not in (1, weight.shape[0]):
            raise Unsupported(f"its bias has the shape {[*bias.array.shape]}")
        vector = np.broadcast_to(bias.array.reshape(-1), weight.shape[:1]).astype(np.float32)
        bias = ConstantArray(vector * np.float32(beta) if beta != 1 else vector, bias.name, bias.whole)
    scaled = weight * np.float32(alpha) if alpha != 1 else weight
    return linear(net, x, ConstantArray(scaled, matrix.name, matrix.whole), bias)


def linear(net: FlatNetwork, x: GraphTensor, weight: ConstantArray, bias: ConstantArray | None = None) -> GraphTensor:
    """Return x · weightᵀ + bias over the last axis."""
    out, features = weight.array.shape
    if x.sizes[-1] != features:
        raise Unsupported(f"its matrix has {features} columns, but its input has {x.sizes[-1]} features")
    weights = {"weight": weight, **({"bias": bias} if bias else {})}
    attributes: dict[str, Any] = {"out": out, **({} if bias else {"bias": False})}
    found = attended(net, x, weights)
    if found is not None:
        return found
    if channels_last(x) or rows_of_map(x):
        pointwise = ConstantArray(weight.array.reshape(out, features, 1, 1), weight.name, weight.whole)
        made = net.add(
            "conv", [GraphTensor(x.made, x.port)], {**attributes, "kernel": 1}, weights={**weights, "weight": pointwise}
        )
        steps = (ShapeStep(each.perm, (*each.sizes[:-1], out), each.origin) for each in x.steps)
        return GraphTensor(made.made, made.port, tuple(steps))
    if not net.traced and len(x.steps) == 2 and channels_last(replace(x, steps=x.steps[:1])) and len(x.sizes) == 2:
        return _of_map(net, x, attributes, weights)
    rows = len(x.sizes) > 2 or x.sizes[0] != net.batch
    if x.steps and rows and len(x.base) in (2, 3) and x.base[0] == net.batch and along_last(x):
        made = net.add("linear", [GraphTensor(x.made, x.port)], attributes, weights=weights)
        return with_last(x, made, out)
    x = settle(net, x)
    if len(x.sizes) == 4:
        positions = reshaped(x, (x.sizes[0], elements(x.sizes[1:3]), features))
        made = net.add("linear", [positions], attributes, weights=weights)
        return reshaped(made, (*x.sizes[:-1], out))
    return net.add("linear", [x], attributes, weights=weights)


def _of_map(net: FlatNetwork, x: GraphTensor, attributes: dict[str, Any], weights: dict[str, Any]) -> GraphTensor:
    """Return the product of a map that is flattened with its channels last, whose weight is put in our order."""
    flat = reshaped(GraphTensor(x.made, x.port), x.sizes)
    _, order = evaluate(x)
    weight = np.empty_like(weights["weight"].array)
    weight[:, order[0]] = weights["weight"].array
    return net.add(
        "linear", [flat], attributes, weights={**weights, "weight": ConstantArray(weight, weights["weight"].name)}
    )


def matmul(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
    """MatMul of a value with a constant matrix, or of two values."""
    a, b = node.inputs
    if isinstance(b, ConstantArray) and isinstance(a, GraphTensor) and b.array.ndim == 2:
        pooled = _pooled(net, a, b.array, axis=3)
        return pooled or linear(net, a, ConstantArray(np.ascontiguousarray(b.array.T), b.name, b.whole))
    if isinstance(a, ConstantArray) and isinstance(b, GraphTensor) and a.array.ndim == 2:
        pooled = _pooled(net, b, a.array.T, axis=2)
        if pooled is not None:
            return pooled
    left, right = node.value(0), node.value(1)
    if _has_one_matrix(left) and _has_one_matrix(right) and right.made.op == "softmax":
        left, right = (reshaped(each, (each.sizes[0], *each.sizes[2:]), net.origin) for each in (left, right))
        found = net.add("matmul", [left, right])
        return reshaped(found, (found.sizes[0], 1, *found.sizes[1:]), net.origin)
    if len(left.sizes) == len(right.sizes) == 3 and left.base[0] == right.base[0] == net.batch:
        swapped = right.steps[-1:] and right.steps[-1].perm == (0, 2, 1) and left.sizes[0] == net.batch
        if swapped:
            return net.add("matmul", [left, GraphTensor(right.made, right.port, right.steps[:-1])], {"transpose": True})
        if left.sizes[0] == right.sizes[0] == net.batch and not left.made.op.startswith("_"):
            return net.add("matmul", [left, right])
    if len(left.sizes) != len(right.sizes):
        raise Unsupported(f"it multiplies values of {len(left.sizes)} and {len(right.sizes)} axes")
    return net.part("_matmul", [left, right], (*left.sizes[:-1], right.sizes[-1]))


def _has_one_matrix(x: GraphTensor) -> bool:
    """Whether a value has a single matrix for each sample, in a stack of its own."""
    return len(x.sizes) == 4 and x.sizes[1] == 1 and not x.made.op.startswith("_")


def _pooled(net: FlatNetwork, x: GraphTensor, matrix: Any, axis: int) -> GraphTensor | None:
    """Return the adaptive pool along an axis that a product with a matrix (size, windows) of averages is."""
    if len(x.sizes) != 4 or any(isinstance(size, Symbol) for size in x.sizes[2:]) or x.steps:
        return None
    size, windows = matrix.shape
    if x.sizes[axis] != size:
        return None
    wanted = np.zeros((size, windows))
    for k in range(windows):
        start, stop = k * size // windows, -(-(k + 1) * size // windows)
        wanted[start:stop, k] = 1 / (stop - start)
    if not np.allclose(matrix, wanted, atol=1e-6):
        return None
    space = [*x.sizes[2:]]
    space[axis - 2] = windows
    if x.op == "adaptive_avg_pool" and axis == 3:
        x = x.made.inputs[0]
    return net.add("adaptive_avg_pool", [x], {"size": space})


def softmax(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
    """Softmax and LogSoftmax, which flatten the axes from theirs on before opset 13."""
    op = {"Softmax": "softmax", "LogSoftmax": "log_softmax"}[node.op]
    x, rank = node.value(), len(node.value().sizes)
    axis = place_of(node.attr("axis", -1 if node.opset >= 13 else 1), rank)
    if x.made.op.startswith("_") or x.sizes[0] != net.batch:
        if axis != rank - 1:
            raise Unsupported("it is a softmax over another axis than the last, of values that only attention has")
        return net.part(f"_{op}", [x], x.sizes)
    x = settle(net, x)
    if node.opset < 13 and any(size != 1 for size in x.sizes[axis + 1 :]):
        if axis != 1:
            raise Unsupported("it is a softmax over several axes")
        flat = net.add(op, [reshaped(x, (x.sizes[0], elements(x.sizes[1:])))])
        return reshaped(flat, x.sizes)
    place = axis_of(x, axis)
    return net.add(op, [x], {"axis": place} if place else {})
