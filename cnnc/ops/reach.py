"""Which positions of an input an output sees, along one axis: exact, in whole numbers, at fractional strides too.

A `Reach` belongs to an op (of its own input) or, composed, to a node (of the network's input). It repeats: `step` input
positions further on stand the fields of the outputs `period` further on. A conv has a period of 1 and its stride as the
step; what doubles a map has a period of 2 and a step of 1, and its outputs' fields differ from phase to phase.
Composition is that of Araujo, Norris and Sim, Computing receptive fields of convolutional neural networks (Distill,
2019), with phases. A field is told from its first position to its last, holes included.
"""

from math import gcd, lcm
from typing import NamedTuple

MOST_PHASES = 1024
FAR = 1 << 60  # an output that sees nothing, between the taps of a transposed conv, begins and ends nowhere


class Reach(NamedTuple):
    """The output at i sees the positions `start(i)` to `end(i)`; where `whole`, beyond them all of the input.

    A step of 0 says that every output sees the same. Positions below 0, or behind the input's end, are padding.
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
        """How many positions an output sees at most."""
        return max(0, *(end - start + 1 for start, end in zip(self.starts, self.ends, strict=True)))

    def start(self, i: int) -> int:
        return self.starts[i % self.period] + i // self.period * self.step

    def end(self, i: int) -> int:
        return self.ends[i % self.period] + i // self.period * self.step


ITSELF = Reach(1, (0,), (0,))
EVERYTHING = Reach(0, (0,), (0,), whole=True)
ITSELF_AND_ALL = Reach(1, (0,), (0,), whole=True)  # a position, by statistics over all of them

Reaches = tuple[Reach | None, Reach | None]  # along the height and the width; None where it cannot be told
LOCAL: Reaches = (ITSELF, ITSELF)
GLOBAL: Reaches = (EVERYTHING, EVERYTHING)


def through(op: Reach | None, source: Reach | None) -> Reach | None:
    """What an op's outputs see of the network's input, where its own input sees `source`."""
    if op is EVERYTHING:
        return EVERYTHING
    if op is None or source is None or op is ITSELF:
        return source if op is not None else None
    if source.step == 0:
        return source
    if source.period == op.period == 1 and op.starts[0] <= op.ends[0]:  # most are, in long networks
        start, end = source.start(op.starts[0]), source.end(op.ends[0])
        return Reach(op.step * source.step, (start,), (end,), op.whole or source.whole)
    rounds = source.period // gcd(op.step, source.period)
    period, step = op.period * rounds, op.step * rounds // source.period * source.step
    if period > MOST_PHASES:
        return None
    fields = [_field(op, source, phase) for phase in range(period)]
    starts, ends = zip(*fields, strict=True)
    return Reach(step, starts, ends, op.whole or source.whole)


def _field(op: Reach, source: Reach, i: int) -> tuple[int, int]:
    """What output i sees; beyond a period of them, later positions begin later, and earlier ones end earlier."""
    first, last = op.start(i), op.end(i)
    if first > last:
        return FAR, -FAR
    starts = range(first, min(last, first + source.period - 1) + 1)
    ends = range(max(first, last - source.period + 1), last + 1)
    return min(map(source.start, starts)), max(map(source.end, ends))


def union(a: Reach | None, b: Reach | None) -> Reach | None:
    """What two paths see together; None where they step at different rates, so that they drift apart."""
    if a is None or b is None or a == b:
        return a if b is not None else None
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


def resized(size: int | None, wanted: int, factor: int | None, *, linear: bool, corners: bool = False) -> Reach | None:
    """Along an axis that is resized from `size` to `wanted` positions, or by a factor: nearest or linear.

    None where that depends on a size that is unknown.
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
    if not linear:
        starts = tuple(i * step // period for i in range(period))
        return Reach(step, starts, starts)
    below = 2 * period  # where output i lies is above / below: i·step/period, or half a position's part from there
    above = [2 * i * step if corners else (2 * i + 1) * step - period for i in range(period)]
    return Reach(step, tuple(each // below for each in above), tuple(-(-each // below) for each in above))


def divided(size: int | None, wanted: int) -> Reach | None:
    """Along an axis that is cut into `wanted` windows, as an adaptive pool does it."""
    if wanted == 1:
        return EVERYTHING
    if size is None:
        return None
    step, period = size // gcd(size, wanted), wanted // gcd(size, wanted)
    if period > MOST_PHASES:
        return None
    starts = tuple(i * step // period for i in range(period))
    return Reach(step, starts, tuple(-(-(i + 1) * step // period) - 1 for i in range(period)))
