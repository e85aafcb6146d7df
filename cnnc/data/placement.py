"""Where the pixels of a prepared picture come from: `resize` and the centre crop as numbers.

Takes a picture's height and width and the `InputContract`; returns a `Framing`. `cnnc.data.pictures` prepares
pictures with it, and masks are prepared and brought back to the size of their picture with it.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from cnnc.artifacts.contract import InputContract

Size = tuple[int, int]  # height, width


@dataclass(frozen=True, slots=True)
class Framing:
    """A picture of `size`, resized to `resized`, and cropped to `prepared` from `start` (row, column)."""

    size: Size
    resized: Size
    start: Size
    prepared: Size

    def positions(self, axis: int, count: int, stride: float | None = None) -> NDArray[np.intp]:
        """Return, for each pixel of the picture along an axis, the nearest of `count` pixels of a network's output.

        It is -1 for pixels outside the crop. The output spans the prepared picture. But if it has a pixel per `stride`
        pixels of that, and so spans at least one stride less (convolutions without padding), it spans its centre.
        """
        own, resized, start, length = (each[axis] for each in (self.size, self.resized, self.start, self.prepared))
        spanned = Fraction(length)
        if stride is not None and length - count * stride >= stride:
            spanned = count * Fraction(stride)
        wide, parts = spanned.numerator, spanned.denominator
        # the centre of each pixel in the prepared picture is `centres / (2 * own)`; in whole numbers nothing is rounded
        fits = 4 * own * resized * parts * count < 2**63
        centres = (2 * np.arange(own).astype(np.int64 if fits else object) + 1) * resized - 2 * own * start
        found = (centres * parts - own * (length * parts - wide)) * count // (2 * own * wide)
        seen = (centres >= 0) & (centres < 2 * own * length) & (found >= 0) & (found < count)
        return np.where(seen, found, -1).astype(np.intp)


def place(size: Size, to: InputContract) -> Framing:
    """Return the placement of a picture of this size. A crop larger than the resized picture starts before it."""
    resized = _resized(size, to)
    cropped = to.crop or resized
    # torchvision's rounding
    start = round((resized[0] - cropped[0]) / 2), round((resized[1] - cropped[1]) / 2)
    return Framing(size, resized, start, cropped)


def _resized(size: Size, to: InputContract) -> Size:
    """Return height and width after `resize`; the longer side is rounded down, as in torchvision."""
    if isinstance(to.resize, int):
        shorter = min(size)
        return max(1, to.resize * size[0] // shorter), max(1, to.resize * size[1] // shorter)
    if to.resize is not None:
        return to.resize
    _, height, width = to.shape
    return size if to.crop is not None or height is None or width is None else (height, width)
