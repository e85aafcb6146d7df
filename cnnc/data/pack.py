"""Write a pack: the decoded and resized pictures of a data set in one file (see `cnnc.data.packed`).

Takes a loaded `Data` and a `Frame`. Pictures are decoded on threads and written as they come, so that memory holds only
some of them. They have one channel if none has colours, else three.
"""

import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cnnc.data.dataset import Data, DecodedSplit, Part
from cnnc.data.examples import mask_of, picture_of
from cnnc.data.frame import Frame
from cnnc.data.npz import CLASSES
from cnnc.data.packed import ABOUT, GREY, TEST, TRAIN, VERSION, PackedSplit, npy_header, seal
from cnnc.data.pictures import DecodedPicture, decoders
from cnnc.diagnostics import CnncError, Code
from cnnc.files.write import write_file

_AT_ONCE = 64  # pictures that wait in memory


class _Coloured(Exception):
    """A picture has colours."""


@dataclass(frozen=True, slots=True)
class WrittenPack:
    """A pack that has been written: the shapes of its parts, and its size in bytes."""

    path: Path
    shapes: dict[str, tuple[int, ...]]
    bytes: int


def pack(data: Data, frame: Frame, path: Path, progress: Callable[[], None] = lambda: None) -> WrittenPack:
    """Write the pictures of `data` in the frame to `path`; `progress` is called for each picture.

    Raises CnncError: E405 if the file cannot be written, E503 to E508 for a picture or mask, E510 if a picture or mask
    does not fit. An existing file is replaced when the new one is complete.
    """
    parts = {name: part for name, part in zip((TRAIN, TEST), (data.train, data.test), strict=True) if part is not None}
    told = 0
    for channels in (1, 3):
        writer = _PackWriter(frame, channels, progress, told)
        try:
            write_file(path, lambda file, writer=writer: writer.write(file, parts, data.classes))  # type: ignore[misc]
        except _Coloured:
            told = writer.written
            continue
        return WrittenPack(path, writer.shapes, path.stat().st_size)
    raise AssertionError("pictures have one or three channels")


class _PackWriter:
    def __init__(self, frame: Frame, channels: int, progress: Callable[[], None], told: int) -> None:
        """Prepare to write; `progress` already knows of the first `told` pictures."""
        self._frame, self._channels, self._progress, self._told = frame, channels, progress, told
        self.written = 0
        self.shapes: dict[str, tuple[int, ...]] = {}
        self._grey = False  # whether colours were removed, now or when a pack was written that is packed again

    def write(self, file: BinaryIO, parts: dict[str, Part], classes: Sequence[str] | None) -> None:
        self.shapes = {name: (len(part), *self._frame.size, self._channels) for name, part in parts.items()}
        self._grey = any(isinstance(part, PackedSplit) and part.grey for part in parts.values())
        arrays = [f"{kind}_{name}" for name in parts for kind in "xy"] + [f"seals_{name}" for name in parts]
        arrays += [GREY] if classes is None else [GREY, CLASSES]
        about = {"version": VERSION, "arrays": arrays, "shapes": self.shapes}
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(zipfile.ZipInfo(ABOUT), json.dumps(about))
            for name, part in parts.items():
                masks, seals = self._pictures(archive, name, part)
                _add(archive, f"y_{name}", part.labels if masks is None else masks)
                _add(archive, f"seals_{name}", seals)
            _add(archive, GREY, np.array(self._grey))
            if classes is not None:
                _add(archive, CLASSES, np.array(classes))

    def _pictures(
        self, archive: zipfile.ZipFile, name: str, part: Part
    ) -> tuple[NDArray[np.uint8] | None, NDArray[np.uint8]]:
        """Write the pictures of a part; return its masks, if it has any, and the seals of its pictures."""
        masks: list[NDArray[np.uint8]] = []
        seals = bytearray()
        with archive.open(zipfile.ZipInfo(f"x_{name}.npy"), "w", force_zip64=True) as member:
            member.write(npy_header(self.shapes[name]))
            for picture, mask in self._prepared(part):
                seals += seal(picture)
                member.write(picture.data)
                masks += [] if mask is None else [mask]
                self.written += 1
                if self.written > self._told:
                    self._progress()
        return np.stack(masks) if masks else None, np.frombuffer(seals, np.uint8).reshape(len(part), -1)

    def _prepared(self, part: Part) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8] | None]]:
        remaining = iter(range(len(part)))
        with decoders() as threads:
            while chunk := list(islice(remaining, _AT_ONCE)):
                yield from threads.map(lambda index: self._one(part, index), chunk)

    def _one(self, part: Part, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
        try:
            decoded = _in_memory(part, index) if isinstance(part, DecodedSplit) else picture_of(part, index)
            mask = _mask(part, index, decoded.size)
            picture = self._frame.picture(decoded).permute(1, 2, 0).numpy()
            framed = None if mask is None else self._frame.mask(mask).numpy()
        except CnncError as error:
            raise _placed(error, part, index) from None
        if picture.shape[2] > self._channels:
            raise _Coloured
        if decoded.image.mode == "RGB" and picture.shape[2] == 1:
            self._grey = True  # threads only ever set it
        return np.ascontiguousarray(np.broadcast_to(picture, (*picture.shape[:2], self._channels))), framed


def _add(archive: zipfile.ZipFile, name: str, array: NDArray[Any]) -> None:
    write: Callable[..., None] = np.lib.format.write_array  # which numpy 2.0 gives no types
    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
        write(member, np.ascontiguousarray(array), allow_pickle=False)


def _in_memory(part: DecodedSplit, index: int) -> DecodedPicture:
    pixels = part.images[index]
    return DecodedPicture(str(index), Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels))


def _mask(part: Part, index: int, size: tuple[int, int]) -> NDArray[np.uint8] | None:
    if isinstance(part, DecodedSplit):
        return part.labels[index] if part.labels.ndim == 3 else None
    return mask_of(part, index, size) if part.has_masks else None


def _placed(error: CnncError, part: Part, index: int) -> CnncError:
    """Return the error with the picture's path, if it is about the picture's size and does not have it."""
    (found,) = error.diagnostics
    if isinstance(part, DecodedSplit) or found.code is not Code.DATA_MISFIT or found.message.startswith("the mask"):
        return error
    return CnncError.of(found.code, f"{part.paths[index]}: {found.message}", help=found.help)
