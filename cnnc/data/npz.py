"""Read a data set from an `.npz` file, with the array names of Keras, MedMNIST and others.

Takes the path and returns the splits, and the class names if there is an array `classes`. Pixels are uint8, or numbers
with the ranges of `cnnc infer`: floats count as 0..1 if all are in that range, else as 0..255. Pictures are (N, H, W),
(N, H, W, C) or (N, C, H, W). Pickled arrays are never read: a pickle can run code.
"""

import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.data.dataset import CLASS, IGNORED, DecodedSplit, Labelling, unreadable
from cnnc.data.masks import require_known
from cnnc.diagnostics import Code
from cnnc.files.checks import require_file

TRAIN = (("x_train", "y_train"), ("train_images", "train_labels"), ("images", "labels"), ("x", "y"))
TEST = (("x_test", "y_test"), ("test_images", "test_labels"), ("x_val", "y_val"), ("val_images", "val_labels"))
LARGEST = 1 << 36  # uncompressed bytes
CLASSES = "classes"


def read(path: Path, target: Labelling = CLASS) -> tuple[DecodedSplit, DecodedSplit | None, tuple[str, ...] | None]:
    """Return the training split, the test split and the class names; raises CnncError (E508)."""
    require_file(str(path), Code.DATA_UNREADABLE, "data")
    names = names_in(path)
    known_train, known_test = (next((pair for pair in known if names & set(pair)), None) for known in (TRAIN, TEST))
    if known_train is None:
        known = " or ".join(f"`{images}` and `{labels}`" for images, labels in TRAIN)
        raise unreadable(path, f"it contains {_listed(names)}, but no training pictures", f"name the arrays {known}")
    train = _split(path, names, known_train, target)
    test = _split(path, names, known_test, target) if known_test else None
    if test is not None and train.images.shape[1:] != test.images.shape[1:]:
        shapes = [" × ".join(map(str, split.images.shape[1:])) for split in (train, test)]
        raise unreadable(path, f"the training pictures are {shapes[0]}, but the test pictures are {shapes[1]}")
    return train, test, class_names(path) if CLASSES in names else None


def names_in(path: Path) -> set[str]:
    """Return the names of the arrays; raises E508."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except Exception as error:  # damaged zip files raise nearly any exception
        raise unreadable(path, f"it is not an .npz file, or cut off: {error}") from error
    size = sum(member.file_size for member in members)
    if size > LARGEST:
        raise unreadable(path, f"its arrays have {size:,} bytes; the limit is {LARGEST:,}", "use a folder of pictures")
    return {member.filename.removesuffix(".npy") for member in members if member.filename.endswith(".npy")}


def _listed(names: Collection[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names)[:8]) or "no arrays"


def read_array(path: Path, name: str) -> NDArray[np.generic]:
    """Return an array of the file; raises E508 if it is missing, damaged or pickled."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return np.asarray(arrays[name])
    except Exception as error:  # so do damaged array headers, which numpy parses as Python
        reason = "it is pickled" if "allow_pickle" in str(error) else str(error) or type(error).__name__
        raise unreadable(path, f"the array `{name}`: {reason}") from error


def _split(path: Path, names: set[str], pair: tuple[str, str], target: Labelling) -> DecodedSplit:
    for name, other in (pair, pair[::-1]):
        if name not in names:
            raise unreadable(path, f"it contains `{other}` but no `{name}`")
    images, labels = _images(path, pair[0]), read_labels(path, pair[1], target)
    if len(images) != len(labels):
        counts = f"`{pair[0]}` has {len(images):,} pictures, but `{pair[1]}` has {len(labels):,} labels"
        raise unreadable(path, counts)
    if labels.ndim == 3 and labels.shape != images.shape[:3]:
        sizes = [f"{height} × {width}" for height, width in (images.shape[1:3], labels.shape[1:])]
        raise unreadable(path, f"the pictures are {sizes[0]} (height × width), but their masks are {sizes[1]}")
    return DecodedSplit(images, labels)


