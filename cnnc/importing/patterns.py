"""Activations and norms that an exporter has written in parts: silu, hard-swish, gelu, mish, layer norm, glu …

Each function is called when the last part is added, looks back at the parts before it, and returns the op that they
are, or None. The parts themselves stay; what nothing uses is left out in the end.
"""

from math import isclose, pi, sqrt
from typing import Any

from cnnc.importing.flat_network import FlatNetwork
from cnnc.importing.values import GraphTensor

CLOSE = 1e-4
POWERS = {"sqrt": 0.5, "square": 2}


def close(a: float, b: float) -> bool:
    """Whether two numbers of an exporter are meant to be equal."""
    return isclose(a, b, rel_tol=CLOSE, abs_tol=1e-12)


def argument(value: GraphTensor) -> GraphTensor:
    """Return the input of the op of one input that computes a value, seen through the steps of the value."""
    inner = value.made.inputs[0]
    return GraphTensor(inner.made, inner.port, (*inner.steps, *value.steps))


def _is(value: GraphTensor, op: str) -> bool:
    return value.op in (op, f"_{op}")


def _inside(value: GraphTensor, op: str) -> GraphTensor | None:
    """Return the input of an op of one input, if that is what computes the value."""
    return value.made.inputs[0] if _is(value, op) else None


def scaled(value: GraphTensor) -> tuple[GraphTensor, float, float]:
    """Return x, scale and shift of a value that is scale · x + shift."""
    if _is(value, "affine"):
        given = value.made.attributes
        return value.made.inputs[0], given.get("scale", 1.0), given.get("shift", 0.0)
    return value, 1.0, 0.0


def of_two(net: FlatNetwork, op: str, a: GraphTensor, b: GraphTensor) -> GraphTensor | None:
    """Return the op that an operation on two values completes."""
    if op == "mul":
        return (
            _gated(net, a, b)
            or _gated(net, b, a)
            or _glu(net, a, b)
            or _glu(net, b, a)
            or _gelu(net, a, b, 1.0)
            or _normed(net, a, b)
            or _normed(net, b, a)
        )
    if op == "div":
        return _l2_norm(net, a, b) or _normed(net, a, b) or _softsign(net, a, b) or _lrn(net, a, b)
    return None


def of_affine(net: FlatNetwork, x: GraphTensor, scale: float, shift: float) -> GraphTensor | None:
    """Return the op that scale · x + shift completes."""
    if shift:
        return None
    if _is(x, "mul") and len(x.made.inputs) == 2:
        a, b = x.made.inputs
        return _gelu(net, a, b, scale) or _hardswish(net, a, b, scale) or _hardswish(net, b, a, scale)
    inner = _inside(x, "relu6")
    if inner is not None and close(scale, 1 / 6):
        base, factor, three = scaled(inner)
        return _again(net, "hardsigmoid", base) if factor == 1 and close(three, 3) else None
    soft = _inside(x, "softplus")
    if soft is not None:
        base, beta, zero = scaled(soft)
        if zero == 0 and beta != 1 and close(scale * beta, 1):
            return _again(net, "softplus", base, {"beta": beta})
    return None


def _again(net: FlatNetwork, op: str, x: GraphTensor, attributes: dict[str, Any] | None = None) -> GraphTensor:
    plain = net.add(op, [GraphTensor(x.made, x.port)], attributes)
    return GraphTensor(plain.made, plain.port, x.steps)


def _gated(net: FlatNetwork, x: GraphTensor, gate: GraphTensor) -> GraphTensor | None:
    """x·sigmoid(x), x·hardsigmoid(x) and x·tanh(softplus(x))."""
    for op, name in (("sigmoid", "silu"), ("hardsigmoid", "hardswish")):
        inner = _inside(gate, op)
        if inner is not None and inner.same(x):
            return _again(net, name, x)
    soft = _inside(gate, "tanh")
    inner = None if soft is None else _inside(soft, "softplus")
    if inner is not None and inner.same(x) and soft is not None and not soft.made.attributes:
        return _again(net, "mish", x)
    return _hardswish(net, x, gate, 1.0)


