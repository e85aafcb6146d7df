"""Data sets by their paths: which layout, which classes, which part, and the fingerprint."""

import gzip
import os
import shutil

import numpy as np
import pytest

from cnnc.data.dataset import DecodedSplit, describe, hold_out
from cnnc.data.load import load
from cnnc.data.named_sets import CIFAR10, DIGITS, FASHION, KNOWN, by_beginning, by_name
from cnnc.diagnostics import Code
from tests.data.layouts import idx_bytes, write_cifar_binary, write_cifar_pickled, write_idx


def test_every_layout_is_found(tmp_path):
    write_idx(tmp_path / "idx")
    write_cifar_binary(tmp_path / "binary")
    write_cifar_pickled(tmp_path / "pickled" / "cifar-10-batches-py")
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 3, 3), np.uint8), y=[0, 1])
    assert describe(load(tmp_path / "idx")) == "idx: 20 pictures to train on, 10 to test on, 4 × 4 × 1, 10 classes"
    assert load(tmp_path / "binary").classes == CIFAR10
    assert load(tmp_path / "pickled").classes == CIFAR10
    assert describe(load(tmp_path / "a.npz")) == "a.npz: 2 pictures to train on, none to test on, 3 × 3 × 1, 2 classes"


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("mnist-10k", DIGITS),
        ("MNIST/raw", DIGITS),
        ("FashionMNIST/raw", FASHION),
        ("fashion-mnist-3615", FASHION),
        ("kmnist", DIGITS),
        ("digits", DIGITS),
        ("my-pictures/raw", DIGITS),
    ],
)
def test_a_folder_called_after_a_known_set_has_its_classes_and_others_those_of_their_labels(tmp_path, name, classes):
    data = load(write_idx(tmp_path / name))
    assert data.classes == classes
    assert data.num_classes == 10


def test_a_folder_called_after_a_known_set_with_more_labels_has_no_names(tmp_path):
    write_idx(tmp_path / "mnist-letters")
    labels = tmp_path / "mnist-letters" / "train-labels-idx1-ubyte.gz"
    labels.write_bytes(gzip.compress(idx_bytes(np.arange(20))))
    data = load(tmp_path / "mnist-letters")
    assert data.classes is None
    assert data.num_classes == 20


def test_ten_classes_of_an_npz_are_called_by_their_labels(tmp_path):
    images = np.zeros((10, 3, 3), np.uint8)
    np.savez(tmp_path / "a.npz", x=images, y=np.arange(10))
    np.savez(tmp_path / "b.npz", x=images, y=np.arange(10), classes=[*"abcdefghij"])
    np.savez(tmp_path / "c.npz", x=images, y=np.arange(10) % 9)
    found = [load(tmp_path / f"{name}.npz").classes for name in "abc"]
    assert found == [DIGITS, tuple("abcdefghij"), None]


@pytest.mark.parametrize(("train", "test"), [(9, 9), (11, 10), (9, 5)])
def test_other_than_ten_classes_have_no_names(tmp_path, train, test):
    write_idx(tmp_path / "digits")
    for part, size, count in (("train", 20, train), ("t10k", 10, test)):
        path = tmp_path / "digits" / f"{part}-labels-idx1-ubyte.gz"
        path.write_bytes(gzip.compress(idx_bytes(np.arange(size) % count)))
    data = load(tmp_path / "digits")
    assert data.classes is None
    assert data.num_classes == max(train, test)


def test_classes_txt_names_the_classes(tmp_path):
    names = [f"class {number}" for number in range(10)]
    (write_idx(tmp_path / "mnist") / "classes.txt").write_text("\n".join(names) + "\n\n", encoding="utf-8")
    assert load(tmp_path / "mnist").classes == tuple(names)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("a\nb\nc", "the label of training picture 3 is 9, but there are 3 classes, 0..2"),
        ("a\n" * 10, "two classes are named a"),
        ("\n", "its list of classes is empty"),
    ],
)
def test_labels_and_classes_must_fit(idx, refused, lines, words):
    (idx / "classes.txt").write_text(lines)
    (idx / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx_bytes([0, 1, 2, 9] * 5)))
    diagnostic = refused(load, idx)
    assert diagnostic.code is Code.DATA_UNREADABLE
    assert words in diagnostic.message


def test_a_label_to_test_on_must_fit_too(idx, refused):
    (idx / "classes.txt").write_text("".join(f"{number}\n" for number in range(10)))
    (idx / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx_bytes([0] * 9 + [10])))
    assert "the label of test picture 9 is 10, but there are 10 classes" in refused(load, idx).message


def test_paths_without_data(tmp_path, refused):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("1,2")
    (tmp_path / "other").mkdir()
    for name in "abcdefg":
        (tmp_path / "other" / name).touch()
    os.mkfifo(tmp_path / "pipe")
    for name, words in (
        ("empty", "the folder is empty"),
        ("other", "its layout is unknown: it contains a, b, c, d, e …"),
        ("text.txt", "its layout is unknown"),
        ("absent", "there is no such file or folder"),
        ("pipe", "it is neither a file nor a folder"),
    ):
        diagnostic = refused(load, tmp_path / name)
        assert diagnostic.code is Code.DATA_UNREADABLE
        assert diagnostic.message == f"cannot read the data {tmp_path / name}: {words}"


