"""The data set types that training and evaluation use, independent of the layout on disk.

A `DecodedSplit` is decoded in memory, a `Files` is read picture by picture during training. Pixels are 8-bit and
unchanged: the model's contract defines how to scale, resize and normalise them. A `Data` has as many labels as
pictures, at least one. Labels are what a network is trained to predict, by the kind of its output (`Labelling`): the
class, counted from 0; a 0 or 1 for each of several labels; numbers; or a mask, the class of each pixel.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.diagnostics import CnncError, Code
from cnnc.graph.output_kinds import MOST_CLASSES

COPY_AGAIN = "download or copy it again"
IGNORED = 255
"""The value of a mask's pixels that do not count."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A picture file that cannot be decoded, and the error message."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Labelling:
    """What the labels of a data set must be: `kind` is that of the output that predicts them.

    `size` is the number of classes, labels or numbers of that output, and `names` their names, if these are known.
    """

    kind: str = "classes"
    size: int | None = None
    names: tuple[str, ...] | None = None
    masks: Path | None = None  # the folder of masks, if it is not `masks` beside `images`


CLASS = Labelling()
"""One class per picture."""


@dataclass(frozen=True, eq=False)
class DecodedSplit:
    """Decoded pictures of one size, uint8 (N, H, W, C), contiguous, C is 1 or 3; and their labels.

    Labels are int64 (N,) classes, float32 (N, K) labels or numbers, or uint8 (N, H, W) masks. `skipped` are the
    pictures that were left out because they cannot be read.
    """

    images: NDArray[np.uint8]
    labels: NDArray[Any]
    skipped: tuple[Unreadable, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: NDArray[np.intp]) -> "DecodedSplit":
        return DecodedSplit(self.images[indices], self.labels[indices])

    def digest(self) -> bytes:
        """SHA-256 of the shape, the pixels and the labels."""
        digest = hashlib.sha256(repr(self.images.shape).encode())
        digest.update(self.images.data)
        digest.update(self.labels.data)
        return digest.digest()


@dataclass(frozen=True, eq=False)
class Files:
    """Picture files of any size, which `cnnc.data.pictures.open_picture` decodes; and their labels.

    `labels` and `skipped` are as in DecodedSplit. But masks are files, one a picture, with classes below
    `mask_classes`; `labels` then mean nothing.
    """

    paths: Sequence[Path]
    labels: NDArray[Any]
    skipped: tuple[Unreadable, ...] = ()
    masks: tuple[Path, ...] = ()
    mask_classes: int = MOST_CLASSES

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def has_masks(self) -> bool:
        return bool(self.masks)

    def take(self, indices: NDArray[np.intp]) -> "Files":
        masks = tuple(self.masks[index] for index in indices) if self.masks else ()
        paths = tuple(self.paths[index] for index in indices)
        return Files(paths, self.labels[indices], masks=masks, mask_classes=self.mask_classes)

    def digest(self) -> bytes:
        """SHA-256 of the files' names and sizes and the labels: cheap, and unchanged if the folder moves."""
        digest = hashlib.sha256(self.labels.data)
        for path in (*self.paths, *self.masks):
            with reading(path):
                digest.update(f"{path.name}\0{path.stat().st_size}\0".encode(errors="surrogateescape"))
        return digest.digest()


Part = DecodedSplit | Files


@dataclass(frozen=True, eq=False)
class Data:
    """A data set: `classes` are the class names, if the set has any; `source` is the path that it was read from.

    `fingerprint` is a hexadecimal SHA-256 that changes with the examples, their order and the class names.
    """

    name: str
    train: DecodedSplit | Files
    test: DecodedSplit | Files | None
    classes: tuple[str, ...] | None
    source: str
    fingerprint: str

    @property
    def num_classes(self) -> int:
        """The number of classes, labels or numbers: that of names, or without names of those that occur."""
        if self.classes is not None:
            return len(self.classes)
        if self.train.labels.ndim == 2:
            return int(self.train.labels.shape[1])
        splits = [split.labels for split in (self.train, self.test) if split is not None]
        return 1 + max(int(labels.max(where=(labels != IGNORED) | (labels.ndim == 1), initial=0)) for labels in splits)


def fingerprint(train: DecodedSplit | Files, test: DecodedSplit | Files | None, classes: tuple[str, ...] | None) -> str:
    """Return the `fingerprint` of a Data with these parts."""
    digest = hashlib.sha256(train.digest())
    digest.update(test.digest() if test is not None else b"")
    digest.update(repr(classes).encode(errors="surrogateescape"))
    return digest.hexdigest()


def describe(data: Data) -> str:
    """Return a line such as `mnist: 60,000 pictures to train on, 10,000 to test on, 28 × 28 × 1, 10 classes`."""
    sizes = f"{len(data.train):,} pictures to train on, "
    sizes += f"{len(data.test):,} to test on" if data.test is not None else "none to test on"
    sides = data.train.images.shape[1:] if isinstance(data.train, DecodedSplit) else ()
    shape = " × ".join(map(str, sides)) or "pictures of any size"
    return f"{data.name}: {sizes}, {shape}, {data.num_classes} classes"


def unreadable(path: str | os.PathLike[str], reason: str, help: str | None = None) -> CnncError:
    """Return the error E508 for the file or folder at `path`."""
    return CnncError.of(Code.DATA_UNREADABLE, f"cannot read the data {os.fspath(path)}: {reason}", help=help)


@contextmanager
def reading(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn errors of the system and of decompression for the file at `path` into E508."""
    import zlib

    try:
        yield
    except EOFError as error:
        raise unreadable(path, "the file is cut off", COPY_AGAIN) from error
    except OSError as error:  # also a bad gzip header or checksum, without an errno
        if error.errno is None:
            raise unreadable(path, f"it is damaged: {error}", COPY_AGAIN) from error
        raise unreadable(path, (error.strerror or str(error)).lower()) from error
    except zlib.error as error:
        raise unreadable(path, f"it is damaged: {error}", COPY_AGAIN) from error


def first(split: Part, limit: int | None) -> Part:
    """Return the first `limit` examples, or all of fewer or without a limit; raises E203 for a limit below 1."""
    if limit is None or limit >= len(split):
        return split
    if limit < 1:
        raise CnncError.of(Code.BAD_VALUE, f"`limit` must be at least 1, got {limit}")
    return split.take(np.arange(limit))


def hold_out(split: Part, fraction: float, seed: int) -> tuple[Part, Part]:
    """Return a training part, and a test part with `fraction` of every class (or of all masks …), drawn by `seed`.

    Both keep the order of the split. A class with two or more examples is in both parts, a class with one is in the
    training part. Raises CnncError (E203) if the fraction is not between 0 and 1 or the test part is empty.
    """
    if not 0 < fraction < 1:
        raise CnncError.of(Code.BAD_VALUE, f"`val_split` must be between 0 and 1, got {fraction:g}")
    generator = np.random.default_rng(seed)
    held = np.zeros(len(split), bool)
    strata = split.labels if split.labels.ndim == 1 else np.zeros(len(split), np.int64)
    for label in np.unique(strata):
        members = np.flatnonzero(strata == label)
        count = min(max(1, round(fraction * len(members))), len(members) - 1)
        held[generator.permutation(members)[:count]] = True
    if not held.any():
        more = "no class has more than one example" if len(split) > 1 else "there is only one example"
        message = f"`val_split` of {fraction:g} leaves no test examples: {more}"
        raise CnncError.of(Code.BAD_VALUE, message)
    return split.take(np.flatnonzero(~held)), split.take(np.flatnonzero(held))
