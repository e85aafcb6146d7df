"""A data set by its name or path, whatever its layout.

In: `mnist`, `fashion-mnist`, `cifar10` (downloaded once), or a path to one of the layouts of E508's page. Out: a
`Data`. A name goes before a folder of that name: `./mnist` is the folder.
"""

import os
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from cnnc.data import cifar, folder, idx, npz
from cnnc.data.dataset import Data, Files, Split, fingerprint, reading, unreadable
from cnnc.data.download import Progress, cache_folder, fetch
from cnnc.data.named_sets import CIFAR10, DIGITS, KNOWN, Known, by_beginning, by_name
from cnnc.data.subset import first, hold_out
from cnnc.diagnostics import CnncError

LAYOUTS = (
    "a folder holds the four IDX files of MNIST, CIFAR-10's batches, or train/CLASS/PICTURE; a file is an .npz or "
    "CIFAR-10's .tar.gz"
)
CLASSES = "classes.txt"


@dataclass(frozen=True, slots=True)
class _Parts:
    train: Split | Files
    test: Split | Files | None
    classes: tuple[str, ...] | None


def load(
    name_or_path: str | os.PathLike[str],
    *,
    limit: int | None = None,
    val_split: float | None = None,
    seed: int = 0,
    skip_unreadable: bool = False,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Data:
    """Read a data set, downloading one that has a name into `cache` (by default `cache_folder()`).

    `limit` takes the first N examples of each split; then `val_split` holds out that part of every class, drawn by
    `seed`, and tests on it instead. `skip_unreadable` leaves out the picture files that cannot be read. `progress` is
    called with a file's name, the bytes so far and the bytes in all.
    Raises CnncError: E508 for the data, E509 for the download, E203 for `limit` and `val_split`.
    """
    known = by_name(os.fspath(name_or_path))
    path = fetch(known, cache or cache_folder(), progress) if known else Path(name_or_path)
    parts = _read(path)
    if known is not None:
        parts = _Parts(parts.train, parts.test, known.classes)
    _check_labels(path, parts)
    train = first(parts.train, limit)
    test = first(parts.test, limit) if parts.test is not None else None
    if val_split is not None:
        train, test = hold_out(train, val_split, seed)
    try:
        train = _decoded(path, train, skip_unreadable)
        test = _decoded(path, test, skip_unreadable) if test is not None else None
    except CnncError as error:
        raise folder.together(error, path, train, test) from None
    name = known.name if known else path.absolute().name
    return Data(name, train, test, parts.classes, str(path), fingerprint(train, test, parts.classes))


def _decoded(path: Path, split: Split | Files, skip: bool) -> Split | Files:
    return folder.decode(path, split, skip=skip) if isinstance(split, Files) else split


def _read(path: Path) -> _Parts:
    """The splits in the first layout that the path has."""
    with reading(path):
        is_folder, is_file = path.is_dir(), path.is_file()
    if not is_folder and not is_file:
        raise _nothing_there(path)
    if is_folder and idx.find(path):
        train, test = idx.read(path)
        return _called_by_labels(_Parts(train, test, _idx_classes(path, train)))
    if batches := cifar.find(path):
        cifar_train, cifar_test, names = cifar.read(batches)
        return _Parts(cifar_train, cifar_test, names or CIFAR10)
    if is_folder and folder.find(path):
        return _Parts(*folder.read(path))
    if is_file and path.suffix.lower() == ".npz":
        return _called_by_labels(_Parts(*npz.read(path)))
    if is_file:
        raise unreadable(path, "it is a file of no known layout", LAYOUTS)
    with reading(path):
        inside = sorted(os.listdir(path))
    there = f"it holds {', '.join(inside[:5])}{' …' if len(inside) > 5 else ''}" if inside else "the folder is empty"
    raise unreadable(path, there, LAYOUTS)


def _nothing_there(path: Path) -> CnncError:
    if os.path.exists(path):
        return unreadable(path, "it is neither a file nor a folder")
    names = ", ".join(KNOWN)
    near = get_close_matches(str(path).lower(), KNOWN, 1)
    hint = f"did you mean {near[0]}? " if near else ""
    return unreadable(path, "there is no such file or folder", f"{hint}the data sets that have names are {names}")


def _called_by_labels(parts: _Parts) -> _Parts:
    """Ten classes that nobody has named are called by their labels, as MNIST's are, wherever the files lie."""
    largest = max(split.labels.max() for split in (parts.train, parts.test) if split is not None)
    unnamed = parts.classes is None and largest + 1 == len(DIGITS)
    return replace(parts, classes=DIGITS) if unnamed else parts


def _idx_classes(path: Path, train: Split) -> tuple[str, ...] | None:
    """The names in `classes.txt`, or those of the known set that the folder is called after."""
    listed = next((place / CLASSES for place in (path, path / "raw") if os.path.isfile(place / CLASSES)), None)
    if listed is not None:
        with reading(listed):
            lines = listed.read_text(encoding="utf-8", errors="replace").splitlines()
        return tuple(line.strip() for line in lines if line.strip())
    place = path.absolute()
    known: Known | None = by_beginning(place.parent.name if place.name == "raw" else place.name)
    return known.classes if known is not None and train.labels.max() < len(known.classes) else None


def _check_labels(path: Path, parts: _Parts) -> None:
    if parts.classes is None:
        return
    doubles = {name for name in parts.classes if parts.classes.count(name) > 1}
    if doubles or not parts.classes:
        raise unreadable(path, f"two classes are named {min(doubles)}" if doubles else "its list of classes is empty")
    for split, what in ((parts.train, "to train on"), (parts.test, "to test on")):
        if split is not None and split.labels.max() >= len(parts.classes):
            worst = int(split.labels.argmax())
            reason = f"the label of picture {worst:,} {what} is {split.labels[worst]}"
            raise unreadable(path, f"{reason}; there are {len(parts.classes)} classes, 0..{len(parts.classes) - 1}")
