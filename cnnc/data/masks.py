"""Pictures with a mask each: the data of a segmentation.

Takes the folders of pictures and masks; returns pairs of paths, and decodes a mask to the class of each pixel. A mask
is a palette or grey picture whose values are class indices; IGNORED marks pixels without a class.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cnnc.data.dataset import IGNORED, Files, Unreadable, unreadable
from cnnc.data.pictures import FORMATS, SUFFIXES, check_pixels, decoding
from cnnc.data.placement import Framing
from cnnc.diagnostics import CnncError, Code, Note, counted
from cnnc.files.checks import require_file
from cnnc.graph.output_kinds import MOST_CLASSES

TRAIN, TESTS = "train", ("test", "val", "valid", "validation")  # subfolders of parts
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


def find(data: Path) -> bool:
    """Return whether a folder, or its part for training, has a folder of pictures with masks."""
    return any(os.path.isdir(place / IMAGES) for place in (data, data / TRAIN))


def read(data: Path, masks: Path | None, classes: int | None) -> tuple[Files, Files | None]:
    """Return training and test files with masks; raises CnncError (E508). Opens no picture yet.

    `data` has `images` and `masks`, or `train` and `test` that have them. With `masks`, the folder of all masks, `data`
    has the pictures, or `train` and `test` with pictures, and `masks` the same subfolders.
    """
    test = next((name for name in TESTS if os.path.isdir(data / name)), None)
    if not os.path.isdir(data / TRAIN):
        return _files(find_pairs(data, masks), classes), None

    def part(name: str) -> Files:
        return _files(find_pairs(data / name, masks and masks / name), classes)

    return part(TRAIN), part(test) if test else None


def _files(pairs: Sequence[Pair], classes: int | None) -> Files:
    files = as_files(pairs)
    return replace(files, masks=tuple(each.mask for each in pairs), mask_classes=classes or MOST_CLASSES)


def as_files(pairs: Sequence[Pair], skipped: Sequence[Unreadable] = ()) -> Files:
    """Return the pictures of `pairs` without the skipped ones, with labels that mean nothing."""
    left_out = {each.path for each in skipped}
    paths = tuple(each.picture for each in pairs if each.picture not in left_out)
    return Files(paths, np.zeros(len(paths), np.int64), tuple(skipped))


def read_mask(pair: Pair, size: tuple[int, int], classes: int = IGNORED) -> NDArray[np.uint8]:
    """Return the class of each pixel (H, W), below `classes`, or IGNORED.

    Raises CnncError: E503 or E504 if the mask cannot be decoded, E508 if its values are no class indices, E510 if it
    does not have the picture's `size` or has other classes.
    """
    name = str(pair.mask)
    require_file(name, Code.PICTURE_UNREADABLE, "mask")
    with decoding(name), open(name, "rb") as file:
        return decode_mask(name, file, str(pair.picture), size, classes)


def decode_mask(name: str, file: BinaryIO, picture: str, size: tuple[int, int], classes: int) -> NDArray[np.uint8]:
    """Decode the mask in an open file, as `read_mask` does."""
    with decoding(name), Image.open(file, formats=FORMATS) as image:
        check_pixels(name, image.width, image.height, "has")
        mode, values = image.mode, np.asarray(image)
    if mode not in ("P", "L", "1") and not mode.startswith("I"):
        help = "save masks as palette or grey PNG, in which the value of a pixel is the index of its class"
        raise unreadable(name, f"the pixels of a mask must be class indices, got a picture of mode {mode}", help)
    if values.shape != size:
        found, wanted = (f"{height} × {width}" for height, width in (values.shape, size))
        raise CnncError.of(
            Code.DATA_MISFIT,
            f"the mask {name} is {found} (height × width), but the picture {picture} is {wanted}",
            help="a mask has the size of its picture, as it is shown: turned by its EXIF data, if it has any",
        )
    if values.min() < 0 or values.max() > IGNORED:
        extremes = f"values in {values.min()}..{values.max()}"
        raise unreadable(name, f"the pixels of a mask must be class indices, 0 to {IGNORED}, got {extremes}")
    require_known(name, values, classes)
    return values.astype(np.uint8)


def require_known(name: str, values: NDArray[Any], classes: int) -> None:
    """Raise E510 if a pixel of the mask has a class that the network does not have."""
    wrong = (values >= classes) & (values != IGNORED)
    if not wrong.any():
        return
    row, column = np.argwhere(wrong)[0].tolist()
    raise CnncError.of(
        Code.DATA_MISFIT,
        f"the mask {name} has the class {values[row, column]} at row {row}, column {column}, but the network has the "
        f"classes 0 to {classes - 1}",
        help=f"the value of a pixel must be the index of its class; {IGNORED} marks pixels that do not count",
    )


def prepare_mask(mask: NDArray[np.uint8], framed: Framing) -> NDArray[np.uint8]:
    """Return the mask resized and cropped as its picture; each pixel takes the nearest value."""
    height, width = framed.resized
    image = Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST)
    (top, left), (tall, wide) = framed.start, framed.prepared
    return np.asarray(image)[top : top + tall, left : left + wide]
