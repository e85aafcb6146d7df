"""Receptive field arithmetic along one axis: which input positions an output depends on, exact in integers.

A `Reach` describes an op (relative to its own input) or, composed, a node (relative to the network's input). It is
periodic: `period` outputs further on, the fields lie `step` input positions further on. A conv has period 1 and its
stride as the step. An op that doubles a map has period 2 and step 1; its outputs' fields differ from phase to phase.
Composition follows Araujo, Norris and Sim, Computing receptive fields of convolutional neural networks (Distill, 2019),
extended by phases. A field is the range from its first position to its last, holes included.
"""

from math import gcd, lcm
from typing import NamedTuple

MOST_PHASES = 1024
FAR = 1 << 60  # bounds of an empty field, which a transposed conv has between its taps


class Reach(NamedTuple):
    """Output i sees the positions `start(i)` to `end(i)`, and the whole input besides if `whole` is set.

    With a step of 0 every output sees the same positions. Positions below 0 or beyond the input's end are padding.
    """

    step: int
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    whole: bool = False

    @property
    def period(self) -> int:
        return len(self.starts)

    @property
    def size(self) -> int:
        """The maximum number of positions that an output sees."""
        return max(0, *(end - start + 1 for start, end in zip(self.starts, self.ends, strict=True)))

    def start(self, i: int) -> int:
        return self.starts[i % self.period] + i // self.period * self.step

    def end(self, i: int) -> int:
        return self.ends[i % self.period] + i // self.period * self.step


ITSELF = Reach(1, (0,), (0,))
EVERYTHING = Reach(0, (0,), (0,), whole=True)
ITSELF_AND_ALL = Reach(1, (0,), (0,), whole=True)  # a position, and the whole input through its statistics

Reaches = tuple[Reach | None, Reach | None]  # along the height and the width; None if unknown
LOCAL: Reaches = (ITSELF, ITSELF)
GLOBAL: Reaches = (EVERYTHING, EVERYTHING)


def through(op: Reach | None, source: Reach | None) -> Reach | None:
    """Return what an op's outputs see of the network's input if the op's own input sees `source`.

    The result is None if it has too many phases, or steps that are longer than any input.
    """
    if op is EVERYTHING:
        return EVERYTHING
    if op is None or source is None or op is ITSELF:
        return source if op is not None else None
    if source.step == 0:
        return source
    if source.period == op.period == 1 and op.starts[0] <= op.ends[0]:  # the common case in deep networks
        start, end = source.start(op.starts[0]), source.end(op.ends[0])
        step = op.step * source.step
        return Reach(step, (start,), (end,), op.whole or source.whole) if step < FAR else None
    rounds = source.period // gcd(op.step, source.period)
    period, step = op.period * rounds, op.step * rounds // source.period * source.step
    if period > MOST_PHASES or step >= FAR:
        return None
    fields = [_field(op, source, phase) for phase in range(period)]
    starts, ends = zip(*fields, strict=True)
    return Reach(step, starts, ends, op.whole or source.whole)


def _field(op: Reach, source: Reach, i: int) -> tuple[int, int]:
    """Return the first and last position that output i sees; a period of positions at each end decides them."""
    first, last = op.start(i), op.end(i)
    if first > last:
        return FAR, -FAR
    starts = range(first, min(last, first + source.period - 1) + 1)
    ends = range(max(first, last - source.period + 1), last + 1)
    return min(map(source.start, starts)), max(map(source.end, ends))


def union(a: Reach | None, b: Reach | None) -> Reach | None:
    """Return what two paths see together; None if they have different strides and so drift apart."""
    if a is None or b is None:
        return None
    if a == b:
        return a
    if a.step == 0 or b.step == 0:
        moving = b if a.step == 0 else a
        return Reach(moving.step, moving.starts, moving.ends, whole=True)
    period = lcm(a.period, b.period)
    if a.step * b.period != b.step * a.period or period > MOST_PHASES:
        return None
    return Reach(
        a.step * period // a.period,
        tuple(min(a.start(i), b.start(i)) for i in range(period)),
        tuple(max(a.end(i), b.end(i)) for i in range(period)),
        a.whole or b.whole,
    )


def resized(size: int | None, wanted: int, factor: int | None, *, taps: int, corners: bool = False) -> Reach | None:
    """Return the reach along an axis resized from `size` to `wanted` positions, or by a factor.

    `taps` is the number of positions that the interpolation uses: 1 (nearest), 2 (linear) or 4 (cubic). The result is
    None if it depends on an unknown size.
    """
    if factor is not None and not corners:
        size, wanted = 1, factor
    if size is None:
        return None
    top, bottom = (size - 1, wanted - 1) if corners else (size, wanted)
    if bottom == 0 or top == 0:
        return ITSELF
    step, period = top // gcd(top, bottom), bottom // gcd(top, bottom)
    if period > MOST_PHASES:
        return None
    if taps == 1:
        starts = tuple(i * step // period for i in range(period))
        return Reach(step, starts, starts)
    below = 2 * period  # output i is at the input position above / below: i·step/period, half a pixel off if unaligned
    above = [2 * i * step if corners else (2 * i + 1) * step - period for i in range(period)]
    more = [0 if each % below == 0 else taps // 2 - 1 for each in above]  # at a position all other taps are 0
    starts = tuple(each // below - far for each, far in zip(above, more, strict=True))
    return Reach(step, starts, tuple(-(-each // below) + far for each, far in zip(above, more, strict=True)))


def divided(size: int | None, wanted: int) -> Reach | None:
    """Return the reach along an axis that an adaptive pool divides into `wanted` windows."""
    if wanted == 1:
        return EVERYTHING
    if size is None:
        return None
    step, period = size // gcd(size, wanted), wanted // gcd(size, wanted)
    if period > MOST_PHASES:
        return None
    starts = tuple(i * step // period for i in range(period))
    return Reach(step, starts, tuple(-(-(i + 1) * step // period) - 1 for i in range(period)))


def besides(axis: int) -> Reaches:
    """Positions map to themselves, except along the joined or split axis, where they depend on the part."""
    return (None if axis == 1 else ITSELF, None if axis == 2 else ITSELF)
