"""The common shape of several inputs, some of whose sizes may be unknown."""

from collections.abc import Sequence
from itertools import islice

from cnnc.diagnostics import Code
from cnnc.ops.base import Op, Refusal
from cnnc.ops.types import TensorType, Types

MOST = 4096  # inputs of a node
SHOWN = 4  # further inputs of different shapes that a Refusal lists


def unify(op: Op, xs: Types, which: Sequence[int], way_out: str, free: tuple[int, ...] = ()) -> TensorType:
    """Return the common shape of the inputs `which`, ignoring the axes `free`; raises Refusal if two differ."""
    merged = xs[which[0]]
    for k in which[1:]:
        if not agree(merged, xs[k], free):
            j = next(j for j in which if not agree(xs[j], xs[k], free))
            others = [i for i in which if not any(agree(xs[i], xs[shown], free) for shown in (j, k))]
            distinct = dict.fromkeys(xs[i] for i in others)
            raise Refusal(
                Code.UNEQUAL_SHAPES,
                f"{op.name}: input {k} is {xs[k]}, but input {j} is {xs[j]}",
                inputs=(j, k, *(xs.index(each) for each in islice(distinct, SHOWN))),
                label=f"{xs[j]} and {xs[k]}",
                help=way_out,
            )
        if None in merged.shape:
            merged = TensorType(tuple(b if a is None else a for a, b in zip(merged.shape, xs[k].shape, strict=True)))
    return merged


def agree(x: TensorType, y: TensorType, free: tuple[int, ...] = ()) -> bool:
    """Whether two shapes can be equal, ignoring the axes `free`."""
    if x.shape == y.shape:  # of most, and this function runs for every size that is tried
        return True
    if len(x.shape) != len(y.shape):
        return False
    sizes = enumerate(zip(x.shape, y.shape, strict=True))
    return all(axis in free or a == b or a is None or b is None for axis, (a, b) in sizes)
