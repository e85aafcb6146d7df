"""Read the data sets that `cnnc data pack` writes: an uncompressed `.npz` file whose pictures are memory-mapped.

The arrays are those of any `.npz` (`cnnc.data.npz`): `x_train`, uint8 (N, H, W, C), `y_train`, perhaps `x_test` and
`y_test`, and `classes`. So other programs can read it too. `seals_train` and `seals_test`, uint8 (N, 32), are the
SHA-256 of each picture, which is checked when the picture is first read; the checksums of the archive protect the rest.
`grey` is whether colours were removed. The first member, `cnnc_pack.json`, has the format's version, the names of all
arrays, and the shapes of the pictures.
"""

import hashlib
import json
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.data import npz
from cnnc.data.dataset import COPY_AGAIN, DecodedSplit, Labelling, reading, unreadable
from cnnc.data.preprocess import Preprocess
from cnnc.diagnostics import CnncError, Code

PACK_AGAIN = "pack them again for this network: `cnnc data pack DATA --spec SPEC -o FILE.npz`"
ABOUT = "cnnc_pack.json"
VERSION = 1
TRAIN, TEST, GREY = "train", "test", "grey"
SEAL = 32  # bytes
_LOCAL_HEADER = 30  # bytes before the name of a member


class Pixels:
    """Pictures in a pack, uint8 (N, H, W, C): an array whose rows are read, and checked, when they are taken."""

    def __init__(self, path: Path, mapped: NDArray[np.uint8], seals: NDArray[np.uint8]) -> None:
        import torch

        self.path, self._mapped, self._seals = path, mapped, seals
        with warnings.catch_warnings():  # torch warns of arrays that cannot be written; nobody writes this tensor
            warnings.simplefilter("ignore", UserWarning)
            self._tensor = torch.from_numpy(mapped)
        self._rows = np.arange(len(mapped))
        self._intact = np.zeros(len(mapped), bool)  # shared with the parts that are taken

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *self._mapped.shape[1:])

    @property
    def nbytes(self) -> int:
        return prod(self.shape)

    def take(self, indices: NDArray[np.intp]) -> "Pixels":
        """Return the part with these pictures, without reading them."""
        part = Pixels.__new__(Pixels)
        part.__dict__.update(self.__dict__, _rows=self._rows[indices])
        return part

    def __getitem__(self, index: Any) -> NDArray[np.uint8]:
        """Read pictures; raises E508 for one that has changed since it was written."""
        import torch

        chosen = self._rows[index]
        rows = np.atleast_1d(chosen)
        # torch reads on several threads, and lets other threads of Python run meanwhile
        found: NDArray[np.uint8] = self._tensor.index_select(0, torch.from_numpy(rows)).numpy()
        for row, picture in zip(rows, found, strict=True):
            if not self._intact[row]:
                self._require_intact(row, picture)
        return found if np.ndim(chosen) else found[0]

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return (self[index] for index in range(len(self)))

    def digest(self) -> bytes:
        """SHA-256 of the shape and the seals, and so of the pictures."""
        return hashlib.sha256(repr(self.shape).encode() + self._seals[self._rows].tobytes()).digest()

    def _require_intact(self, row: int, picture: NDArray[np.uint8]) -> None:
        if seal(picture) != self._seals[row].tobytes():
            raise unreadable(self.path, f"it is damaged: picture {row:,} is not as it was written", COPY_AGAIN)
        self._intact[row] = True


@dataclass(frozen=True, eq=False)
class PackedSplit(DecodedSplit):
    """Pictures of one size in a pack, larger than memory perhaps. `grey`: it has no colours, but its source had."""

    images: Pixels  # type: ignore[assignment]  # an array to all who only read rows of it
    grey: bool = False

    def take(self, indices: NDArray[np.intp]) -> "PackedSplit":
        return replace(self, images=self.images.take(indices), labels=self.labels[indices], skipped=())

    def require_enough(self, preprocess: Preprocess) -> None:
        """Raise E510 if the pictures have fewer pixels or colours than the preprocessing needs: those are lost."""
        path, size = self.images.path, self.images.shape[1:3]
        wanted = preprocess.frame() if preprocess.fixed else size
        if size[0] < wanted[0] or size[1] < wanted[1]:
            found, needed = (f"{height} × {width}" for height, width in (size, wanted))
            message = f"the pictures in {path} are {found} (height × width), but the network needs {needed}"
            raise CnncError.of(Code.DATA_MISFIT, message, help=PACK_AGAIN)
        if self.grey and preprocess.takes_colours:
            message = f"the pictures in {path} were packed for a network that takes grey, but this one takes colours"
            raise CnncError.of(Code.DATA_MISFIT, message, help=PACK_AGAIN)

    def digest(self) -> bytes:
        """SHA-256 of the pixels' seals and the labels."""
        return hashlib.sha256(self.images.digest() + self.labels.tobytes()).digest()


