"""Decode one picture of a data set, or its mask, from its file or from its archive."""

import numpy as np
from numpy.typing import NDArray

from cnnc.data.dataset import Files
from cnnc.data.masks import Pair, read_mask
from cnnc.data.pictures import DecodedPicture, Needed, open_picture
from cnnc.data.shards import Shards


def picture_of(files: Files, index: int, needed: Needed | None = None) -> DecodedPicture:
    """Return a picture, at a reduced scale if `needed` allows (see `decode_picture`); raises CnncError (E503, E504)."""
    return files.picture(index, needed) if isinstance(files, Shards) else open_picture(files.paths[index], needed)


def mask_of(files: Files, index: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the mask (H, W) of a picture of that size; raises CnncError (E503, E504, E508, E510)."""
    if isinstance(files, Shards):
        return files.mask(index, size)
    return read_mask(Pair(files.paths[index], files.masks[index]), size, files.mask_classes)
