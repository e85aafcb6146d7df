"""Read a folder of pictures: `train/CLASS/PICTURE`, and `test/CLASS/PICTURE` or `val/CLASS/PICTURE`.

Takes the folder and returns its splits and the class names, which are the names of the subfolders in alphabetical
order. If all pictures have one size and fit in memory, they are decoded once into a `DecodedSplit`, else the split is a
`Files`. The order alternates between the classes, so that the first N pictures contain every class.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from cnnc.data.dataset import DecodedSplit, Files, Unreadable, reading, unreadable
from cnnc.data.pictures import SUFFIXES, decoders, open_picture
from cnnc.diagnostics import CnncError, Code, Note, counted

TESTS = ("test", "val", "valid", "validation")
IN_MEMORY = 1 << 30  # bytes of decoded pictures
SHOWN = 100  # unreadable pictures that a message lists
SEARCH = 300.0  # seconds to search for them: half the time that ranks wait for one another

_AT_ONCE = 32  # decoded pictures that wait in memory: photographs are large


def find(folder: Path) -> bool:
    """Return whether there is a `train` folder."""
    return os.path.isdir(folder / "train")


def pictures_in(folder: Path) -> tuple[Path, ...]:
    """Return the pictures directly in a folder, sorted by name; none for a folder of a data set."""
    return () if find(folder) else tuple(folder / name for name in _names(folder))


def read(folder: Path) -> tuple[Files, Files | None, tuple[str, ...]]:
    """Return training files, test files and class names; raises CnncError (E508). Opens no picture yet."""
    classes = tuple(_names(folder / "train", folders=True))
    if not classes:
        raise unreadable(folder / "train", "it contains no folders", "put each class into its own folder, train/CLASS")
    test = next((folder / name for name in TESTS if os.path.isdir(folder / name)), None)
    if test is not None and (unknown := sorted(set(_names(test, folders=True)) - set(classes))):
        raise unreadable(test, f"the class {unknown[0]} is not a class of the training set", f"add train/{unknown[0]}")
    return _files(folder / "train", classes), _files(test, classes) if test is not None else None, classes


def decode(root: Path, files: Files, *, skip: bool = False) -> DecodedSplit | Files:
    """Return a DecodedSplit in memory if the pictures have one size and fit, else the files unchanged.

    In either case decodes as many pictures as fit, so that an unreadable one raises CnncError (E503 or E504) before
    training starts. The later ones raise it when they are read. With `skip`, decodes all pictures and leaves out the
    unreadable ones; raises E508 if none is left.
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
        raise _unreadable_pictures(root, list(broken.values()), len(files))
    rest = files.take(np.array([index for index in range(len(files)) if index not in broken], np.intp))
    skipped = tuple(broken.values())
    return (
        replace(rest, skipped=skipped) if pictures is None else DecodedSplit(_stacked(pictures), rest.labels, skipped)
    )


def all_unreadable(error: CnncError, root: Path, *splits: DecodedSplit | Files | None) -> CnncError:
    """Return E508 with all unreadable pictures of the splits if `error` reports one of them, else `error` itself.

    The search decodes every picture, and ends after SEARCH seconds.
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


def _unreadable(path: Path, error: CnncError) -> Unreadable:
    return Unreadable(path, error.diagnostics[0].message)


def _files(folder: Path, classes: tuple[str, ...]) -> Files:
    found = []
    for label, name in enumerate(classes):
        place = folder / name
        pictures = _names(place) if os.path.isdir(place) else []
        if not pictures and folder.name == "train":
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
        return sorted(entry.name for entry in visible if entry.is_dir())
    return sorted(each.name for each in visible if os.path.splitext(each.name)[1].lower() in SUFFIXES)


def _decoded(paths: tuple[Path, ...]) -> Iterator[NDArray[np.uint8] | CnncError]:
    """Yield each picture as an array (H, W, 1 or 3), or its error."""
    remaining = iter(paths)
    with decoders() as pool:
        while chunk := list(islice(remaining, _AT_ONCE)):
            yield from pool.map(_decode, chunk)


def _decode(path: Path) -> NDArray[np.uint8] | CnncError:
    try:
        array = np.asarray(open_picture(path).image)
    except CnncError as error:
        return error
    return array[..., None] if array.ndim == 2 else array


def _stacked(pictures: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Stack pictures into one array; grey pictures among RGB ones become RGB."""
    channels = max(picture.shape[2] for picture in pictures)
    return np.stack([np.broadcast_to(picture, (*picture.shape[:2], channels)) for picture in pictures])
