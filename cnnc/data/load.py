"""Load a data set by name or path, in any supported layout.

Takes `mnist`, `fashion-mnist`, `cifar10` (downloaded once), or a path to one of the layouts on the page of E508.
Returns a `Data`. A name takes precedence over a folder of that name: write `./mnist` for the folder.
"""

import os
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from cnnc.data import cifar, folder, idx, masks, npz, packed, shards, table
from cnnc.data.dataset import (
    CLASS,
    Data,
    DecodedSplit,
    Files,
    Labelling,
    Part,
    fingerprint,
    first,
    hold_out,
    reading,
    unreadable,
)
from cnnc.data.download import Progress, cache_folder, fetch
from cnnc.data.named_sets import CIFAR10, DIGITS, KNOWN, NamedSet, by_beginning, by_name
from cnnc.diagnostics import CnncError, Code

LAYOUTS = (
    "use a folder with the four IDX files of MNIST, CIFAR-10's batches, train/CLASS/PICTURE, CLASS/PICTURE or "
    "train.csv, or train-*.tar; or a .csv file, an .npz file or CIFAR-10's .tar.gz"
)
CLASSES = "classes.txt"


@dataclass(frozen=True, slots=True)
class _Parts:
    train: Part
    test: Part | None
    classes: tuple[str, ...] | None


