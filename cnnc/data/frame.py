"""The part of a picture that is kept until a batch is made of it: no more than the network's preprocessing needs.

Takes the input of a graph. A picture is resized as the input's `resize` says, and cut to the frame: the network's size,
or with a `crop` from the centre, a part in whose centre the same crop lies. So the preprocessing of what is kept
resizes nothing any more, and gives the same values as that of the whole picture, bit for bit. Packs hold such pictures,
and so do the batches of the workers that read files.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cnnc.data.pictures import DecodedPicture
from cnnc.data.preprocess import Preprocess

if TYPE_CHECKING:
    from torch import Tensor


class Frame:
    """The frame of a graph input that settles the size of its pictures; `size` is its height and width."""

    def __init__(self, preprocess: Preprocess) -> None:
        self._preprocess, self.size = preprocess, preprocess.frame()

    def picture(self, decoded: DecodedPicture) -> "Tensor":
        """Return a picture as uint8 (C, *size), in grey if the input is grey; raises E510 if it is too small."""
        import torch

        pixels = torch.from_numpy(np.array(self._preprocess.in_grey(decoded.image)))
        pixels = pixels.view(1, *pixels.shape[:2], -1).permute(0, 3, 1, 2)
        return self._cut(self._preprocess.scaled(pixels, decoded.size), decoded.size)[0]

    def mask(self, mask: NDArray[np.uint8]) -> "Tensor":
        """Return the mask (H, W) of a picture as uint8 (*size)."""
        import torch

        scaled = self._preprocess.scaled_masks(torch.from_numpy(mask)[None])
        return self._cut(scaled, (mask.shape[0], mask.shape[1]))[0].contiguous()

    def _cut(self, scaled: "Tensor", original: tuple[int, int]) -> "Tensor":
        """Cut so that the crop from the centre of the part is that from the centre of the whole."""
        within, crop = scaled.shape[-2:], self._preprocess.size(*original)
        if within[0] < self.size[0] or within[1] < self.size[1]:
            return self._preprocess.crop(scaled)  # which raises E510
        for axis in (0, 1):
            start = _centred(within[axis], crop[axis]) - _centred(self.size[axis], crop[axis])
            scaled = scaled.narrow(axis - 2, start, self.size[axis])
        return scaled


def _centred(length: int, part: int) -> int:
    return round((length - part) / 2)
