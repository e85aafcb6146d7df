"""Decode a picture file and turn it into the input array of a network.

Takes a path and the `InputContract`, and returns float32 (C, H, W). The file is not trusted: its content decides the
format (never its name), its size is checked before a pixel is decoded, and any exception of a decoder is a diagnostic.

The rules: PNG, JPEG, WebP, BMP, GIF and TIFF; the first of several frames; oriented by EXIF; transparent parts over
white; 16-bit grey becomes 8-bit by v/257; grey is ITU-R 601 luma. 32-bit integers count as 8-bit values if
all are in 0..255, else as 16-bit values; floats as 0..1 if all are in that range, else as 0..255; others are refused.
"""

import os
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.ExifTags import Base

from cnnc.artifacts.contract import InputContract
from cnnc.data.placement import Framing, Size, place
from cnnc.diagnostics import CnncError, Code
from cnnc.files.checks import require_file
from cnnc.targets.pixels import normalise

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")  # Pillow loads all its plugins when it tries the last two
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
MAX_PIXELS = 64_000_000

_MODES = {"grey": "L", "rgb": "RGB", "bgr": "RGB"}
RESAMPLINGS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


Needed = Callable[[int, int], Size]
"""Takes a picture's height and width, and returns those to which it will be resized."""
MARGIN = 1.25
"""A picture decoded at a reduced scale is at least this many times as large as needed.

So it differs from one that is decoded whole and resized as two filters differ that resize: on photographs by 1 to 3
of 255 on average, as bicubic or Lanczos from bilinear. At a margin of 1, it would be up to 4.
"""


@dataclass(frozen=True, slots=True)
class DecodedPicture:
    """A decoded picture of mode `L` or `RGB`, eight bits per channel, and notes about its conversion.

    `whole` are the height and width in the file, oriented by EXIF, if the image is decoded at a reduced scale.
    """

    path: str
    image: Image.Image
    notes: tuple[str, ...] = ()
    whole: Size | None = None

    @property
    def size(self) -> Size:
        """Height and width in the file, oriented by EXIF."""
        return self.whole or (self.image.height, self.image.width)


def open_picture(path: str | os.PathLike[str], needed: Needed | None = None) -> DecodedPicture:
    """Read the picture at `path`, as `decode_picture` does."""
    name = os.fspath(path)
    require_file(name, Code.PICTURE_UNREADABLE, "picture")
    # a file, not a path: Pillow memory-maps a TIFF opened by path, and garbles it if EXIF orients it
    with decoding(name), open(name, "rb") as file:
        return decode_picture(name, file, needed)


def decode_picture(name: str, file: BinaryIO, needed: Needed | None = None) -> DecodedPicture:
    """Decode the picture in an open file; raises CnncError (E503: not a supported picture, E504: over MAX_PIXELS).

    With `needed`, a JPEG is decoded at 1/2, 1/4 or 1/8 of its size if that is at least MARGIN times what is needed.
    """
    with decoding(name), Image.open(file, formats=FORMATS) as image:
        check_pixels(name, image.width, image.height, "has")
        whole = _reduce(image, needed) if needed is not None and image.format in ("JPEG", "MPO") else None
        frames = getattr(image, "n_frames", 1) if image.format != "MPO" else 1
        notes = [f"the first of {frames} frames"] if frames > 1 else []
        if image.getexif().get(Base.Orientation) in range(2, 9):
            notes.append("oriented by its EXIF data")
        # before `convert`, which drops the orientation in some modes
        ImageOps.exif_transpose(image, in_place=True)
        return DecodedPicture(name, _to_eight_bits(image, notes), tuple(notes), whole)


def _reduce(image: Image.Image, needed: Needed) -> Size:
    """Let the decoder of an open JPEG reduce it, if it is large enough; return its height and width as oriented."""
    turned = image.getexif().get(Base.Orientation) in range(5, 9)
    height, width = image.size if turned else image.size[::-1]
    high, wide = (ceil(MARGIN * each) for each in needed(height, width))
    image.draft(None, (high, wide) if turned else (wide, high))
    return height, width


def prepare(picture: DecodedPicture, to: InputContract) -> NDArray[Any]:
    """Return the array (C, H, W) for the input `to`: mode, resize, centre crop, 0..scale, (x - mean) / std.

    It is float32, or if the file normalises the picture itself, uint8 (H, W, C) after the crop. Without `resize` a
    picture is resized to the input's height and width, or keeps its size if those are unknown.
    Raises CnncError: E504 if the resized picture is over MAX_PIXELS, E505 if it does not fit the network.
    """
    if to.mode is None:
        raise CnncError.of(Code.MODEL_UNSUITED, f"the model's input {to.name!r} {list(to.shape)} is not a picture")
    image = picture.image
    if image.mode != _MODES[to.mode]:  # otherwise `convert` copies it
        image = image.convert(_MODES[to.mode])
    placed = place((image.height, image.width), to)
    image = _crop(picture.path, _resize(picture.path, image, placed.resized, to.interpolation), placed)
    _check_fit(picture.path, image, to)
    pixels: NDArray[np.uint8] = np.asarray(image)
    if to.uint8:
        return pixels if pixels.ndim == 3 else pixels[:, :, None]
    pixels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return normalise(pixels[::-1] if to.mode == "bgr" else pixels, to)