def _hardswish(net: FlatNetwork, x: GraphTensor, gate: GraphTensor, scale: float) -> GraphTensor | None:
    """x·relu6(x + 3) / 6, with the division by 6 anywhere."""
    gate, factor, zero = scaled(gate)
    inner = _inside(gate, "relu6")
    if inner is None or zero or not close(factor * scale, 1 / 6):
        return None
    base, one, three = scaled(inner)
    return _again(net, "hardswish", x) if base.same(x) and one == 1 and close(three, 3) else None


def _glu(net: FlatNetwork, a: GraphTensor, gate: GraphTensor) -> GraphTensor | None:
    """a·sigmoid(b), where a and b are the halves of a split."""
    b = _inside(gate, "sigmoid")
    if b is None or not (_is(a, "split") and b.made is a.made and (a.port, b.port) == (0, 1)):
        return None
    if len(a.made.sizes) != 2 or a.base != b.base:
        return None
    axis = a.made.attributes.get("axis", 0)
    return net.add("glu", a.made.inputs, {"axis": axis} if axis else {})


def _softsign(net: FlatNetwork, x: GraphTensor, below: GraphTensor) -> GraphTensor | None:
    """Return softsign, which is x / (1 + |x|)."""
    inner, one, shift = scaled(below)
    base = _inside(inner, "abs")
    return _again(net, "softsign", x) if base is not None and base.same(x) and (one, shift) == (1, 1) else None


def _gelu(net: FlatNetwork, a: GraphTensor, b: GraphTensor, scale: float) -> GraphTensor | None:
    """0.5·x·(1 + erf(x / √2)), or with tanh, with the 0.5 anywhere."""
    for x, curve in ((a, b), (b, a)):
        base, factor, zero = scaled(x)
        inner, slope, shift = scaled(curve)
        if zero or slope != shift or not close(factor * slope * scale, 0.5):
            continue
        for argument, mode in ((_inside(inner, "erf"), None), (_inside(inner, "tanh"), "tanh")):
            if argument is not None and _curved(argument, base, mode):
                return _again(net, "gelu", base, {"approximate": "tanh"} if mode else {})
    return None


def _curved(argument: GraphTensor, x: GraphTensor, mode: str | None) -> bool:
    """Whether the argument is that of gelu's curve: x / √2, or √(2/π)·(x + 0.044715·x³) for `tanh`."""
    inner, scale, zero = scaled(argument)
    if mode is None:
        return inner.same(x) and zero == 0 and close(scale, sqrt(0.5))
    if zero or not close(scale, sqrt(2 / pi)):
        return False
    if _is(inner, "mul"):  # x·(1 + 0.044715·x²)
        for one, other in (inner.made.inputs, inner.made.inputs[::-1]):
            square, factor, shift = scaled(other)
            if one.same(x) and shift == 1 and close(factor, 0.044715) and _power(square, x) == 2:
                return True
    if not _is(inner, "add") or len(inner.made.inputs) != 2:
        return False
    for one, other in (inner.made.inputs, inner.made.inputs[::-1]):
        cube, factor, shift = scaled(other)
        if one.same(x) and shift == 0 and close(factor, 0.044715) and _power(cube, x) == 3:
            return True
    return False


def _power(value: GraphTensor, x: GraphTensor) -> int:
    """Return the power of x that a value is; 0 if it is none."""
    if value.same(x):
        return 1
    if _is(value, "square"):
        return 2 * _power(value.made.inputs[0], x)
    if _is(value, "mul"):
        powers = [_power(each, x) for each in value.made.inputs]
        return sum(powers) if all(powers) else 0
    return 0


def _l2_norm(net: FlatNetwork, x: GraphTensor, below: GraphTensor) -> GraphTensor | None:
    """Return the norm that is x / max(‖x‖, eps)."""
    norm = _inside(below, "clip")
    if norm is None or norm.op != "_l2" or "max" in below.made.attributes or not norm.made.inputs[0].same(x):
        return None
    given = {"axis": norm.made.attributes["axis"], "eps": below.made.attributes["min"]}
    return net.add("l2_norm", [x], {name: each for name, each in given.items() if each != 0})


def before_pad(value: GraphTensor) -> GraphTensor:
    """Return the value before zeros that were added around its channels."""
    return value.made.inputs[0] if value.made.op == "_channel_pad" else value