def _images(path: Path, name: str) -> NDArray[np.uint8]:
    array = read_array(path, name)
    shape = list(array.shape)
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim == 4 and array.shape[3] not in (1, 3):
        array = array.transpose(0, 2, 3, 1)
    if array.ndim != 4 or array.shape[3] not in (1, 3):
        reason = f"the array `{name}` is {shape}; it must be [N, H, W], [N, H, W, C] or [N, C, H, W], with C 1 or 3"
        raise unreadable(path, reason)
    if array.size == 0:
        raise unreadable(path, f"the array `{name}` is empty: {shape}")
    return np.ascontiguousarray(_eight_bits(path, name, array))


def _eight_bits(path: Path, name: str, array: NDArray[np.generic]) -> NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return array.astype(np.uint8, copy=False)
    if array.dtype.kind not in "iuf":
        raise unreadable(path, f"the array `{name}` must hold numbers, got {array.dtype.name}")
    low, high = float(array.min()), float(array.max())
    tops = (1, 255) if array.dtype.kind == "f" else (255,)
    top = next((top for top in tops if low >= 0 and high <= top), None)
    if top is None:  # also if a value is NaN
        reason = f"the array `{name}` has values in {low:g}..{high:g}"
        raise unreadable(path, reason, "store pixels as uint8, or as floats in 0..1")
    return (array.astype(np.float32) * np.float32(255 / top) + np.float32(0.5)).astype(np.uint8)


def read_labels(path: Path, name: str, target: Labelling) -> NDArray[Any]:
    """Return the labels in an array, as the target needs them; raises E508 or E510."""
    array = read_array(path, name)
    if target.kind == "segmentation":
        return _masks(path, name, array, target.size or IGNORED)
    if target.kind == "vector" and array.ndim == 1:
        array = array[:, None]
    if target.kind in ("probabilities", "vector") and array.ndim == 2:
        return _numbers(path, name, array, target)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or array.dtype.kind not in "iu":
        reason = f"the array `{name}` is {array.dtype.name} {list(array.shape)}; labels must be integers [N]"
        raise unreadable(path, reason)
    labels = array.astype(np.int64)
    if len(labels) and labels.min() < 0:
        raise unreadable(path, f"the array `{name}` has the label {labels.min()}; labels must count from 0")
    return labels


def _masks(path: Path, name: str, array: NDArray[np.generic], classes: int) -> NDArray[np.uint8]:
    if array.ndim != 3 or array.dtype.kind not in "iu":
        reason = f"the array `{name}` is {array.dtype.name} {list(array.shape)}; masks must be integers [N, H, W]"
        raise unreadable(path, reason)
    if array.size and (array.min() < 0 or array.max() > IGNORED):
        reason = f"the array `{name}` has values in {array.min()}..{array.max()}; masks hold class indices, 0 to 255"
        raise unreadable(path, reason)
    for index, mask in enumerate(array):
        require_known(f"{index:,} in `{name}` of {path}", mask, classes)
    return array.astype(np.uint8)


def _numbers(path: Path, name: str, array: NDArray[np.generic], target: Labelling) -> NDArray[np.float32]:
    """Return float32 [N, K]: finite numbers, which for several labels are 0 or 1."""
    if array.dtype.kind not in "biuf":
        raise unreadable(path, f"the array `{name}` must hold numbers, got {array.dtype.name}")
    values = array.astype(np.float32)
    wrong = ~np.isfinite(values) if target.kind == "vector" else (values != 0) & (values != 1)
    if wrong.any():
        row, column = np.argwhere(wrong)[0].tolist()
        wanted = "a finite number" if target.kind == "vector" else "0 or 1"
        reason = f"the array `{name}` has {values[row, column]:g} in row {row}, column {column}; it must be {wanted}"
        raise unreadable(path, reason)
    return values


def class_names(path: Path) -> tuple[str, ...]:
    """Return the names in the array `classes`; raises E508."""
    array = read_array(path, CLASSES)
    if array.ndim != 1 or array.dtype.kind != "U":
        raise unreadable(path, f"the array `{CLASSES}` is {array.dtype.name} {list(array.shape)}; it must be text [K]")
    return tuple(map(str, array))