@pytest.mark.parametrize(("text", "near"), [("fashion-mnits", "fashion-mnist"), ("cifar100", "cifar10")])
def test_a_misspelt_name_gets_a_suggestion(tmp_path, refused, monkeypatch, text, near):
    monkeypatch.chdir(tmp_path)
    help = refused(load, text).help
    assert help.startswith(f"did you mean {near}? ")
    assert ", ".join(KNOWN) in help


@pytest.mark.parametrize("text", ["fashion-mnist", "FashionMNIST", "fashion_mnist", "Fashion-MNIST"])
def test_names_are_known_in_every_spelling(text):
    assert by_name(text) is KNOWN["fashion-mnist"]


def test_paths_are_no_names():
    assert by_name("./mnist") is None
    assert by_name("mnist/") is None
    assert by_beginning("emnist") is None


def test_limit_takes_the_first_of_each_split(idx):
    whole, part = load(idx), load(idx, limit=15)
    assert (len(part.train), len(part.test)) == (15, 10)
    np.testing.assert_array_equal(part.train.images, whole.train.images[:15])
    assert len(load(idx, limit=7).test) == 7
    assert len(load(idx, limit=1000).train) == 20


def labelled(*labels):
    """A split whose pictures each hold their own index."""
    images = np.arange(len(labels), dtype=np.uint8).reshape(-1, 1, 1, 1)
    return DecodedSplit(images, np.array(labels, np.int64))


def test_a_held_out_part_has_every_class_by_its_share():
    split = labelled(*[0] * 60, *[1] * 30, *[2] * 10)
    train, test = hold_out(split, 0.1, seed=3)
    assert np.bincount(test.labels).tolist() == [6, 3, 1]
    assert np.bincount(train.labels).tolist() == [54, 27, 9]
    both = [*train.images.ravel(), *test.images.ravel()]
    assert sorted(both) == list(range(100))
    assert both[:90] == sorted(both[:90])


def test_what_is_held_out_depends_on_the_seed_alone():
    split = labelled(*[0, 1] * 50)
    drawn = [hold_out(split, 0.3, seed)[1].images.ravel().tolist() for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_small_class_is_in_both_parts_and_a_single_example_is_trained_on():
    train, test = hold_out(labelled(0, 0, 1, 2, 2, 2), 0.01, seed=0)
    assert np.bincount(train.labels).tolist() == [1, 1, 2]
    assert np.bincount(test.labels).tolist() == [1, 0, 1]
    train, _ = hold_out(labelled(0, 0, 1), 0.99, seed=0)
    assert np.bincount(train.labels).tolist() == [1, 1]


def test_val_split_replaces_the_test_split_after_the_limit(idx):
    data = load(idx, limit=20, val_split=0.5, seed=1)
    assert (len(data.train), len(data.test)) == (10, 10)
    assert np.bincount(data.test.labels).tolist() == [1] * 10


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"limit": 0}, "`limit` must be at least 1, got 0"),
        ({"limit": -5}, "`limit` must be at least 1, got -5"),
        ({"val_split": 0.0}, "`val_split` must be between 0 and 1, got 0"),
        ({"val_split": 1.0}, "`val_split` must be between 0 and 1, got 1"),
        ({"val_split": float("nan")}, "`val_split` must be between 0 and 1, got nan"),
        ({"val_split": 0.5, "limit": 5}, "leaves no test examples: no class has more than one example"),
    ],
)
def test_impossible_parts_are_refused(idx, refused, keywords, words):
    diagnostic = refused(load, idx, **keywords)
    assert diagnostic.code is Code.BAD_VALUE
    assert words in diagnostic.message


def test_the_fingerprint_is_of_the_examples_and_not_of_their_place(idx, tmp_path):
    before = load(idx).fingerprint
    shutil.copytree(idx, tmp_path / "copy")
    assert load(tmp_path / "copy").fingerprint == before
    seen = {before, load(idx, limit=19).fingerprint, load(idx, val_split=0.5).fingerprint}
    seen.add(load(idx, val_split=0.5, seed=1).fingerprint)
    (idx / "classes.txt").write_text("".join(f"class {number}\n" for number in range(10)))
    seen.add(load(idx).fingerprint)
    images = write_idx(tmp_path / "other") / "t10k-images-idx3-ubyte.gz"
    pixels = bytearray(gzip.decompress(images.read_bytes()))
    pixels[-1] ^= 1
    images.write_bytes(gzip.compress(pixels))
    seen.add(load(tmp_path / "other").fingerprint)
    labels = write_idx(tmp_path / "third") / "train-labels-idx1-ubyte.gz"
    labels.write_bytes(gzip.compress(idx_bytes(np.arange(1, 21) % 10)))
    seen.add(load(tmp_path / "third").fingerprint)
    assert len(seen) == 7
