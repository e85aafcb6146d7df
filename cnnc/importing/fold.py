"""Evaluate the nodes of an ONNX graph whose inputs are constants, or sizes.

Takes arrays and attributes; returns an array. Arrays of sizes may contain `Symbol`s (their dtype is object), for which
only the arithmetic of `Symbol` works; anything else raises Unsupported. The size of all results is limited.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from cnnc.importing.constant_budget import ConstantBudget
from cnnc.importing.onnx_nodes import OnnxNode
from cnnc.importing.values import ConstantArray, Symbol, SymbolicRange, Unsupported

Array = np.ndarray[Any, np.dtype[Any]]
REALS = (1, 10, 11)  # float32, float16, float64
TYPES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    5: "int16",
    6: "int32",
    7: "int64",
    9: "bool",
    10: "float16",
    11: "float64",
}


def fold(node: OnnxNode, budget: ConstantBudget) -> list[ConstantArray] | None:
    """Return the outputs of a node whose inputs are all constants; None for an op that is not evaluated."""
    known = [each for each in node.inputs if each is not None]
    if node.op not in FOLDS or not all(isinstance(each, ConstantArray) for each in known):
        return None
    given = [each.array if isinstance(each, ConstantArray) else None for each in node.inputs]
    if node.op in ("Expand", "Tile", "ConstantOfShape") and given[-1] is not None and given[-1].dtype == object:
        return None
    name = next((each.name for each in known if isinstance(each, ConstantArray) and each.name), node.proto.output[0])
    whole = node.op in ("Identity", "Cast", "Constant", "ConstantOfShape") or (
        node.op in ("Transpose", "Reshape", "Unsqueeze", "Squeeze") and known[0].whole  # type: ignore[union-attr]
    )
    if node.op in ("Constant", "ConstantOfShape"):
        name = node.proto.output[0]
    try:
        with np.errstate(all="ignore"):
            budget.take(node, given)
            found = FOLDS[node.op](node, *given)
    except Unsupported:
        raise
    except Exception as error:  # numpy raises what it likes for a foreign graph
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise Unsupported(f"it cannot be computed from its constant inputs ({reason})") from error
    outputs = found if isinstance(found, list) else [found]
    return [ConstantArray(_plain(np.asarray(each)), name, whole) for each in outputs]


def _plain(array: Array) -> Array:
    """Return sizes as numbers, if none of them is open."""
    if array.dtype != object or any(isinstance(each, Symbol | SymbolicRange) for each in array.ravel()):
        return array
    return array.astype(np.float32 if any(isinstance(each, float) for each in array.ravel()) else np.int64)


def _constant(node: OnnxNode) -> Array:
    for name in ("value", "value_float", "value_int", "value_floats", "value_ints"):
        if name in node.attributes:
            given = node.attributes[name]
            return np.asarray(given, {"value_float": "f4", "value_floats": "f4", "value": None}.get(name, "i8"))
    raise Unsupported("its value is a string, or a sparse tensor")


def _of_shape(node: OnnxNode, shape: Array) -> Array:
    value = node.attr("value", np.zeros(1, np.float32))
    return np.full([int(each) for each in shape.ravel()], value.ravel()[0], value.dtype)


def _cast(node: OnnxNode, x: Array, *_: Any) -> Array:
    if x.dtype == object:
        return _cast_sizes(x, real=node.attr("to") in REALS)
    if node.attr("to") not in TYPES:
        raise Unsupported(f"it casts to element type {node.attr('to')}")
    return x.astype(TYPES[node.attr("to")])


def _cast_like(_: OnnxNode, x: Array, like: Array) -> Array:
    if object not in (x.dtype, like.dtype):
        return x.astype(like.dtype)
    real = any(each.real if isinstance(each, Symbol) else isinstance(each, float) for each in like.ravel().tolist())
    return _cast_sizes(x, real=real) if x.dtype == object else x.astype(np.float32 if real else np.int64)


def _cast_sizes(x: Array, *, real: bool) -> Array:
    """Return sizes as floating-point numbers, or as integers."""

    def cast(size: Any) -> Any:
        if isinstance(size, Symbol):
            return size.as_real() if real else size.rounded("floor")
        return size if isinstance(size, SymbolicRange) else float(size) if real else int(size)

    return _each(cast, x)


def _each(function: Callable[[Any], Any], x: Array) -> Array:
    """Return an array of sizes with a function applied to each."""
    found = np.empty(x.shape, object)
    found.ravel()[:] = [function(each) for each in x.ravel()]
    return found


def _axes(node: OnnxNode, axes: Array | None) -> list[int] | None:
    if "axes" in node.attributes:
        return [*node.attributes["axes"]]
    return None if axes is None else [int(each) for each in axes.ravel()]


def _squeeze(node: OnnxNode, x: Array, axes: Array | None = None) -> Array:
    found = _axes(node, axes)
    return x.squeeze() if found is None else x.squeeze(tuple(found))


def _unsqueeze(node: OnnxNode, x: Array, axes: Array | None = None) -> Array:
    found = _axes(node, axes)
    return np.expand_dims(x, tuple(found or ()))


def _reshape(node: OnnxNode, x: Array, shape: Array) -> Array:
    sizes = [int(each) for each in shape.ravel()]
    if not node.attr("allowzero", 0):
        sizes = [x.shape[k] if each == 0 else each for k, each in enumerate(sizes)]
    return x.reshape(sizes)


def _slice(node: OnnxNode, x: Array, *rest: Array | None) -> Array:
    if "starts" in node.attributes:
        starts, stops = node.attributes["starts"], node.attributes["ends"]
        axes, steps = node.attr("axes"), None
    else:
        starts, stops, axes, steps = (
            [int(each) for each in r.ravel()] if r is not None else None for r in (*rest, None, None)[:4]
        )
    axes = axes or range(len(starts))
    places = [slice(None)] * x.ndim
    for start, stop, axis, step in zip(starts, stops, axes, steps or [1] * len(starts), strict=True):
        beyond = step < 0 and stop < -x.shape[axis]
        places[axis] = slice(start, None if beyond else stop, step)
    return x[tuple(places)]


def _divide(_: OnnxNode, a: Array, b: Array) -> Array:
    if a.dtype.kind in "iu" and b.dtype.kind in "iu":
        return np.asarray(np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b)), a.dtype)
    return np.asarray(a / b if object not in (a.dtype, b.dtype) else np.frompyfunc(_quotient, 2, 1)(a, b))


def _quotient(a: Any, b: Any) -> Any:
    """Return the quotient of two sizes: floating-point numbers are divided exactly, and integers rounded down."""
    return a / b if isinstance(a, float) or isinstance(b, float) else a // b


def _where(_: OnnxNode, condition: Array, a: Array, b: Array) -> Array:
    return np.where(condition.astype(bool), a, b)


def _equal(_: OnnxNode, a: Array, b: Array) -> Array:
    return np.asarray(a == b)


def _split(node: OnnxNode, x: Array, sizes: Array | None = None) -> list[Array]:
    axis, count = node.attr("axis", 0), len(node.proto.output)
    given = node.attr("split") or (None if sizes is None else [int(each) for each in sizes.ravel()])
    cuts = np.cumsum(given)[:-1] if given else [-(-x.shape[axis] // count) * k for k in range(1, count)]
    return np.split(x, cuts, axis)


def _reduce(function: Callable[..., Any]) -> Callable[..., Array]:
    def reduced(node: OnnxNode, x: Array, axes: Array | None = None) -> Array:
        found = _axes(node, axes)
        return np.asarray(function(x, axis=tuple(found) if found else None, keepdims=bool(node.attr("keepdims", 1))))

    return reduced


def _pointwise(function: Callable[..., Any]) -> Callable[..., Array]:
    def applied(_: OnnxNode, *xs: Array) -> Array:
        result = np.asarray(function(*xs))
        kind = xs[0].dtype
        return result if object in {each.dtype for each in xs} or result.dtype.kind == "b" else result.astype(kind)

    return applied


def _rounding(how: str, function: Callable[..., Any]) -> Callable[..., Array]:
    """Round numbers with `function`, and open sizes in the way `how`."""

    def rounded(size: Any) -> Any:
        if isinstance(size, Symbol):
            return size.rounded(how).as_real()
        if isinstance(size, SymbolicRange) and how != "floor":
            raise Unsupported("it rounds indices of open sizes in another way than floor")
        return size if isinstance(size, SymbolicRange) else float(function(size))

    return lambda _, x: _each(rounded, x) if x.dtype == object else function(x)


def _layer_norm(node: OnnxNode, x: Array, weight: Array, bias: Array | None = None) -> Array:
    axis = node.attr("axis", -1) % x.ndim
    axes, eps = tuple(range(axis, x.ndim)), node.attr("epsilon", 1e-5)
    wide = x.astype(np.float64)
    spread = (wide - wide.mean(axes, keepdims=True)) / np.sqrt(wide.var(axes, keepdims=True) + eps)
    return np.asarray(spread * weight + (0 if bias is None else bias), x.dtype)


def _batch_norm(node: OnnxNode, x: Array, weight: Array, bias: Array, mean: Array, variance: Array) -> Array:
    """Return the normalised values; in training, by their own statistics, which standardises weights."""
    shape, others = (1, -1, *(1,) * (x.ndim - 2)), (0, *range(2, x.ndim))
    wide = x.astype(np.float64)
    if node.attr("training_mode", 0):
        mean, variance = wide.mean(others), wide.var(others)
    scale = weight / np.sqrt(variance + node.attr("epsilon", 1e-5))
    return np.asarray(wide * scale.reshape(shape) + (bias - mean * scale).reshape(shape), x.dtype)


def _clip(node: OnnxNode, x: Array, low: Array | None = None, high: Array | None = None) -> Array:
    return np.asarray(np.clip(x, node.attr("min", low), node.attr("max", high)), x.dtype)


def _range(_: OnnxNode, start: Array, stop: Array, step: Array) -> Array:
    if isinstance(stop.item(), Symbol) and (start.item(), step.item()) == (0, 1):
        found = np.empty((), object)
        found[()] = SymbolicRange(stop.item())
        return found
    return np.arange(start.item(), stop.item(), step.item(), dtype=start.dtype)


FOLDS: dict[str, Callable[..., Any]] = {
    "Constant": _constant,
    "ConstantOfShape": _of_shape,
    "Identity": lambda _, x: x,
    "Cast": _cast,
    "CastLike": _cast_like,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Reshape": _reshape,
    "Flatten": lambda node, x: x.reshape(int(np.prod(x.shape[: node.attr("axis", 1)])), -1),
    "Transpose": lambda node, x: x.transpose(node.attr("perm")),
    "Concat": lambda node, *xs: np.concatenate(xs, node.attr("axis")),
    "Gather": lambda node, x, where: np.take(x, where.astype(np.int64), node.attr("axis", 0)),
    "Slice": _slice,
    "Split": _split,
    "Shape": lambda node, x: np.asarray(x.shape[node.attr("start", 0) : node.attr("end")], np.int64),
    "Size": lambda _, x: np.asarray(x.size, np.int64),
    "Expand": lambda _, x, shape: x * np.ones([int(each) for each in shape.ravel()], x.dtype),
    "Tile": lambda _, x, repeats: np.tile(x, [int(each) for each in repeats.ravel()]),
    "Range": _range,
    "Where": _where,
    "Equal": _equal,
    "Not": lambda _, x: ~x,
    "Less": _pointwise(lambda a, b: a < b),
    "Greater": _pointwise(lambda a, b: a > b),
    "Add": _pointwise(lambda a, b: a + b),
    "Sub": _pointwise(lambda a, b: a - b),
    "Mul": _pointwise(lambda a, b: a * b),
    "Div": _divide,
    "Mod": _pointwise(lambda a, b: a % b),
    "Max": _pointwise(lambda *xs: np.maximum.reduce(xs)),
    "Min": _pointwise(lambda *xs: np.minimum.reduce(xs)),
    "Pow": _pointwise(lambda a, b: a**b),
    "Neg": _pointwise(lambda x: -x),
    "Abs": _pointwise(np.abs),
    "Sqrt": _pointwise(np.sqrt),
    "Reciprocal": _pointwise(lambda x: 1 / x),
    "Exp": _pointwise(np.exp),
    "Log": _pointwise(np.log),
    "Sin": _pointwise(np.sin),
    "Cos": _pointwise(np.cos),
    "Floor": _rounding("floor", np.floor),
    "Ceil": _rounding("ceil", np.ceil),
    "Round": _rounding("round", np.round),
    "ReduceProd": _reduce(np.prod),
    "ReduceSum": _reduce(np.sum),
    "ReduceMean": _reduce(np.mean),
    "Clip": _clip,
    "MatMul": lambda _, a, b: np.matmul(a, b),
    "BatchNormalization": _batch_norm,
    "LayerNormalization": _layer_norm,
}