def npy_header(shape: tuple[int, ...]) -> bytes:
    """Return what comes before the bytes of an array of this shape in a `.npy` file.

    NumPy's reader of headers parses them as Python, and raises nearly anything for a damaged one.
    """
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def seal(picture: NDArray[np.uint8]) -> bytes:
    """Return the SHA-256 of a contiguous picture."""
    return hashlib.sha256(picture.data).digest()


def find(path: Path) -> bool:
    """Return whether the file is a pack: its first member is ABOUT, also if the list of its members is damaged."""
    with reading(path), path.open("rb") as file:
        return file.read(_LOCAL_HEADER + len(ABOUT))[_LOCAL_HEADER:] == ABOUT.encode()


def read(path: Path, target: Labelling) -> tuple[PackedSplit, PackedSplit | None, tuple[str, ...] | None]:
    """Return the training split, the test split and the class names; raises CnncError (E508)."""
    about = _about(path)
    if missing := set(about["arrays"]) - npz.names_in(path):
        raise unreadable(path, f"it is damaged: it contains no `{min(missing)}`", COPY_AGAIN)
    train = _split(path, about, TRAIN, target)
    test = _split(path, about, TEST, target) if TEST in about["shapes"] else None
    return train, test, npz.class_names(path) if npz.CLASSES in about["arrays"] else None


def _about(path: Path) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(path) as archive:
            about: dict[str, Any] = json.loads(archive.read(ABOUT))
            version = about["version"]
    except Exception as error:
        raise unreadable(path, f"it is damaged: {ABOUT} in it cannot be read", COPY_AGAIN) from error
    if version != VERSION:
        reason = f"it is a pack of format {version}, and this cnnc reads format {VERSION}"
        raise unreadable(path, reason, "update cnnc, or pack the data again")
    return about


def _split(path: Path, about: dict[str, Any], part: str, target: Labelling) -> PackedSplit:
    mapped, seals = _mapped(path, f"x_{part}", tuple(about["shapes"][part])), npz.read_array(path, f"seals_{part}")
    labels = npz.read_labels(path, f"y_{part}", target)
    if seals.shape != (len(mapped), SEAL) or len(labels) != len(mapped):
        counts = f"{len(mapped):,} pictures, {len(labels):,} labels and {len(seals):,} seals"
        raise unreadable(path, f"it is damaged: it has {counts}", COPY_AGAIN)
    if labels.ndim == 3 and labels.shape[1:] != mapped.shape[1:3]:
        raise unreadable(path, "it is damaged: its masks have another size than its pictures", COPY_AGAIN)
    return PackedSplit(Pixels(path, mapped, seals.astype(np.uint8)), labels, grey=bool(npz.read_array(path, GREY)))


def _mapped(path: Path, name: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return an array of the archive, memory-mapped: read-only, since a private mapping counts as used memory."""
    with reading(path), zipfile.ZipFile(path) as archive, path.open("rb") as file:
        member = archive.getinfo(f"{name}.npy")
        file.seek(member.header_offset)
        header = file.read(_LOCAL_HEADER)
        lengths = (int.from_bytes(header[at : at + 2], "little") for at in (26, 28))  # of the name and of the rest
        file.seek(sum(lengths), 1)
        before = npy_header(shape)
        if file.read(len(before)) != before or member.compress_type != zipfile.ZIP_STORED:
            reason = f"it is damaged or was packed again by another program: `{name}` cannot be mapped"
            raise unreadable(path, reason, "write it again with `cnnc data pack`")
        return np.memmap(path, np.uint8, "r", file.tell(), shape)
