"""A folder of pictures: `train/CLASS/PICTURE`, and `test/CLASS/PICTURE` or `val/CLASS/PICTURE`.

In: the folder. Out: its splits, and the classes' names, which are the subfolders' in the order of the alphabet. Where
all pictures are of one size and fit in memory they are decoded once into a `Split`, else the split is `Files`. Pictures
are listed class by class in turn, so that the first N of them hold every class.
"""

import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cnnc.diagnostics import CnncError
from cnnc.runtime.data.dataset import Files, Split, reading, unreadable
from cnnc.runtime.pictures import SUFFIXES, open_picture

TESTS = ("test", "val", "valid", "validation")
IN_MEMORY = 1 << 30  # bytes of decoded pictures
SHOWN = 5

_AT_ONCE = 256


def find(folder: Path) -> bool:
    """Whether there is a `train` folder to read."""
    return (folder / "train").is_dir()


def read(folder: Path) -> tuple[Files, Files | None, tuple[str, ...]]:
    """Training files, test files, the classes' names; raises CnncError, E508. No picture is opened yet."""
    classes = tuple(_names(folder / "train", folders=True))
    if not classes:
        raise unreadable(folder / "train", "it holds no folder; each class has a folder of its own, train/CLASS")
    test = next((folder / name for name in TESTS if (folder / name).is_dir()), None)
    if test is not None and (unknown := sorted(set(_names(test, folders=True)) - set(classes))):
        raise unreadable(test, f"the class {unknown[0]} is not among those to train on", f"add train/{unknown[0]}")
    return _files(folder / "train", classes), _files(test, classes) if test is not None else None, classes


def decode(root: Path, files: Files) -> Split | Files:
    """The split in memory where its pictures fit and are of one size, else the files as they came.

    So many pictures as fit are decoded in either case: one that cannot be is then told before training starts, and
    raises CnncError, E508. Those that come after are told, as E503, by whoever reads them.
    """
    with reading(root):
        if sum(path.stat().st_size for path in files.paths) > IN_MEMORY:  # decoded, pictures are larger still
            return files
    pictures: list[NDArray[np.uint8]] | None = []
    broken: list[str] = []
    budget = IN_MEMORY
    for picture in _decoded(files.paths):
        if isinstance(picture, str):
            broken.append(picture)
            continue
        budget -= picture.nbytes
        if budget < 0:
            pictures = None
            break
        if pictures and picture.shape[:2] != pictures[0].shape[:2]:
            pictures = None
        if pictures is not None:
            pictures.append(picture)
    if broken:
        more = len(broken) - SHOWN
        names = "; ".join(broken[:SHOWN]) + (f"; and {more:,} more" if more > 0 else "")
        raise unreadable(root, names, "replace or remove it")
    return files if pictures is None else Split(_stacked(pictures), files.labels)


def _files(folder: Path, classes: tuple[str, ...]) -> Files:
    found = []
    for label, name in enumerate(classes):
        place = folder / name
        pictures = _names(place) if place.is_dir() else []
        if not pictures and folder.name == "train":
            raise unreadable(place, "the folder holds no pictures", f"pictures end in {', '.join(sorted(SUFFIXES))}")
        found += [(turn, label, place / picture) for turn, picture in enumerate(pictures)]
    if not found:
        raise unreadable(folder, "there are no pictures in the folders of its classes")
    found.sort(key=lambda each: each[:2])
    return Files(tuple(path for *_, path in found), np.array([label for _, label, _ in found], np.int64))


def _names(folder: Path, *, folders: bool = False) -> list[str]:
    """The pictures, or the folders, right inside `folder`, by name; hidden ones are none."""
    with reading(folder), os.scandir(folder) as entries:
        visible = [entry for entry in entries if not entry.name.startswith(".")]
    if folders:
        return sorted(entry.name for entry in visible if entry.is_dir())
    return sorted(each.name for each in visible if os.path.splitext(each.name)[1].lower() in SUFFIXES)


def _decoded(paths: tuple[Path, ...]) -> Iterator[NDArray[np.uint8] | str]:
    """Every picture in turn, (H, W, 1 or 3), or what is wrong with it."""
    remaining = iter(paths)
    # decoders work in parallel; each silences warnings for itself, which is only undone by whoever came first
    with warnings.catch_warnings(), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        while some := list(islice(remaining, _AT_ONCE)):
            yield from pool.map(_decode, some)


def _decode(path: Path) -> NDArray[np.uint8] | str:
    try:
        array = np.asarray(open_picture(path).image)
    except CnncError as error:
        return error.diagnostics[0].message
    return array[..., None] if array.ndim == 2 else array


def _stacked(pictures: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """One array; grey pictures among coloured ones become coloured."""
    channels = max(picture.shape[2] for picture in pictures)
    return np.stack([np.broadcast_to(picture, (*picture.shape[:2], channels)) for picture in pictures])
