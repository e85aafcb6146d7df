"""Elementwise arithmetic of several values, with explicit broadcasting.

All inputs have the shape of the result, except those that hold one number for many elements: a number per channel,
(C, 1, 1), per position, (1, H, W), per token, (tokens, 1), per feature of tokens, (1, features), or per sample, (1,) or
(1, 1, 1). At least one input must have the full shape, so nothing is broadcast by accident.

If a height or width is unknown (None) in one input and a number in another, the two must be equal at run time, so the
result has the number. A size of 1 is refused in this case, because torch and ONNX would silently broadcast it.
"""

from collections.abc import Sequence
from functools import reduce
from typing import Any, ClassVar

from cnnc.diagnostics import Code
from cnnc.ops.base import Gives, Local, OnnxBuilder, Op, Refusal, Saves, TorchBuilder
from cnnc.ops.types import TensorType, Types
from cnnc.ops.unify import MOST, agree, unify


class Arithmetic(Local):
    """An operation on two or more values, applied from left to right."""

    gives: ClassVar[Gives] = "logits"
    least_inputs: ClassVar[int] = 2
    most_inputs: ClassVar[int] = MOST
    _torch: ClassVar[str]
    _onnx: ClassVar[str]

    def infer(self, *xs: TensorType) -> TensorType:
        part = "(1, features) for a number per feature" if xs[0].is_tokens else "(C, 1, 1) for a number per channel"
        way_out = f"give all inputs of `{self.name}` the same shape, or {part}"
        types = set(xs)  # few, even of many inputs
        if len(types) == 1:
            return xs[0]
        spread = {x for x in types if any(_spreads_over(x, other) for other in types)}
        full = [k for k, x in enumerate(xs) if x not in spread]
        merged = unify(self, xs, full, way_out)
        for k, x in enumerate(xs):
            if k not in full and not _spreads_over(x, merged):
                unify(self, xs, (full[0], k), way_out)
        per_position = [k for k, x in enumerate(xs) if k not in full and x.shape[0] == 1 and not _is_number(x)]
        for k in per_position:
            merged = TensorType(tuple(b if a is None else a for a, b in zip(merged.shape, xs[k].shape, strict=True)))
        _require_no_broadcast(self, xs, [*full, *per_position], merged)
        return merged

    def to_torch(self, t: TorchBuilder, *xs: Any) -> Any:
        rank = len(t.outputs[0].shape)
        aligned = (
            t.call("torch.reshape", x, [-1, *[1] * rank]) if _is_number(type) and len(type.shape) != rank else x
            for type, x in zip(t.inputs, xs, strict=True)
        )
        return reduce(lambda x, y: t.call(self._torch, x, y), aligned)

    def to_onnx(self, o: OnnxBuilder, *xs: str) -> str:
        rank = len(o.outputs[0].shape)
        aligned = (
            o.op("Reshape", x, o.constant([0, *[1] * rank])) if _is_number(type) and len(type.shape) != rank else x
            for type, x in zip(o.inputs, xs, strict=True)
        )
        return reduce(lambda x, y: o.op(self._onnx, x, y), aligned)


class Add(Arithmetic):
    """The sum of two or more values."""

    name: ClassVar[str] = "add"
    _saves: ClassVar[Saves] = "nothing"
    _torch: ClassVar[str] = "operator.add"
    _onnx: ClassVar[str] = "Add"


class Mul(Arithmetic):
    """The product of two or more values: (C, 1, 1) is a factor per channel, (1, H, W) one per position."""

    name: ClassVar[str] = "mul"
    _torch: ClassVar[str] = "operator.mul"
    _onnx: ClassVar[str] = "Mul"


class Sub(Arithmetic):
    """The first value minus the second."""

    name: ClassVar[str] = "sub"
    most_inputs: ClassVar[int] = 2
    _saves: ClassVar[Saves] = "nothing"
    _torch: ClassVar[str] = "operator.sub"
    _onnx: ClassVar[str] = "Sub"


class Div(Arithmetic):
    """The first value divided by the second, which must not be 0."""

    name: ClassVar[str] = "div"
    most_inputs: ClassVar[int] = 2
    _torch: ClassVar[str] = "operator.truediv"
    _onnx: ClassVar[str] = "Div"


class Maximum(Arithmetic):
    """The largest of two or more values, element by element."""

    name: ClassVar[str] = "maximum"
    _torch: ClassVar[str] = "torch.maximum"
    _onnx: ClassVar[str] = "Max"


class Minimum(Arithmetic):
    """The smallest of two or more values, element by element."""

    name: ClassVar[str] = "minimum"
    _torch: ClassVar[str] = "torch.minimum"
    _onnx: ClassVar[str] = "Min"


def _spreads_over(x: TensorType, full: TensorType) -> bool:
    """Whether `x` holds a number for each channel, position or sample of `full`, and `full` has more elements."""
    if _is_number(x):
        return not _is_number(full)
    if len(x.shape) != len(full.shape) or not any(a == 1 != b for a, b in zip(x.shape, full.shape, strict=True)):
        return False
    per_channel = x.shape[0] == full.shape[0] and set(x.shape[1:]) == {1}
    return per_channel or (x.shape[0] == 1 != full.shape[0] and agree(x, full, free=(0,)))


def _is_number(x: TensorType) -> bool:
    """Whether `x` holds one number per sample."""
    return set(x.shape) == {1}


def _require_no_broadcast(op: Op, xs: Types, which: Sequence[int], merged: TensorType) -> None:
    """Raise a Refusal if one input has a size of 1 where another's size is unknown."""
    for k in which:
        if any(size is None and known == 1 for size, known in zip(xs[k].shape, merged.shape, strict=True)):
            raise Refusal(
                Code.UNKNOWN_SIZE,
                f"{op.name}: input {k} is {xs[k]} and must be {merged}, but its unknown sizes may differ",
                inputs=tuple(which),
                label=f"input {k} is {xs[k]}",
                help="give the input a fixed height and width",
            )
