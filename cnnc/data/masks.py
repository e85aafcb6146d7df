"""Pictures with a mask each: the data that `cnnc eval` scores a segmentation on.

Takes the folders of pictures and masks; returns pairs of paths, and decodes a mask to the class of each pixel. A mask
is a palette or grey picture whose values are class indices; IGNORED marks pixels without a class.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cnnc.data.dataset import Files, Unreadable, unreadable
from cnnc.data.pictures import FORMATS, SUFFIXES, check_pixels, decoding
from cnnc.data.placement import Framing
from cnnc.diagnostics import CnncError, Code, Note, counted
from cnnc.files.checks import require_file

IGNORED = 255
IMAGES, MASKS = "images", "masks"  # subfolders of a folder of both
LOSSLESS = (".png", ".bmp", ".gif", ".tif", ".tiff")  # suffixes of masks: a JPEG changes values
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Pair:
    """The paths of a picture and its mask."""

    picture: Path
    mask: Path


def find_pairs(data: Path, masks: Path | None = None) -> tuple[Pair, ...]:
    """Return the pictures in `data` and its subfolders, sorted, each with its mask of the same name in `masks`.

    Without `masks`, both are in the subfolders IMAGES and MASKS of `data`. Raises CnncError (E508) if a folder cannot
    be read, has no pictures, or a mask is missing.
    """
    images = data if masks is not None else data / IMAGES
    masks = masks or data / MASKS
    for folder in (data, images, masks):
        if not os.path.isdir(folder):
            missing = "it is not a folder" if os.path.exists(folder) else "no such folder"
            help = f"give the folder of masks with --masks, or a folder with subfolders {IMAGES} and {MASKS}"
            raise unreadable(folder, missing, help)
    names = _names(images)
    if not names:
        raise unreadable(images, "the folder contains no pictures", f"pictures end in {', '.join(sorted(SUFFIXES))}")
    present = {name.with_suffix(""): name for name in sorted(_names(masks, LOSSLESS), key=_rank, reverse=True)}
    missing_masks = [name for name in names if name.with_suffix("") not in present]
    if missing_masks:
        few = [Note(f"no mask for {images / name}") for name in missing_masks[:SHOWN]]
        more = [Note(f"and {len(missing_masks) - SHOWN:,} more")] * (len(missing_masks) > SHOWN)
        raise CnncError.of(
            Code.DATA_UNREADABLE,
            f"{len(missing_masks):,} of the {counted(len(names), 'picture')} in {images} have no mask in {masks}",
            notes=(*few, *more),
            help="the mask of `a/x.jpg` is `a/x.png` (or .bmp, .gif, .tif) in the folder of masks",
        )
    return tuple(Pair(images / name, masks / present[name.with_suffix("")]) for name in names)


def _rank(name: Path) -> int:
    return LOSSLESS.index(name.suffix.lower())


def _names(folder: Path, suffixes: tuple[str, ...] = tuple(SUFFIXES)) -> list[Path]:
    """Return the paths below `folder` of the files with these suffixes, sorted, without hidden ones."""

    def refuse(error: OSError) -> None:
        raise unreadable(error.filename, (error.strerror or str(error)).lower()) from error

    found = []
    for place, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [each for each in folders if not each.startswith(".")]
        wanted = [each for each in files if os.path.splitext(each)[1].lower() in suffixes and not each.startswith(".")]
        found += [Path(place, each).relative_to(folder) for each in wanted]
    return sorted(found)


def as_files(pairs: Sequence[Pair], skipped: Sequence[Unreadable] = ()) -> Files:
    """Return the pictures of `pairs` without the skipped ones, with labels that mean nothing."""
    left_out = {each.path for each in skipped}
    paths = tuple(each.picture for each in pairs if each.picture not in left_out)
    return Files(paths, np.zeros(len(paths), np.int64), tuple(skipped))


def read_mask(pair: Pair, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the class of each pixel (H, W), or IGNORED.

    Raises CnncError: E503 or E504 if the mask cannot be decoded, E508 if its values are no class indices, E510 if it
    does not have the picture's `size`.
    """
    name = str(pair.mask)
    require_file(name, Code.PICTURE_UNREADABLE, "mask")
    with decoding(name), open(name, "rb") as file, Image.open(file, formats=FORMATS) as image:
        check_pixels(name, image.width, image.height, "has")
        mode, values = image.mode, np.asarray(image)
    if mode not in ("P", "L", "1") and not mode.startswith("I"):
        help = "save masks as palette or grey PNG, in which the value of a pixel is the index of its class"
        raise unreadable(name, f"the pixels of a mask must be class indices, got a picture of mode {mode}", help)
    if values.shape != size:
        found, wanted = (f"{height} × {width}" for height, width in (values.shape, size))
        raise CnncError.of(
            Code.DATA_MISFIT,
            f"the mask {name} is {found} (height × width), but the picture {pair.picture} is {wanted}",
            help="a mask has the size of its picture, as it is shown: turned by its EXIF data, if it has any",
        )
    if values.min() < 0 or values.max() > IGNORED:
        extremes = f"values in {values.min()}..{values.max()}"
        raise unreadable(name, f"the pixels of a mask must be class indices, 0 to {IGNORED}, got {extremes}")
    return values.astype(np.uint8)


def prepare_mask(mask: NDArray[np.uint8], framed: Framing) -> NDArray[np.uint8]:
    """Return the mask resized and cropped as its picture; each pixel takes the nearest value."""
    height, width = framed.resized
    image = Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST)
    (top, left), (tall, wide) = framed.start, framed.prepared
    return np.asarray(image)[top : top + tall, left : left + wide]