def _lrn(net: FlatNetwork, x: GraphTensor, below: GraphTensor) -> GraphTensor | None:
    """Return the LRN that is x / (k + alpha · mean of x² over channels)^beta."""
    beta = below.made.attributes["power"] if below.made.op == "_pow" else POWERS.get(below.op.removeprefix("_"), 1)
    mean, alpha, k = scaled(below if beta == 1 else below.made.inputs[0])
    if mean.made.op != "_channel_mean":
        return None
    square = before_pad(mean.made.inputs[0]).made
    if square.op != "square" or not square.inputs[0].same(x):
        return None
    given = {"size": mean.made.attributes["size"], "alpha": alpha, "beta": beta, "k": k}
    usual = {"alpha": 1e-4, "beta": 0.75, "k": 1.0}
    return net.add("local_response_norm", [x], {name: each for name, each in given.items() if usual.get(name) != each})


def _normed(net: FlatNetwork, centred: GraphTensor, below: GraphTensor) -> GraphTensor | None:
    """(x - mean) / √(variance + eps): a layer norm without weights."""
    if below.op == "_inverse":
        if below.made.attributes["number"] != 1:
            return None
        below = below.made.inputs[0]
    elif not _is(below, "sqrt"):
        return None
    root = _inside(below, "sqrt")
    x = _centred(centred)
    if root is None or x is None:
        return None
    variance, one, eps = scaled(root)
    axes = _variance_of(variance, centred)
    mean = centred.made.inputs[1]
    if one != 1 or axes is None or axes != _mean_axes(mean) or not mean.made.inputs[0].same(x):
        return None
    return normalised(net, x, axes, eps)


def _centred(value: GraphTensor) -> GraphTensor | None:
    """Return x of x - mean(x)."""
    if not _is(value, "sub") or _mean_axes(value.made.inputs[1]) is None:
        return None
    return value.made.inputs[0]


def _variance_of(value: GraphTensor, centred: GraphTensor) -> tuple[int, ...] | None:
    square = value.made.inputs[0] if _mean_axes(value) is not None else None
    inner = None if square is None else _inside(square, "square")
    if inner is None or inner.made.op != centred.made.op:
        return None
    same = inner.same(centred) or all(a.same(b) for a, b in zip(inner.made.inputs, centred.made.inputs, strict=True))
    return _mean_axes(value) if same else None


def _mean_axes(value: GraphTensor) -> tuple[int, ...] | None:
    """Return the axes, counting the batch, of a mean that keeps them; None for any other value."""
    if value.op == "mean" and value.made.attributes.get("keep", True):
        axes = value.made.attributes["axes"]
        return tuple(axis + 1 for axis in ([axes] if isinstance(axes, int) else axes))
    return (2, 3) if value.op == "global_avg_pool" else None


def normalised(net: FlatNetwork, x: GraphTensor, axes: tuple[int, ...], eps: float) -> GraphTensor | None:
    """Return a norm without weights over axes that count the batch; None if no norm has these axes."""
    rank = len(x.sizes)
    if axes == tuple(range(1, rank)):
        given = {"over": "all"} if rank > 2 else {}
        return net.add("layer_norm", [x], {**given, **_norm(eps)})
    if axes == (1,) and rank == 4:
        return net.add("layer_norm", [x], _norm(eps))
    if axes == (1,):
        return net.add("layer_norm", [x], {"over": "channels", **_norm(eps)})
    if axes == (rank - 1,) and rank == 3:
        return net.add("layer_norm", [x], _norm(eps))
    return net.add("instance_norm", [x], {} if close(eps, 1e-5) else {"eps": eps}) if axes == (2, 3) else None


def _norm(eps: float) -> dict[str, Any]:
    return {**({} if close(eps, 1e-5) else {"eps": eps}), "affine": False}


def channels_last(x: GraphTensor) -> bool:
    """Whether a value is a map seen with its channels as the last axis."""
    return len(x.steps) == 1 and x.steps[0].perm == (0, 2, 3, 1)


def rows_of_map(x: GraphTensor) -> bool:
    """Whether a value is a map seen as rows of its channels, in which the samples are merged."""
    turned, *rest = x.steps or (None,)
    last = turned is not None and turned.perm == (0, 2, 3, 1)
    flat = len(rest) == 1 and rest[0].perm is None and x.sizes[-1] == x.base[1]
    return last and flat and x.sizes[0] != x.base[0]
