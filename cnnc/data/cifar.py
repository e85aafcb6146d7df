"""Read CIFAR-10 in its binary or python layout, from a folder or from the published archive.

Takes the path and returns the splits, and the class names if a meta file holds them. Both layouts have six batches; a
picture is 3 × 32 × 32 bytes, channel by channel. An archive is read in place: nothing is unpacked to disk.
"""

import re
import tarfile
from collections.abc import Iterable, Iterator
from os.path import isfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.data.dataset import COPY_AGAIN, DecodedSplit, reading, unreadable
from cnnc.data.pickled import Array, UnsafePickle, read_pickle
from cnnc.diagnostics import Code
from cnnc.files.checks import require_file

PIXELS = 3 * 32 * 32
CLASSES = 10
LARGEST = 1 << 28  # bytes of one batch; a published one has 31 MB

_BATCH = re.compile(r"(data_batch_[1-5]|test_batch)(\.bin)?")
_META = re.compile(r"batches\.meta(\.txt)?")
_FOLDERS = ("", "cifar-10-batches-bin", "cifar-10-batches-py")


def find(path: Path) -> Path | None:
    """Return the archive, or the folder with batches at `path` or directly inside it; None if there are none."""
    if isfile(path):
        return path if path.name.endswith((".tar.gz", ".tgz", ".tar")) else None
    with reading(path):
        folders = (path / name for name in _FOLDERS)
        return next((each for each in folders if each.is_dir() and any(map(_is_batch, each.iterdir()))), None)


def read(path: Path) -> tuple[DecodedSplit, DecodedSplit, tuple[str, ...] | None]:
    """Return the training split, the test split and the class names; raises CnncError (E508)."""
    pieces = dict(_archive(path) if isfile(path) else _folder(path))
    suffix = ".bin" if any(name.endswith(".bin") for name in pieces) else ""
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    if missing := [name + suffix for name in names if name + suffix not in pieces]:
        verb = "is" if len(missing) == 1 else "are"
        raise unreadable(path, f"{', '.join(missing)} {verb} missing from CIFAR-10's six batches")
    decode = _binary if suffix else _pickled
    *batches, test = (decode(path / (name + suffix), pieces[name + suffix]) for name in names)
    train = DecodedSplit(
        np.concatenate([each.images for each in batches]), np.concatenate([each.labels for each in batches])
    )
    return train, test, _classes(path, pieces)


def _is_batch(path: Path) -> bool:
    return _BATCH.fullmatch(path.name) is not None


def _is_needed(name: str) -> bool:
    return bool(_BATCH.fullmatch(name) or _META.fullmatch(name))


def _folder(path: Path) -> Iterator[tuple[str, bytes]]:
    for file in sorted(path.iterdir()):
        if _is_needed(file.name):
            _check_size(file, require_file(str(file), Code.DATA_UNREADABLE, "data"))
            with reading(file):
                yield file.name, file.read_bytes()


def _archive(path: Path) -> Iterator[tuple[str, bytes]]:
    require_file(str(path), Code.DATA_UNREADABLE, "data")
    with reading(path):
        try:
            with tarfile.open(path) as archive:
                yield from _members(path, archive)
        except tarfile.TarError as error:
            raise unreadable(path, f"the archive is damaged or cut off: {error}", COPY_AGAIN) from error


def _members(path: Path, archive: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    for member in archive:
        name = member.name.rpartition("/")[2]
        if member.isreg() and _is_needed(name):
            _check_size(path / name, member.size)
            if file := archive.extractfile(member):
                yield name, file.read()


def _check_size(path: Path, size: int) -> None:
    if size > LARGEST:
        raise unreadable(path, f"it has {size:,} bytes, more than any batch of CIFAR-10; the limit is {LARGEST:,}")


def _binary(path: Path, data: bytes) -> DecodedSplit:
    if len(data) == 0 or len(data) % (1 + PIXELS):
        reason = f"it has {len(data):,} bytes, not a multiple of {1 + PIXELS:,} (a label and 3 × 32 × 32 pixels)"
        raise unreadable(path, reason)
    rows = np.frombuffer(data, np.uint8).reshape(-1, 1 + PIXELS)
    return _split(path, rows[:, 1:], rows[:, 0])


def _pickled(path: Path, data: bytes) -> DecodedSplit:
    try:
        batch = read_pickle(data)
        images, labels = _entry(batch, "data"), _entry(batch, "labels")
        pixels = images.values() if isinstance(images, Array) else np.empty(0)
        if pixels.ndim != 2 or pixels.shape[1] != PIXELS or len(pixels) == 0:
            raise UnsafePickle(f"`data` must be an array (N, {PIXELS})")
        classes = labels.values() if isinstance(labels, Array) else _whole_numbers(labels)
    except UnsafePickle as error:
        raise unreadable(path, str(error)) from error
    if pixels.dtype != np.uint8:
        raise unreadable(path, f"`data` holds {pixels.dtype.name}, not uint8")
    if classes.shape != (len(pixels),):
        raise unreadable(path, f"it holds {len(pixels):,} pictures and {classes.size:,} labels")
    return _split(path, pixels, classes)


def _entry(batch: Any, key: str) -> Any:
    if not isinstance(batch, dict):
        raise UnsafePickle("its pickle must hold a dict")
    if key not in batch and key.encode() not in batch:
        raise UnsafePickle(f"its dict has no `{key}`")
    return batch.get(key, batch.get(key.encode()))


def _whole_numbers(labels: Any) -> NDArray[np.int64]:
    if not isinstance(labels, list) or not all(type(label) is int and abs(label) < 2**31 for label in labels):
        raise UnsafePickle("`labels` must be a list of integers")
    return np.array(labels, np.int64)


def _split(path: Path, pixels: NDArray[np.generic], labels: NDArray[np.generic]) -> DecodedSplit:
    classes = labels.astype(np.int64)
    outside = np.flatnonzero((classes < 0) | (classes >= CLASSES))
    if len(outside):
        raise unreadable(path, f"the label of picture {outside[0]:,} is {classes[outside[0]]}; CIFAR-10's are 0..9")
    images = pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return DecodedSplit(np.ascontiguousarray(images, np.uint8), classes)


def _classes(path: Path, pieces: dict[str, bytes]) -> tuple[str, ...] | None:
    """Return ten names, or None if the meta file does not have ten: the labels are usable without names."""
    names: Iterable[Any] = ()
    if "batches.meta.txt" in pieces:
        names = pieces["batches.meta.txt"].decode(errors="replace").split()
    elif "batches.meta" in pieces:
        try:
            names = _entry(read_pickle(pieces["batches.meta"]), "label_names")
        except UnsafePickle as error:
            raise unreadable(path / "batches.meta", str(error)) from error
    texts = [name.decode(errors="replace") if isinstance(name, bytes) else str(name) for name in names]
    return tuple(texts) if len(set(texts)) == CLASSES else None