def load(
    name_or_path: str | os.PathLike[str],
    *,
    limit: int | None = None,
    val_split: float | None = None,
    seed: int = 0,
    skip_unreadable: bool = False,
    target: Labelling = CLASS,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Data:
    """Load a data set; a named one is downloaded into `cache` (by default `cache_folder()`).

    `limit` keeps the first N examples of each split. Then `val_split` holds out that fraction of every training class,
    drawn by `seed`, as the test split. `skip_unreadable` leaves out picture files that cannot be read. `target` is what
    the labels must be. `progress` is called with a file's name, the bytes so far and the bytes in all.
    Raises CnncError: E508 for the data, E509 for the download, E203 for `limit` and `val_split`.
    """
    known = by_name(os.fspath(name_or_path))
    path = fetch(known, cache or cache_folder(), progress) if known else Path(name_or_path)
    parts = _as_target(path, _read(path, target), target)
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
        raise folder.all_unreadable(error, path, train, test) from None
    name = known.name if known else path.absolute().name
    return Data(name, train, test, parts.classes, str(path), fingerprint(train, test, parts.classes))


def _decoded(path: Path, split: DecodedSplit | Files, skip: bool) -> DecodedSplit | Files:
    return folder.decode(path, split, skip=skip) if isinstance(split, Files) else split


def _read(path: Path, target: Labelling) -> _Parts:
    """Return the splits in the first layout that matches the path."""
    with reading(path):
        is_folder, is_file = path.is_dir(), path.is_file()
    archives = shards.find(path)
    if archives and not (is_folder and _is_unpacked(path)):
        return _Parts(*shards.read(archives, target, _listed_classes(path if is_folder else path.parent)))
    if not is_folder and not is_file:
        raise _not_found(path)
    if table.find(path):
        return _Parts(*table.read(path, target))
    if parts := _of_folder(path, target) if is_folder else _of_file(path, target):
        return parts
    if is_file:
        raise unreadable(path, "its layout is unknown", LAYOUTS)
    with reading(path):
        inside = sorted(os.listdir(path))
    content = ", ".join(inside[:5]) + (" …" if len(inside) > 5 else "")
    reason = f"its layout is unknown: it contains {content}" if inside else "the folder is empty"
    raise unreadable(path, reason, LAYOUTS)


def _is_unpacked(path: Path) -> bool:
    """Return whether a folder has pictures besides the archives that it may have been unpacked from."""
    if masks.find(path) or folder.find_flat(path):
        return True
    return folder.has_classes(path / masks.TRAIN)


def _of_folder(path: Path, target: Labelling) -> _Parts | None:
    if target.kind == "segmentation":
        return _Parts(*masks.read(path, target.masks, target.size), _listed_classes(path))
    if idx.find(path):
        train, test = idx.read(path)
        return _with_digit_names(_Parts(train, test, _idx_classes(path, train)), target)
    if batches := cifar.find(path):
        return _of_cifar(batches)
    if folder.find(path):
        return _Parts(*folder.read(path))
    if folder.find_flat(path):
        flat, names = folder.read_flat(path)
        return _Parts(flat, None, names)
    return None


def _of_file(path: Path, target: Labelling) -> _Parts | None:
    if archive := cifar.find(path):
        return _of_cifar(archive)
    if packed.find(path):
        return _Parts(*packed.read(path, target))
    if path.suffix.lower() == ".npz":
        return _with_digit_names(_Parts(*npz.read(path, target)), target)
    return None


def _of_cifar(path: Path) -> _Parts:
    train, test, names = cifar.read(path)
    return _Parts(train, test, names or CIFAR10)


def _not_found(path: Path) -> CnncError:
    if os.path.exists(path):
        return unreadable(path, "it is neither a file nor a folder")
    names = ", ".join(KNOWN)
    near = get_close_matches(str(path).lower(), KNOWN, 1)
    hint = f"did you mean {near[0]}? " if near else ""
    return unreadable(path, "there is no such file or folder", f"{hint}the named data sets are {names}")


def _as_target(path: Path, parts: _Parts, target: Labelling) -> _Parts:
    """Return the splits with labels as the target needs them: a class as one of several labels. Raises E510."""
    has_classes = parts.train.labels.ndim == 1 and not (isinstance(parts.train, Files) and parts.train.has_masks)
    if not has_classes or target.kind == "classes":
        return parts
    if target.kind == "probabilities":
        count = len(parts.classes) if parts.classes else target.size or 1 + int(parts.train.labels.max())
        test = parts.test and _one_hot(parts.test, count)
        return _Parts(_one_hot(parts.train, count), test, parts.classes)
    raise CnncError.of(
        Code.DATA_MISFIT,
        f"the output is a {target.kind}, but {path} has one class per picture",
        help="`cnnc explain E508` lists the layouts of data for each kind of output",
    )


def _one_hot(split: Part, count: int) -> Part:
    return replace(split, labels=(split.labels[:, None] == np.arange(count)).astype(np.float32))


def _with_digit_names(parts: _Parts, target: Labelling) -> _Parts:
    """Name ten unnamed classes `0` to `9`, as in MNIST, whatever the folder is called."""
    if target.kind != "classes":
        return parts
    largest = max(split.labels.max() for split in (parts.train, parts.test) if split is not None)
    unnamed = parts.classes is None and largest + 1 == len(DIGITS)
    return replace(parts, classes=DIGITS) if unnamed else parts


def _idx_classes(path: Path, train: DecodedSplit) -> tuple[str, ...] | None:
    """Return the names in `classes.txt`, or those of the known data set in the folder's name."""
    for each in (path, path / "raw"):
        if (listed := _listed_classes(each)) is not None:
            return listed
    place = path.absolute()
    known: NamedSet | None = by_beginning(place.parent.name if place.name == "raw" else place.name)
    return known.classes if known is not None and train.labels.max() < len(known.classes) else None


def _listed_classes(folder: Path) -> tuple[str, ...] | None:
    """Return the names in the folder's `classes.txt`, one a line; None if there is none."""
    if not os.path.isfile(folder / CLASSES):
        return None
    with reading(folder / CLASSES):
        lines = (folder / CLASSES).read_text(encoding="utf-8", errors="replace").splitlines()
    return tuple(line.strip() for line in lines if line.strip())


def _check_labels(path: Path, parts: _Parts) -> None:
    if parts.classes is None:
        return
    doubles = {name for name in parts.classes if parts.classes.count(name) > 1}
    if doubles or not parts.classes:
        raise unreadable(path, f"two classes are named {min(doubles)}" if doubles else "its list of classes is empty")
    for split, which in ((parts.train, "training"), (parts.test, "test")):
        if split is not None and split.labels.ndim == 1 and split.labels.max() >= len(parts.classes):
            worst = int(split.labels.argmax())
            reason = f"the label of {which} picture {worst:,} is {split.labels[worst]}"
            raise unreadable(path, f"{reason}, but there are {len(parts.classes)} classes, 0..{len(parts.classes) - 1}")
