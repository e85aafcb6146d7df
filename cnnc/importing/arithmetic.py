"""ONNX's arithmetic as ops: two values, or a value and a constant.

A constant of one number becomes `affine`, one per channel the `scale`, bias or batch norm that it belongs to, and any
other a `parameter`. `cnnc.importing.patterns` recognises activations and norms that were written in parts.
"""

from typing import Any

import numpy as np

from cnnc.importing import patterns
from cnnc.importing.flat_network import FlatNetwork, type_of
from cnnc.importing.grouped_maps import without_groups
from cnnc.importing.onnx_nodes import OnnxNode, is_scalar, short
from cnnc.importing.values import ConstantArray, GraphTensor, ShapeStep, Unsupported
from cnnc.importing.views import settle
from cnnc.importing.weights_after import with_tensor

OPS = {"Add": "add", "Sum": "add", "Sub": "sub", "Mul": "mul", "Div": "div", "Max": "maximum", "Min": "minimum"}


def arithmetic(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
    """Add, Sub, Mul, Div, Max, Min, Sum and Mean of values and constants."""
    op = OPS[node.op]
    given = [each for each in node.inputs if each is not None]
    if len(given) == 1:
        return node.value()
    result = given[0]
    for each in given[1:]:
        result = _two(net, op, result, each)
    if not isinstance(result, GraphTensor):
        raise Unsupported("its inputs are constant")
    return result


def mean(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
    """Mean of several values."""
    values = [node.value(k) for k in range(len(node.inputs))]
    total = net.add("add", values) if len(values) > 1 else values[0]
    return affine(net, total, scale=1 / len(values))


def _two(net: FlatNetwork, op: str, a: Any, b: Any) -> Any:
    if isinstance(a, ConstantArray):
        if isinstance(b, ConstantArray):
            raise Unsupported("its inputs are constant")
        return _with_constant(net, op, b, a, first=True)
    if isinstance(b, ConstantArray):
        return _with_constant(net, op, a, b, first=False)
    return binary(net, op, a, b)


def binary(net: FlatNetwork, op: str, a: GraphTensor, b: GraphTensor) -> GraphTensor:
    """Return an operation on two values, or the op of the pattern that it completes."""
    found = patterns.of_two(net, op, a, b) or _continued(net, op, a, b) or _of_groups(net, op, a, b)
    if found is not None:
        return found
    if a.made.op.startswith("_") or b.made.op.startswith("_"):
        return net.part(f"_{op}", [a, b], a.sizes if len(a.sizes) >= len(b.sizes) else b.sizes)
    if a.steps and a.steps == b.steps and a.base == b.base:
        plain = net.add(op, [GraphTensor(a.made, a.port), GraphTensor(b.made, b.port)])
        return GraphTensor(plain.made, plain.port, a.steps)
    return _of_equal_rank(net, op, settle(net, a), settle(net, b))


def _continued(net: FlatNetwork, op: str, total: GraphTensor, more: GraphTensor) -> GraphTensor | None:
    """Return the operation on three values or more, if one call of a torch module computes both of its parts."""
    if total.op == f"_{op}" and total.made.attributes.get("open"):
        return net.add(op, [*total.made.inputs, more])
    scopes = [_scope(each) for each in (total.made.origin, net.origin)]
    shapes = {each.sizes for each in (*total.made.inputs, more)}
    apart = total.made.is_shared or None in scopes or scopes[0] != scopes[1] or len(shapes) > 1
    return net.add(op, [*total.made.inputs, more]) if op == total.op == "add" and not apart else None


def _scope(origin: Any) -> str | None:
    """Return the path of the module that a node of torch's exporter is in; None for other names."""
    return origin.name.rpartition("/")[0] if origin is not None and origin.name.startswith("/") else None


def _of_groups(net: FlatNetwork, op: str, a: GraphTensor, b: GraphTensor) -> GraphTensor | None:
    """Return the operation on maps in groups of channels and a number for each channel; None for other values."""
    merged = without_groups(a, b)
    return merged and binary(net, op, *merged).through(ShapeStep(None, a.sizes, net.origin))


def _of_equal_rank(net: FlatNetwork, op: str, a: GraphTensor, b: GraphTensor) -> GraphTensor:
    """Return the operation; ONNX puts axes of 1 in front of the shorter shape, where cnnc has no axes to put."""
    if a.same(b) and op in ("add", "maximum", "minimum"):
        return affine(net, a, scale=2.0) if op == "add" else a
    if a.same(b) and op == "mul":
        return net.add("square", [a])
    if len(a.sizes) != len(b.sizes):
        raise Unsupported(
            f"its inputs have {len(a.sizes)} and {len(b.sizes)} axes, which ONNX aligns without regard to the batch"
        )
    try:
        return net.add(op, [a, b])
    except Unsupported:
        if op in ("sub", "div"):
            raise
    return net.part(f"_{op}", [a, b], a.sizes, open=True)  # until a third input has the shape of the result


def _with_constant(net: FlatNetwork, op: str, x: GraphTensor, known: ConstantArray, *, first: bool) -> GraphTensor:
    """Return the operation on a value and a constant, which is its first operand if `first`."""
    if known.array.dtype == object:
        raise Unsupported("it computes with the batch, or with an open height or width")
    if is_scalar(known) and known.array.ndim <= len(x.sizes):
        return _with_number(net, op, x, float(known.array.ravel()[0]), first=first)
    if op == "sub" and first:
        x, op = affine(net, x, scale=-1.0), "add"
    if op == "sub":
        known, op = ConstantArray(-known.array, known.name), "add"
    if op == "div" and not first:
        known, op = ConstantArray(1 / known.array, known.name), "mul"
    return with_tensor(net, op, x, known) or _with_tensor(net, op, x, known, first=first)


def _with_number(net: FlatNetwork, op: str, x: GraphTensor, number: float, *, first: bool) -> GraphTensor:
    if op in ("maximum", "minimum"):
        return clip(net, x, **{"min" if op == "maximum" else "max": number})
    if op == "div" and first:
        return divided(net, x, number)
    scale, shift = {
        "add": (1.0, number),
        "sub": (-1.0, number) if first else (1.0, -number),
        "mul": (number, 0.0),
        "div": (1 / number if number else np.inf, 0.0),
    }[op]
    if not np.isfinite([scale, shift]).all():
        raise Unsupported(f"it computes with the number {number}")
    return affine(net, x, scale=scale, shift=shift)


def divided(net: FlatNetwork, x: GraphTensor, number: float) -> GraphTensor:
    """Return a number divided by a value."""
    if x.made.op.startswith("_") or x.op in ("sqrt", "_sqrt"):
        return net.part("_inverse", [x], x.sizes, number=number)
    x = settle(net, x)
    shape = type_of(x)
    if not shape.known:
        raise Unsupported("it divides a number by a value of open height or width")
    number_of_each = net.add("constant", [], {"shape": [*shape.shape], "value": short(number)})
    return net.add("div", [number_of_each, x])


def affine(net: FlatNetwork, x: GraphTensor, scale: float = 1.0, shift: float = 0.0) -> GraphTensor:
    """Return scale · x + shift, merged with an affine that computes x."""
    if x.op in ("affine", "_affine"):
        before = x.made.attributes
        scale, shift = before.get("scale", 1.0) * scale, before.get("shift", 0.0) * scale + shift
        x = x.made.inputs[0]
    if scale == 1 and shift == 0:
        return x
    found = patterns.of_affine(net, x, scale, shift)
    if found is not None:
        return found
    given = {"scale": short(scale), "shift": short(shift)}
    kept = {name: each for name, each in given.items() if each != {"scale": 1.0, "shift": 0.0}[name]}
    if x.made.op.startswith("_"):
        return net.part("_affine", [x], x.sizes, **kept)
    return unary(net, "affine", x, kept)


def unary(net: FlatNetwork, op: str, x: GraphTensor, attributes: dict[str, Any] | None = None) -> GraphTensor:
    """Return an elementwise op of a value, seen through the steps of the value."""
    if x.made.op.startswith("_"):
        return net.part(f"_{op}", [x], x.sizes, **(attributes or {}))
    plain = net.add(op, [GraphTensor(x.made, x.port)], attributes)
    return GraphTensor(plain.made, plain.port, x.steps)


def clip(net: FlatNetwork, x: GraphTensor, min: float | None = None, max: float | None = None) -> GraphTensor:
    """Return x between bounds, as the activation that this is, if there is one."""
    if x.op in ("relu", "clip", "_clip"):
        before = {"min": 0.0} if x.op == "relu" else x.made.attributes
        lows = [each for each in (before.get("min"), min) if each is not None]
        highs = [each for each in (before.get("max"), max) if each is not None]
        if not (min is not None and "max" in before and min > before["max"]):
            x = x.made.inputs[0]
            min, max = (sorted(lows)[-1] if lows else None), (sorted(highs)[0] if highs else None)
    low = None if min is None or min <= -3e38 else min
    high = None if max is None or max >= 3e38 else max
    if low is None and high is None:
        return x
    if (low, high) == (0, 6):
        return unary(net, "relu6", x)
    if (low, high) == (0, None):
        return unary(net, "relu", x)
    if low is not None and high is not None and low > high:
        raise Unsupported(f"its lower bound {low} is above its upper bound {high}")
    if (low, high) == (-1, 1):
        return unary(net, "hardtanh", x)
    given = {"min": low, "max": high}
    return unary(net, "clip", x, {name: short(each) for name, each in given.items() if each is not None})


def _with_tensor(net: FlatNetwork, op: str, x: GraphTensor, known: ConstantArray, *, first: bool) -> GraphTensor:
    """Return the operation on a value and a tensor, which becomes a learned tensor of the spec."""
    if x.made.op.startswith("_"):
        raise Unsupported("it adds or multiplies a tensor inside attention, such as a mask")
    if (
        x.steps
        and op == "mul"
        and known.array.shape == (x.sizes[-1],)
        and x.base[1] == x.sizes[-1]
        and len(x.base) == 4
    ):
        shaped = ConstantArray(
            known.array.reshape(-1, 1, 1), known.name
        )  # per channel of a map that is seen with channels last
        scaled = _with_tensor(net, op, GraphTensor(x.made, x.port), shaped, first=first)
        return GraphTensor(scaled.made, scaled.port, x.steps)
    x = settle(net, x)
    array = known.array
    leads = array.ndim == len(x.sizes) and array.shape[0] == 1
    if leads:
        array = array[0]
    rank = len(x.sizes) - 1
    if array.ndim > rank:
        raise Unsupported(f"its constant has the shape {list(known.array.shape)}, which reaches into the batch")
    array = array.reshape((1,) * (rank - array.ndim) + array.shape).astype(np.float32)
    if op == "mul" and array.shape == _scale_shape(x):
        key = ConstantArray(array.reshape(-1) if rank == 2 else array, known.name, known.whole)
        return net.add("scale", [x], weights={"weight": key})
    tensor = parameter(net, ConstantArray(_spread(array, x), known.name, known.whole))
    if leads and tensor.made.op == "parameter":
        tensor.made.attributes["batch"] = True
        tensor.made.weights[""] = tensor.made.weights[""][None]
    return net.add(op, [tensor, x] if first and op in ("sub", "div") else [x, tensor])


def _scale_shape(x: GraphTensor) -> tuple[Any, ...]:
    """Return the shape of the factors that `scale` learns for a value, as they are broadcast."""
    sizes = x.sizes[1:]
    return (1, sizes[-1]) if len(sizes) == 2 else (sizes[0], *(1 for _ in sizes[1:]))


def _spread(array: Any, x: GraphTensor) -> Any:
    """Return a tensor in a shape that cnnc broadcasts to `x`; repeated to the shape of `x` otherwise."""
    shape, full = array.shape, type_of(x).shape
    if shape == full or set(shape) == {1} or (shape[0] == 1 and shape[1:] == full[1:]):
        return array
    if shape[0] == full[0] and set(shape[1:]) <= {1}:
        return array
    known_sizes = [size for size in full if size is not None]
    if len(known_sizes) < len(full):
        raise Unsupported(f"its constant has the shape {list(shape)}, and its input an open height or width")
    try:
        return np.broadcast_to(array, known_sizes).copy()
    except ValueError as error:
        raise Unsupported(f"its constant has the shape {list(shape)}, its input {list(full)}") from error


def parameter(net: FlatNetwork, known: ConstantArray) -> GraphTensor:
    """Return a constant tensor, without the batch, as a value: a `constant` if it is one number, else a `parameter`."""
    array = known.array.astype(np.float32)
    if array.size > 1 and not known.name and (array == array.ravel()[0]).all():
        return net.add("constant", [], {"shape": [*array.shape], "value": short(float(array.ravel()[0]))})
    return net.add(
        "parameter", [], {"shape": [*array.shape]}, weights={"": ConstantArray(array, known.name, known.whole)}
    )
