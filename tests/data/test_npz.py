"""Arrays in `.npz` files, under the usual names, and all that can be wrong with them."""

import zipfile

import numpy as np
import pytest

from cnnc.data import npz
from cnnc.diagnostics import Code
from tests.data.layouts import digits

IMAGES, LABELS = digits(6)
FLOATS = (IMAGES / 255).astype(np.float32)
COLOURED = np.stack([IMAGES, 255 - IMAGES, IMAGES // 2], axis=-1)


def save(path, **arrays):
    np.savez(path / "d.npz", **arrays)
    return path / "d.npz"


@pytest.mark.parametrize(
    ("x", "y"), [("x_train", "y_train"), ("train_images", "train_labels"), ("images", "labels"), ("x", "y")]
)
def test_the_usual_names_are_known(tmp_path, x, y):
    train, test, classes = npz.read(save(tmp_path, **{x: IMAGES, y: LABELS}))
    np.testing.assert_array_equal(train.images, IMAGES[..., None])
    np.testing.assert_array_equal(train.labels, LABELS)
    assert (train.images.dtype, train.labels.dtype) == (np.uint8, np.int64)
    assert test is None
    assert classes is None


def test_a_test_split_and_the_classes_names(tmp_path):
    names = np.array([f"c{number}" for number in range(10)])
    path = save(tmp_path, x_train=IMAGES, y_train=LABELS, x_test=IMAGES[:2], y_test=LABELS[:2], classes=names)
    _, test, classes = npz.read(path)
    assert len(test) == 2
    assert classes == tuple(names)


PIXELS = {
    "with a channel": (IMAGES[..., None], IMAGES[..., None]),
    "channels last": (COLOURED, COLOURED),
    "channels second": (COLOURED.transpose(0, 3, 1, 2), COLOURED),
    "column-major": (np.asfortranarray(COLOURED), COLOURED),
    "floats to 1": (FLOATS, IMAGES[..., None]),
    "floats to 255": (IMAGES.astype(np.float64), IMAGES[..., None]),
    "integers": (IMAGES.astype(np.int32), IMAGES[..., None]),
}


@pytest.mark.parametrize(("given", "expected"), PIXELS.values(), ids=PIXELS)
def test_pictures_become_eight_bit_with_the_channels_last(tmp_path, given, expected):
    train, *_ = npz.read(save(tmp_path, images=given, labels=LABELS.reshape(-1, 1)))
    np.testing.assert_array_equal(train.images, expected)
    assert train.images.flags.c_contiguous
    assert train.images.flags.writeable
    assert train.labels.shape == (6,)


def test_floats_are_rounded(tmp_path):
    train, *_ = npz.read(save(tmp_path, x=np.array([[[0.0, 0.001, 0.999, 1.0]]]), y=[0]))
    assert train.images.ravel().tolist() == [0, 0, 255, 255]


NAN = FLOATS.copy()
NAN[0, 0, 0] = np.nan
WRONG = {
    "other names": ({"a": IMAGES, "b": LABELS}, "it contains `a`, `b`, but no training pictures"),
    "empty": ({}, "it contains no arrays"),
    "no labels": ({"x_train": IMAGES}, "it contains `x_train` but no `y_train`"),
    "no pictures": ({"y_train": LABELS}, "it contains `y_train` but no `x_train`"),
    "half a test": ({"x": IMAGES, "y": LABELS, "x_test": IMAGES}, "it contains `x_test` but no `y_test`"),
    "counts": ({"x": IMAGES, "y": LABELS[:5]}, "`x` has 6 pictures, but `y` has 5 labels"),
    "flat": ({"x": IMAGES.reshape(6, 16), "y": LABELS}, "`x` is [6, 16]; it must be [N, H, W]"),
    "channels": ({"x": np.zeros((6, 4, 4, 2)), "y": LABELS}, "`x` is [6, 4, 4, 2]; it must be"),
    "nothing": ({"x": IMAGES[:0], "y": LABELS[:0]}, "the array `x` is empty: [0, 4, 4]"),
    "normalised": ({"x": FLOATS - 1, "y": LABELS}, "the array `x` has values in -"),
    "large": ({"x": IMAGES.astype(int) + 1000, "y": LABELS}, "the array `x` has values in 1"),
    "nan": ({"x": NAN, "y": LABELS}, "the array `x` has values in nan..nan"),
    "text": ({"x": np.full((6, 4, 4), "a"), "y": LABELS}, "the array `x` must hold numbers, got str32"),
    "one-hot": ({"x": IMAGES, "y": np.eye(10)[LABELS]}, "`y` is float64 [6, 10]; labels must be integers [N]"),
    "negative": (
        {"x": IMAGES, "y": LABELS.astype(int) - 1},
        "the array `y` has the label -1; labels must count from 0",
    ),
    "classes": ({"x": IMAGES, "y": LABELS, "classes": LABELS}, "the array `classes` is uint8 [6]; it must be text [K]"),
    "sizes": (
        {"x": IMAGES, "y": LABELS, "x_test": IMAGES[:, 1:], "y_test": LABELS},
        "the training pictures are 4 × 4 × 1, but the test pictures are 3 × 4 × 1",
    ),
}


@pytest.mark.parametrize(("arrays", "words"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_with_the_arrays_is_said(tmp_path, refused, arrays, words):
    path = save(tmp_path, **arrays)
    diagnostic = refused(npz.read, path)
    assert diagnostic.code is Code.DATA_UNREADABLE
    assert diagnostic.message.startswith(f"cannot read the data {path}: ")
    assert words in diagnostic.message


def test_a_pickled_array_is_not_read(tmp_path, refused):
    path = save(tmp_path, x=np.array([[1], "a"], dtype=object), y=LABELS)
    assert "the array `x`: it is pickled" in refused(npz.read, path).message


def test_a_damaged_file_is_told(tmp_path, refused):
    path = save(tmp_path, x=IMAGES, y=LABELS)
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[whole.index(IMAGES.tobytes()) + 3] ^= 1
    for data, words in (
        (b"", "the file is empty"),
        (b"text", "it is not an .npz file, or cut off"),
        (whole[:-30], "it is not an .npz file, or cut off"),
        (bytes(damaged), "the array `x`: Bad CRC-32"),
    ):
        path.write_bytes(data)
        assert words in refused(npz.read, path).message


def test_arrays_that_unfold_beyond_all_memory_are_not_read(tmp_path, refused, monkeypatch):
    monkeypatch.setattr(npz, "LARGEST", 300)
    assert "its arrays have" in refused(npz.read, save(tmp_path, x=IMAGES, y=LABELS)).message


def test_a_member_that_is_no_array_is_named(tmp_path, refused):
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00\x05\x00(((((")
        archive.writestr("y.npy", b"text")
    assert "the array `x`: " in refused(npz.read, tmp_path / "d.npz").message
