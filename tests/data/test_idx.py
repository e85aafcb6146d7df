"""The four-file IDX layout, whole and damaged."""

import gzip
import struct

import numpy as np
import pytest

from cnnc.data import idx as layout
from cnnc.diagnostics import Code
from tests.data.layouts import digits, idx_bytes, write_idx


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("mark", ["-", "."])
def test_pictures_and_labels_come_as_they_were_written(tmp_path, packed, mark):
    train, test = layout.read(write_idx(tmp_path, packed=packed, mark=mark))
    for seed, split in enumerate((train, test)):
        images, labels = digits(len(split), seed=seed)
        assert (len(train), len(test)) == (20, 10)
        assert split.images.dtype == np.uint8
        assert split.labels.dtype == np.int64
        assert split.images.flags.c_contiguous
        assert split.images.flags.writeable
        np.testing.assert_array_equal(split.images, images[..., None])
        np.testing.assert_array_equal(split.labels, labels)


def test_the_files_may_lie_in_raw_and_a_plain_one_goes_before_a_gzipped_one(tmp_path):
    write_idx(tmp_path / "raw", train=20)
    write_idx(tmp_path / "raw", train=30, packed=False)
    train, _ = layout.read(tmp_path)
    assert len(train) == 30


def test_there_may_be_nothing_to_test_on(idx):
    for name in ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"):
        (idx / name).unlink()
    assert layout.read(idx)[1] is None


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-labels-idx1-ubyte"])
def test_a_missing_file_is_named(idx, refused, name):
    (idx / f"{name}.gz").unlink()
    assert refused(layout.read, idx).message.endswith(f"digits: the file {name}, or {name}.gz, is missing")


def images(*shape, magic=0x0803):
    return struct.pack(">IIII", magic, *shape)


DAMAGED = {
    "labels": (idx_bytes(np.zeros(20)), "expected the magic number 0x00000803 of images, got 0x00000801 (labels)"),
    "text": (b"not pictures at all", "expected the magic number 0x00000803 of images, got 0x6e6f7420"),
    "one byte": (b"\0", "of images, got 0x00000000"),
    "half a header": (images(1, 1, 1)[:10], "it ends inside its header, after 10 bytes"),
    "no pictures": (images(0, 28, 28), "it is empty: its size is 0 × 28 × 28"),
    "no height": (images(3, 0, 28), "it is empty: its size is 3 × 0 × 28"),
    "more promised": (images(20, 4, 4) + bytes(310), "declares 20 × 4 × 4 = 320 bytes, but only 310 follow"),
    "more follows": (images(20, 4, 4) + bytes(321), "declares 20 × 4 × 4 = 320 bytes, but more follow"),
    "huge": (images(4_000_000_000, 60_000, 60_000) + bytes(9), "more than a file of 25 bytes can hold"),
}


@pytest.mark.parametrize(("data", "words"), DAMAGED.values(), ids=DAMAGED)
def test_what_is_wrong_with_a_file_is_said(tmp_path, refused, data, words):
    write_idx(tmp_path, packed=False)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(data)
    diagnostic = refused(layout.read, tmp_path)
    assert diagnostic.code is Code.DATA_UNREADABLE
    assert "train-images-idx3-ubyte" in diagnostic.message
    assert words in diagnostic.message


def test_a_gzipped_file_cannot_promise_more_than_gzip_can_pack(idx, refused):
    (idx / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(images(2**31, 2**15, 2**15)))
    assert "more than a file of" in refused(layout.read, idx).message


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: data[:-10], "the file is cut off"),
        (lambda data: data[: len(data) // 2], "the file is cut off"),
        (lambda data: data[:-6] + bytes([data[-6] ^ 1]) + data[-5:], "it is damaged: CRC check failed"),
        (lambda data: data[:12] + b"\xff\xff\xff" + data[15:], "it is damaged: Error -3"),
        (lambda data: b"", "the file is empty"),
    ],
    ids=["tail", "half", "sum", "inside", "empty"],
)
def test_a_damaged_gzip_file_is_named(idx, refused, damage, words):
    path = idx / "train-images-idx3-ubyte.gz"
    path.write_bytes(damage(path.read_bytes()))
    message = refused(layout.read, idx).message
    assert f"{path}: {words}" in message


def test_unequal_counts_are_told_with_both_numbers(idx, refused):
    (idx / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx_bytes(np.zeros(19))))
    message = refused(layout.read, idx).message
    assert "train-images-idx3-ubyte.gz holds 20 pictures, train-labels-idx1-ubyte.gz holds 19 labels" in message


def test_training_and_test_pictures_are_of_one_size(idx, refused):
    (idx / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(np.zeros((10, 5, 3)))))
    assert "the training pictures are 4 × 4, but the test pictures are 5 × 3" in refused(layout.read, idx).message


def test_a_folder_in_a_files_place_is_refused(idx, refused):
    (idx / "train-images-idx3-ubyte.gz").unlink()
    (idx / "train-images-idx3-ubyte.gz").mkdir()
    assert "it is a folder, not a file" in refused(layout.read, idx).message
