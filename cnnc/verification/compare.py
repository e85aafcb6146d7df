"""Compare two outputs within a tolerance, and measure how much an output depends on its input.

Takes arrays of an output or value; returns numbers. Two arrays are equal if

    |a - b| <= 1e-3 |b| + 1e-4 max|b|    for each element, and    rms(a - b) <= 1e-4 rms(b)

Both sides sum in float32, in different orders. This changes an element by about 1e-6 of its layer's magnitude, so the
tolerance of an element near zero cannot be relative to itself; a hundred layers may add up to 1e-5. A wrong pad or axis
changes single elements by 1e-2 and more. A wrong epsilon changes all of them slightly, which the second rule detects.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import hypot
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

RELATIVE, ABSOLUTE, MEAN, ROUNDING = 1e-3, 1e-4, 1e-4, 300
PART = 2**20


@dataclass(frozen=True, slots=True)
class Distance:
    """The largest difference, absolute and relative to the largest value, and whether it is within the tolerance.

    If the values are smaller than the allowed rounding error, `relative` is relative to that error. `mean` is the root
    mean square of all differences.
    """

    absolute: float
    relative: float
    ok: bool
    mean: float = 0.0


class Noise(NamedTuple):
    """The rounding error of a value: the largest of its elements, and the root mean square."""

    largest: float = 0.0
    mean: float = 0.0


NONE = Noise()
FAR = Distance(float("inf"), float("inf"), ok=False, mean=float("inf"))


def compare(a: "Array", b: "Array", noise: Noise = NONE) -> Distance:
    """Return the distance of `a` from torch's `b`; 300 times the rounding error `noise` of `b` is allowed as well.

    NaN and infinity are equal only to themselves.
    """
    import numpy as np

    if a.shape != b.shape:
        return FAR
    if np.array_equal(a, b):
        return Distance(0.0, 0.0, ok=True)
    scale = _largest(b)
    slack = ROUNDING * noise.largest
    worst, total, wanted, near = 0.0, 0.0, 0.0, True
    for given, torch in _parts(a, b):
        known = np.isfinite(torch)
        if not np.array_equal(np.isfinite(given), known):
            return FAR
        if not known.all() and not np.array_equal(given[~known], torch[~known], equal_nan=True):
            return FAR
        distance, magnitude = np.abs(given[known] - torch[known]), np.abs(torch[known])
        worst = max(worst, float(distance.max(initial=0)))
        near = near and bool((distance <= RELATIVE * magnitude + ABSOLUTE * scale + slack).all())
        total, wanted = hypot(total, _norm(distance)), hypot(wanted, _norm(magnitude))
    root = max(1, np.isfinite(b).sum()) ** 0.5
    near = near and total / root <= MEAN * wanted / root + ROUNDING * noise.mean
    return Distance(worst, worst / (max(scale, slack) or 1), near, total / root)


def noise(exact: "Array", *rounded: "Array") -> Noise:
    """Return the largest rounding error of a value over its finite elements."""
    import numpy as np

    norms, largest, count = [0.0] * len(rounded), 0.0, 0
    for parts in _parts(exact, *rounded):
        known = np.isfinite(parts).all(axis=0)
        distances = [np.abs(each[known] - parts[0][known]) for each in parts[1:]]
        largest = max(largest, *(float(each.max(initial=0)) for each in distances))
        norms = [hypot(norm, _norm(each)) for norm, each in zip(norms, distances, strict=True)]
        count += int(known.sum())
    return Noise(largest, max(norms) / max(1, count) ** 0.5)


def _parts(*arrays: "Array") -> "Iterator[list[Array]]":
    """Equal parts of arrays of one shape, in float64: all at once would take many times their memory."""
    import numpy as np

    flat = [each.reshape(-1) for each in arrays]
    for start in range(0, flat[0].size, PART):
        yield [each[start : start + PART].astype(np.float64) for each in flat]


def _norm(value: "Array") -> float:
    """The Euclidean norm; unlike numpy's, it does not overflow if a square does."""
    import numpy as np

    largest = float(np.abs(value).max(initial=0))
    return largest * float(np.square(value / largest).sum()) ** 0.5 if largest else 0.0


def _largest(value: "Array") -> float:
    """The largest magnitude of the elements that are finite."""
    import numpy as np

    return max((float(np.abs(part[np.isfinite(part)]).max(initial=0)) for [part] in _parts(value)), default=0.0)


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
        max((each.mean for each in found), default=0.0),
    )


def sensitivity(output: "Array", distance: float = 0) -> float:
    """Return how much an output, (batch, …), changes from sample to sample, in units of the tolerance of `compare`.

    If the tolerance allowed for rounding errors, the mean `distance` that was found is added to it.

    With a sensitivity below 1, a network has the same output for every input within the tolerance, so comparing outputs
    does not test how it computes them.
    """
    import numpy as np

    scale = _largest(output)
    moved = [np.square(later - earlier).sum() for pair in pairwise(output) for later, earlier in _parts(*pair)]
    least = ABSOLUTE * scale + distance
    allowed = [np.square(RELATIVE * np.abs(part) + least).sum() for [part] in _parts(output)]
    far, near = sum(moved) / max(1, output[1:].size), sum(allowed) / max(1, output.size)
    return float((far / near) ** 0.5) if np.isfinite(far) and near else 0.0
