"""A folder of pictures: `train/CLASS/PICTURE`, and `test/CLASS/PICTURE` or `val/CLASS/PICTURE`.

In: the folder. Out: its splits, and the classes' names, which are the subfolders' in the order of the alphabet. Where
all pictures are of one size and fit in memory they are decoded once into a `Split`, else the split is `Files`. Pictures
are listed class by class in turn, so that the first N of them hold every class.
"""

import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from cnnc.data.dataset import Files, Split, Unreadable, reading, unreadable
from cnnc.data.pictures import SUFFIXES, open_picture
from cnnc.diagnostics import CnncError, Code, Note, counted

TESTS = ("test", "val", "valid", "validation")
IN_MEMORY = 1 << 30  # bytes of decoded pictures
SHOWN = 100  # pictures that cannot be read
SEARCH = 300.0  # seconds to look for them: ranks wait for one another twice as long

_AT_ONCE = 32  # decoded pictures that wait to be looked at: photographs are large


def find(folder: Path) -> bool:
    """Whether there is a `train` folder to read."""
    return os.path.isdir(folder / "train")


def read(folder: Path) -> tuple[Files, Files | None, tuple[str, ...]]:
    """Training files, test files, the classes' names; raises CnncError, E508. No picture is opened yet."""
    classes = tuple(_names(folder / "train", folders=True))
    if not classes:
        raise unreadable(folder / "train", "it holds no folder; each class has a folder of its own, train/CLASS")
    test = next((folder / name for name in TESTS if os.path.isdir(folder / name)), None)
    if test is not None and (unknown := sorted(set(_names(test, folders=True)) - set(classes))):
        raise unreadable(test, f"the class {unknown[0]} is not among those to train on", f"add train/{unknown[0]}")
    return _files(folder / "train", classes), _files(test, classes) if test is not None else None, classes


def decode(root: Path, files: Files, *, skip: bool = False) -> Split | Files:
    """The split in memory where its pictures fit and are of one size, else the files as they came.

    So many pictures as fit are decoded in either case: one that cannot be is then told before training starts, and
    raises CnncError, E503 or E504. Those that come after are told by whoever reads them. With `skip` all are decoded,
    and those that cannot be are left out; E508 where none is left.
    """
    with reading(root):
        fits = sum(path.stat().st_size for path in files.paths) <= IN_MEMORY  # decoded, pictures are larger still
    room = IN_MEMORY if fits else -1
    pictures: list[NDArray[np.uint8]] | None = [] if fits else None
    broken: dict[int, Unreadable] = {}
    for index, picture in enumerate(_decoded(files.paths) if fits or skip else ()):
        if isinstance(picture, CnncError):
            if not skip:
                raise picture
            broken[index] = _unreadable(files.paths[index], picture)
            continue
        room -= picture.nbytes
        if room < 0 and not skip:
            return files
        if pictures is not None and (room < 0 or (pictures and picture.shape[:2] != pictures[0].shape[:2])):
            pictures = None
        if pictures is not None:
            pictures.append(picture)
    if len(broken) == len(files):
        raise _all_of(root, list(broken.values()), len(files))
    rest = files.take(np.array([index for index in range(len(files)) if index not in broken], np.intp))
    skipped = tuple(broken.values())
    return replace(rest, skipped=skipped) if pictures is None else Split(_stacked(pictures), rest.labels, skipped)


def together(error: CnncError, root: Path, *splits: Split | Files | None) -> CnncError:
    """E508 with all pictures of the splits that cannot be read, where `error` tells of one; else `error` itself.

    Looking at them takes as long as decoding does, and ends after SEARCH seconds.
    """
    if error.diagnostics[0].code not in (Code.PICTURE_UNREADABLE, Code.PICTURE_TOO_LARGE):
        return error
    paths = tuple(path for split in splits if isinstance(split, Files) for path in split.paths)
    seen, broken, until = 0, list[Unreadable](), monotonic() + SEARCH
    for path, picture in zip(paths, _decoded(paths), strict=True):
        if isinstance(picture, CnncError):
            broken.append(_unreadable(path, picture))
        seen += 1
        if monotonic() > until:
            break
    return _all_of(root, broken, len(paths), seen) if broken else error


def left_out(source: str, *splits: Split | Files | None) -> list[str]:
    """What is to be said of the pictures of `source` that were left out: how many, and which."""
    skipped = [each for split in splits if split for each in split.skipped]
    if not skipped:
        return []
    total = counted(len(skipped) + sum(len(split) for split in splits if split), "picture")
    return [f"left out {len(skipped):,} of the {total} in {source}, which cannot be read", *_listed(skipped)]


def _listed(pictures: Sequence[Unreadable]) -> list[str]:
    """A line for each of the first SHOWN pictures, and one for the others."""
    more = [f"and {len(pictures) - SHOWN:,} more"] if len(pictures) > SHOWN else []
    return [*(picture.reason for picture in pictures[:SHOWN]), *more]


def _all_of(root: Path, broken: Sequence[Unreadable], count: int, seen: int | None = None) -> CnncError:
    looked = "" if seen in (None, count) else f" (of which {seen:,} were looked at, in {SEARCH:.0f} seconds)"
    return CnncError.of(
        Code.DATA_UNREADABLE,
        f"cannot read {len(broken):,} of the {counted(count, 'picture')}{looked} in {root}",
        notes=tuple(map(Note, _listed(broken))),
        help="replace or remove them, or go on without them: `--skip-unreadable`",
    )


def _unreadable(path: Path, error: CnncError) -> Unreadable:
    return Unreadable(path, error.diagnostics[0].message)


def _files(folder: Path, classes: tuple[str, ...]) -> Files:
    found = []
    for label, name in enumerate(classes):
        place = folder / name
        pictures = _names(place) if os.path.isdir(place) else []
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


def _decoded(paths: tuple[Path, ...]) -> Iterator[NDArray[np.uint8] | CnncError]:
    """Every picture in turn, (H, W, 1 or 3), or what is wrong with it."""
    remaining = iter(paths)
    # decoders work in parallel; each silences warnings for itself, which is only undone by whoever came first
    with warnings.catch_warnings(), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        while some := list(islice(remaining, _AT_ONCE)):
            yield from pool.map(_decode, some)


def _decode(path: Path) -> NDArray[np.uint8] | CnncError:
    try:
        array = np.asarray(open_picture(path).image)
    except CnncError as error:
        return error
    return array[..., None] if array.ndim == 2 else array


def _stacked(pictures: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """One array; grey pictures among coloured ones become coloured."""
    channels = max(picture.shape[2] for picture in pictures)
    return np.stack([np.broadcast_to(picture, (*picture.shape[:2], channels)) for picture in pictures])
