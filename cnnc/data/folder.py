"""Read a folder of pictures: `train/CLASS/PICTURE` and `test/CLASS/PICTURE` or `val/CLASS/PICTURE`; or `CLASS/PICTURE`.

Takes the folder and returns its splits and the class names, which are the names of the subfolders in alphabetical
order. If all pictures have one size and fit in memory, they are decoded once into a `DecodedSplit`, else the split is a
`Files`. The order alternates between the classes, so that the first N pictures contain every class.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from cnnc.data.dataset import DecodedSplit, Files, Unreadable, reading, unreadable
from cnnc.data.examples import mask_of, picture_of
from cnnc.data.masks import TESTS, TRAIN
from cnnc.data.pictures import SUFFIXES, decoders
from cnnc.data.shards import Shards
from cnnc.diagnostics import CnncError, Code, Note, counted

IN_MEMORY = 1 << 30  # bytes of decoded pictures
SHOWN = 100  # unreadable pictures that a message lists
SEARCH = 300.0  # seconds to search for them: half the time that ranks wait for one another

_AT_ONCE = 32  # decoded pictures that wait in memory: photographs are large


def find(folder: Path) -> bool:
    """Return whether there is a `train` folder."""
    return os.path.isdir(folder / TRAIN)


def has_classes(folder: Path) -> bool:
    """Return whether a folder has subfolders."""
    return os.path.isdir(folder) and bool(_names(folder, folders=True))


def find_flat(folder: Path) -> bool:
    """Return whether a folder without parts has classes: subfolders with pictures."""
    folders = _names(folder, folders=True)
    return not {TRAIN, *TESTS} & set(folders) and any(_names(folder / name) for name in folders)


def read_flat(folder: Path) -> tuple[Files, tuple[str, ...]]:
    """Return the files and class names of `CLASS/PICTURE`; raises CnncError (E508). Opens no picture yet."""
    classes = tuple(_names(folder, folders=True))
    return _files(folder, classes, complete=True), classes


def pictures_in(folder: Path) -> tuple[Path, ...]:
    """Return the pictures directly in a folder, sorted by name; none for a folder of a data set."""
    return () if find(folder) else tuple(folder / name for name in _names(folder))


def read(folder: Path) -> tuple[Files, Files | None, tuple[str, ...]]:
    """Return training files, test files and class names; raises CnncError (E508). Opens no picture yet."""
    classes = tuple(_names(folder / TRAIN, folders=True))
    if not classes:
        raise unreadable(folder / TRAIN, "it contains no folders", "put each class into its own folder, train/CLASS")
    test = next((folder / name for name in TESTS if os.path.isdir(folder / name)), None)
    if test is not None and (unknown := sorted(set(_names(test, folders=True)) - set(classes))):
        raise unreadable(test, f"the class {unknown[0]} is not a class of the training set", f"add train/{unknown[0]}")
    train = _files(folder / TRAIN, classes, complete=True)
    return train, _files(test, classes) if test is not None else None, classes


def decode(root: Path, files: Files, *, skip: bool = False) -> DecodedSplit | Files:
    """Return a DecodedSplit in memory if the pictures have one size and fit, else the files unchanged.

    In either case decodes as many pictures as fit, so that an unreadable one raises CnncError (E503 or E504) before
    training starts. The later ones raise it when they are read. With `skip`, decodes all pictures and leaves out the
    unreadable ones; raises E508 if none is left.
    """
    with reading(root):
        fits = (
            not isinstance(files, Shards) and sum(path.stat().st_size for path in files.paths) <= IN_MEMORY
        )  # decoded, pictures are larger still
    room = IN_MEMORY if fits else -1
    pictures: list[NDArray[np.uint8]] | None = [] if fits else None
    broken: dict[int, Unreadable] = {}
    masks: list[NDArray[np.uint8]] = []
    for index, example in enumerate(_decoded(files) if fits or skip else ()):
        if isinstance(example, CnncError):
            if not skip or not _is_unreadable(example):
                raise example
            broken[index] = _unreadable(files.paths[index], example)
            continue
        picture, mask = example
        room -= picture.nbytes + mask.nbytes
        if room < 0 and not skip:
            return files
        if pictures is not None and (room < 0 or (pictures and picture.shape[:2] != pictures[0].shape[:2])):
            pictures = None
        if pictures is not None:
            pictures.append(picture)
            masks.append(mask)
    if len(broken) == len(files):
        raise _unreadable_pictures(root, list(broken.values()), len(files))
    rest = files.take(np.array([index for index in range(len(files)) if index not in broken], np.intp))
    skipped = tuple(broken.values())
    if pictures is None:
        return replace(rest, skipped=skipped)
    return DecodedSplit(_stacked(pictures), np.stack(masks) if files.has_masks else rest.labels, skipped)


def all_unreadable(error: CnncError, root: Path, *splits: DecodedSplit | Files | None) -> CnncError:
    """Return E508 with all unreadable pictures of the splits if `error` reports one of them, else `error` itself.

    The search decodes every picture, and ends after SEARCH seconds.
    """
    if not _is_unreadable(error):
        return error
    files = [split for split in splits if isinstance(split, Files)]
    paths = [path for each in files for path in each.paths]
    seen, broken, until = 0, list[Unreadable](), monotonic() + SEARCH
    for path, example in zip(paths, chain.from_iterable(map(_decoded, files)), strict=True):
        if isinstance(example, CnncError) and _is_unreadable(example):
            broken.append(_unreadable(path, example))
        seen += 1
        if monotonic() > until:
            break
    return _unreadable_pictures(root, broken, len(paths), seen) if broken else error


def note_on_skipped(source: str, *splits: DecodedSplit | Files | None) -> list[str]:
    """Return the lines of a note about the pictures of `source` that were left out: their number and paths."""
    skipped = [each for split in splits if split for each in split.skipped]
    if not skipped:
        return []
    total = counted(len(skipped) + sum(len(split) for split in splits if split), "picture")
    return [f"left out {len(skipped):,} of the {total} in {source} because they cannot be read", *_listed(skipped)]


def _listed(pictures: Sequence[Unreadable]) -> list[str]:
    """Return a line for each of the first SHOWN pictures, and one for the rest."""
    more = [f"and {len(pictures) - SHOWN:,} more"] if len(pictures) > SHOWN else []
    return [*(picture.reason for picture in pictures[:SHOWN]), *more]


def _unreadable_pictures(root: Path, broken: Sequence[Unreadable], count: int, seen: int | None = None) -> CnncError:
    searched = "" if seen in (None, count) else f" (checked {seen:,} of them in {SEARCH:.0f} seconds)"
    return CnncError.of(
        Code.DATA_UNREADABLE,
        f"cannot read {len(broken):,} of the {counted(count, 'picture')}{searched} in {root}",
        notes=tuple(map(Note, _listed(broken))),
        help="replace or remove them, or leave them out with `--skip-unreadable`",
    )


def _is_unreadable(error: CnncError) -> bool:
    return error.diagnostics[0].code in (Code.PICTURE_UNREADABLE, Code.PICTURE_TOO_LARGE)


def _unreadable(path: Path, error: CnncError) -> Unreadable:
    return Unreadable(path, error.diagnostics[0].message)


def _files(folder: Path, classes: tuple[str, ...], *, complete: bool = False) -> Files:
    """Return the pictures of the class folders; raises E508 if there are none, or if `complete`, none of a class."""
    found = []
    for label, name in enumerate(classes):
        place = folder / name
        pictures = _names(place) if os.path.isdir(place) else []
        if not pictures and complete:
            raise unreadable(place, "the folder contains no pictures", f"pictures end in {', '.join(sorted(SUFFIXES))}")
        found += [(turn, label, place / picture) for turn, picture in enumerate(pictures)]
    if not found:
        raise unreadable(folder, "its class folders contain no pictures")
    found.sort(key=lambda each: each[:2])
    return Files(tuple(path for *_, path in found), np.array([label for _, label, _ in found], np.int64))


def _names(folder: Path, *, folders: bool = False) -> list[str]:
    """Return the sorted names of the pictures, or of the folders, directly inside `folder`, without hidden ones."""
    with reading(folder), os.scandir(folder) as entries:
        visible = [entry for entry in entries if not entry.name.startswith(".")]
    if folders:
        return sorted(entry.name for entry in visible if os.path.isdir(entry.path))
    return sorted(each.name for each in visible if os.path.splitext(each.name)[1].lower() in SUFFIXES)


_Example = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def _decoded(files: Files) -> Iterator[_Example | CnncError]:
    """Yield each picture as an array (H, W, 1 or 3) with its mask (H, W), empty if it has none; or the error."""
    remaining = iter(range(len(files)))

    def decode(index: int) -> _Example | CnncError:
        try:
            array = np.asarray(picture_of(files, index).image)
            height, width = array.shape[0], array.shape[1]
            mask = mask_of(files, index, (height, width)) if files.has_masks else np.empty(0, np.uint8)
            return array.reshape(height, width, -1), mask
        except CnncError as error:
            return error

    with decoders() as pool:
        while chunk := list(islice(remaining, _AT_ONCE)):
            yield from pool.map(decode, chunk)


def _stacked(pictures: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Stack pictures into one array; grey pictures among RGB ones become RGB."""
    channels = max(picture.shape[2] for picture in pictures)
    return np.stack([np.broadcast_to(picture, (*picture.shape[:2], channels)) for picture in pictures])