@contextmanager
def decoders(threads: int | None = None) -> Iterator[ThreadPoolExecutor]:
    """Yield threads on which pictures are decoded at the same time: Pillow releases the GIL."""
    # each decoder silences Pillow's warnings, and restores the filters out of order: the first that ends would end the
    # silence of the others
    with warnings.catch_warnings(), ThreadPoolExecutor(threads or min(8, os.cpu_count() or 1)) as pool:
        warnings.filterwarnings("ignore", module="PIL")
        yield pool


@contextmanager
def decoding(path: str) -> Iterator[None]:
    """Turn Pillow's exceptions into E503 or E504, and suppress its warnings."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except CnncError:
        raise
    except Image.DecompressionBombError as error:
        raise _too_large(path, "the picture has far too many pixels") from error
    except UnidentifiedImageError as error:
        raise CnncError.of(
            Code.PICTURE_UNREADABLE,
            f"cannot read the picture {path}: its format is unknown",
            help="convert it to PNG, JPEG, WebP, BMP, GIF or TIFF",
        ) from error
    except Exception as error:  # decoders raise nearly every built-in exception on damaged files
        raise CnncError.of(
            Code.PICTURE_UNREADABLE, f"cannot read the picture {path}: {str(error) or type(error).__name__}"
        ) from error


def _too_large(path: str, reason: str) -> CnncError:
    message = f"{path}: {reason}; the limit is {MAX_PIXELS:,}"
    return CnncError.of(Code.PICTURE_TOO_LARGE, message, help="scale the picture down first")


def check_pixels(path: str, width: int, height: int, verb: str) -> None:
    """Raise CnncError (E504) if a picture has, or would have, more than MAX_PIXELS."""
    if width * height > MAX_PIXELS:
        raise _too_large(path, f"the picture {verb} {width:,} × {height:,} = {width * height:,} pixels")


def _to_eight_bits(image: Image.Image, notes: list[str]) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_scale(np.asarray(image), image.mode, notes))
    if image.has_transparency_data:
        return _over_white(image, notes)
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def _scale(values: NDArray[np.generic], mode: str, notes: list[str]) -> NDArray[np.uint8]:
    """Scale values of more than eight bits to 0..255; raises ValueError if their range is unknown."""
    if mode.startswith("I;16"):
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    low, high = float(values.min()), float(values.max())
    tops = (1, 255) if mode == "F" else (255, 65535)
    top = next((top for top in tops if low >= 0 and high <= top), None)
    if top is None:  # also if a value is NaN
        raise ValueError(f"its values are in {low:g}..{high:g}; cnnc takes 0..{tops[0]} or 0..{tops[1]}")
    notes.append(f"{'float' if mode == 'F' else '32-bit'} values read as 0..{top}")
    return (values.astype(np.float64) * (255 / top) + 0.5).astype(np.uint8)


def _over_white(image: Image.Image, notes: list[str]) -> Image.Image:
    picture = image.convert("RGBA")
    if picture.getchannel("A").getextrema() != (255, 255):
        notes.append("transparent parts shown on white")
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")


def _resize(path: str, image: Image.Image, size: Size, interpolation: str) -> Image.Image:
    height, width = size
    if (width, height) == image.size:
        return image
    check_pixels(path, width, height, "would become")
    return image.resize((width, height), RESAMPLINGS[interpolation])


def _crop(path: str, image: Image.Image, placed: Framing) -> Image.Image:
    (top, left), (height, width) = placed.start, placed.prepared
    if height > image.height or width > image.width:
        raise CnncError.of(
            Code.PICTURE_MISFIT,
            f"{path}: the picture is {image.height} × {image.width} (height × width), smaller than the centre crop of "
            f"{height} × {width}",
            help="use a larger picture, or give the input a `resize` at least as large as its `crop`",
        )
    return image if (width, height) == image.size else image.crop((left, top, left + width, top + height))


def _check_fit(path: str, image: Image.Image, to: InputContract) -> None:
    """Raise E505 if the network cannot take this size: onnxruntime may crash, or return wrong values."""
    wanted = to.misfit(image.height, image.width)
    if wanted:
        raise CnncError.of(
            Code.PICTURE_MISFIT,
            f"{path}: the prepared picture is {image.height} × {image.width} (height × width), the network takes "
            f"{wanted}",
            help="resize the picture, or add `resize: [height, width]` to the spec's input and build again",
        )
