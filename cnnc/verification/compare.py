"""How near two answers are, and how much an answer depends on its input.

In go arrays of one output or value; out come numbers. What counts as equal:

    |a - b| <= 1e-3 |b| + 1e-4 max|b|    for each element, and    rms(a - b) <= 1e-4 rms(b)

Both sides round every sum of a float32 network in their own order. That moves an element by some 1e-6 of its layer's
magnitude, so an element near zero cannot be held to its own; a hundred layers may add up to 1e-5. A wrong pad or axis
moves single elements by 1e-2 and more. A wrong epsilon moves all of them by a little, which the second rule sees.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

RELATIVE, ABSOLUTE, MEAN, ROUNDING = 1e-3, 1e-4, 1e-4, 300
PART = 2**22


@dataclass(frozen=True, slots=True)
class Distance:
    """The largest difference, absolute and as a part of the largest value; whether it is small enough.

    For values that are smaller than what rounding may do to them, the part is of that.
    """

    absolute: float
    relative: float
    ok: bool


class Noise(NamedTuple):
    """How far rounding moves a value: its elements at most, and in the root of the mean square."""

    largest: float = 0.0
    mean: float = 0.0


NONE = Noise()
FAR = Distance(float("inf"), float("inf"), ok=False)


def compare(a: "Array", b: "Array", noise: Noise = NONE) -> Distance:
    """How far `a` is from `b`, which is torch's and has a `noise` of rounding, of which 300 times as much is allowed.

    NaN and infinity agree with themselves alone.
    """
    import numpy as np

    if a.shape != b.shape:
        return FAR
    if np.array_equal(a, b):
        return Distance(0.0, 0.0, ok=True)
    a, b = a.astype(np.float64), b.astype(np.float64)
    known = np.isfinite(b)
    if not (np.isfinite(a) == known).all() or not np.array_equal(a[~known], b[~known], equal_nan=True):
        return FAR
    distance, magnitude = np.abs(a[known] - b[known]), np.abs(b[known])
    worst, scale = float(distance.max(initial=0)), float(magnitude.max(initial=0))
    slack = ROUNDING * noise.largest
    ok = (distance <= RELATIVE * magnitude + ABSOLUTE * scale + slack).all()
    ok = ok and rms(distance) <= MEAN * rms(magnitude) + ROUNDING * noise.mean
    return Distance(worst, worst / (max(scale, slack) or 1), bool(ok))


def noise(exact: "Array", *rounded: "Array") -> Noise:
    """The most that rounding changed in a value, of its elements that are finite."""
    import numpy as np

    known = np.isfinite([exact, *rounded]).all(axis=0)
    distances = [np.abs(each[known] - exact[known]) for each in rounded]
    return Noise(max(float(each.max(initial=0)) for each in distances), max(map(rms, distances)))


def identical(a: "Array", b: "Array") -> bool:
    """Whether two arrays of weights are the same, NaN for NaN; looks at a part of them after the other."""
    import numpy as np

    if a.shape != b.shape:
        return False
    a, b = a.reshape(-1), b.reshape(-1)
    parts = (slice(start, start + PART) for start in range(0, a.size, PART))
    return all(np.array_equal(a[part], b[part], equal_nan=True) for part in parts)


def worst(found: "list[Distance]") -> Distance:
    """The largest of each figure."""
    return Distance(
        max((each.absolute for each in found), default=0.0),
        max((each.relative for each in found), default=0.0),
        all(each.ok for each in found),
    )


def sensitivity(output: "Array") -> float:
    """How far an output, (batch, …), moves from one sample to the next, in units of what `compare` lets pass.

    A network with a sensitivity below 1 gives the same answer to every input, so that a comparison of its answers
    says nothing of how it computes them.
    """
    import numpy as np

    b = output.astype(np.float64)
    moved = rms(b[1:] - b[:-1])
    magnitude = np.abs(b)
    allowed = rms(RELATIVE * magnitude + ABSOLUTE * magnitude.max(initial=0))
    return moved / allowed if np.isfinite(moved) and allowed else 0.0


def rms(values: "Array") -> float:
    """The root of the mean square; 0 of nothing."""
    import numpy as np

    return float(np.sqrt(np.mean(np.square(values)))) if values.size else 0.0
