"""Compare two outputs within a tolerance, and measure how much an output depends on its input.

Takes arrays of an output or value; returns numbers. Two arrays are equal if

    |a - b| <= 1e-3 |b| + 1e-4 max|b|    for each element, and    rms(a - b) <= 1e-4 rms(b)

Both sides sum in float32, in different orders. This changes an element by about 1e-6 of its layer's magnitude, so the
tolerance of an element near zero cannot be relative to itself; a hundred layers may add up to 1e-5. A wrong pad or axis
changes single elements by 1e-2 and more. A wrong epsilon changes all of them slightly, which the second rule detects.
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
    """The largest difference, absolute and relative to the largest value, and whether it is within the tolerance.

    If the values are smaller than the allowed rounding error, `relative` is relative to that error.
    """

    absolute: float
    relative: float
    ok: bool


class Noise(NamedTuple):
    """The rounding error of a value: the largest of its elements, and the root mean square."""

    largest: float = 0.0
    mean: float = 0.0


NONE = Noise()
FAR = Distance(float("inf"), float("inf"), ok=False)


def compare(a: "Array", b: "Array", noise: Noise = NONE) -> Distance:
    """Return the distance of `a` from torch's `b`; 300 times the rounding error `noise` of `b` is allowed as well.

    NaN and infinity are equal only to themselves.
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
    """Return the largest rounding error of a value over its finite elements."""
    import numpy as np

    known = np.isfinite([exact, *rounded]).all(axis=0)
    distances = [np.abs(each[known] - exact[known]) for each in rounded]
    return Noise(max(float(each.max(initial=0)) for each in distances), max(map(rms, distances)))


def identical(a: "Array", b: "Array") -> bool:
    """Whether two arrays of weights are equal, with NaN equal to NaN; compares part by part to save memory."""
    import numpy as np

    if a.shape != b.shape:
        return False
    a, b = a.reshape(-1), b.reshape(-1)
    parts = (slice(start, start + PART) for start in range(0, a.size, PART))
    return all(np.array_equal(a[part], b[part], equal_nan=True) for part in parts)


def worst(found: "list[Distance]") -> Distance:
    """Return the largest of each number, and whether all are within the tolerance."""
    return Distance(
        max((each.absolute for each in found), default=0.0),
        max((each.relative for each in found), default=0.0),
        all(each.ok for each in found),
    )


def sensitivity(output: "Array") -> float:
    """Return how much an output, (batch, …), changes from sample to sample, in units of the tolerance of `compare`.

    With a sensitivity below 1, a network has the same output for every input within the tolerance, so comparing outputs
    does not test how it computes them.
    """
    import numpy as np

    b = output.astype(np.float64)
    moved = rms(b[1:] - b[:-1])
    magnitude = np.abs(b)
    allowed = rms(RELATIVE * magnitude + ABSOLUTE * magnitude.max(initial=0))
    return moved / allowed if np.isfinite(moved) and allowed else 0.0


def rms(values: "Array") -> float:
    """Return the root mean square; 0 for an empty array."""
    import numpy as np

    return float(np.sqrt(np.mean(np.square(values)))) if values.size else 0.0
