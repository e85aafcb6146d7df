"""CIFAR-10's two layouts, whole and damaged, and pickles that want more than to be read."""

import os
import pickle
import tarfile
import tracemalloc

import numpy as np
import pytest

from cnnc.data import cifar
from cnnc.data.pickled import UnsafePickle, read_pickle
from cnnc.diagnostics import Code
from tests.data.layouts import CIFAR_BATCHES, cifar_batch, write_cifar_binary, write_cifar_pickled


def expected(seeds, count=4):
    batches = [cifar_batch(count, seed) for seed in seeds]
    pixels = np.concatenate([pixels for pixels, _ in batches])
    return pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), [label for _, labels in batches for label in labels]


def check(train, test):
    for split, seeds in ((train, range(5)), (test, [5])):
        images, labels = expected(seeds)
        np.testing.assert_array_equal(split.images, images)
        np.testing.assert_array_equal(split.labels, labels)
        assert split.images.flags.c_contiguous
        assert split.images.flags.writeable


def test_the_binary_layout(tmp_path):
    write_cifar_binary(tmp_path / "cifar-10-batches-bin")
    train, test, classes = cifar.read(cifar.find(tmp_path))
    check(train, test)
    assert classes is None


@pytest.mark.parametrize("protocol", range(6))
def test_the_python_layout_of_every_protocol(tmp_path, protocol):
    write_cifar_pickled(tmp_path / "cifar-10-batches-py", protocol=protocol)
    train, test, _ = cifar.read(cifar.find(tmp_path))
    check(train, test)


def test_a_column_major_array_comes_as_it_was(tmp_path):
    write_cifar_pickled(tmp_path)
    pixels, labels = cifar_batch(4, 0)
    batch = {"data": np.asfortranarray(pixels), "labels": np.array(labels)}
    (tmp_path / "data_batch_1").write_bytes(pickle.dumps(batch))
    check(*cifar.read(tmp_path)[:2])


@pytest.mark.parametrize("write", [write_cifar_binary, write_cifar_pickled])
def test_an_archive_is_read_in_place(tmp_path, write):
    write(tmp_path / "x" / "cifar")
    with tarfile.open(tmp_path / "cifar.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "x", "x")
    before = sorted(tmp_path.rglob("*"))
    check(*cifar.read(cifar.find(tmp_path / "cifar.tar.gz"))[:2])
    assert sorted(tmp_path.rglob("*")) == before


def test_classes_are_named_by_either_meta_file(tmp_path):
    names = [f"class-{number}" for number in range(10)]
    (write_cifar_binary(tmp_path / "b") / "batches.meta.txt").write_text("\n".join(names) + "\n\n")
    meta = {b"label_names": [name.encode() for name in names]}
    (write_cifar_pickled(tmp_path / "p") / "batches.meta").write_bytes(pickle.dumps(meta, 2))
    assert [cifar.read(tmp_path / folder)[2] for folder in "bp"] == [tuple(names)] * 2


def test_a_missing_batch_is_named(tmp_path, refused):
    write_cifar_binary(tmp_path)
    (tmp_path / "data_batch_3.bin").unlink()
    assert "data_batch_3.bin is missing from CIFAR-10's six batches" in refused(cifar.read, tmp_path).message
    (tmp_path / "test_batch.bin").unlink()
    assert "data_batch_3.bin, test_batch.bin are missing" in refused(cifar.read, tmp_path).message


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: data[:-1], "it has 12,291 bytes, not a multiple of 3,073"),
        (lambda data: data[:3073] + b"\x0a" + data[3074:], "the label of picture 1 is 10; CIFAR-10's are 0..9"),
        (lambda data: b"", "the file is empty"),
    ],
    ids=["short", "label", "empty"],
)
def test_a_damaged_binary_batch_is_named(tmp_path, refused, damage, words):
    path = write_cifar_binary(tmp_path) / "data_batch_2.bin"
    path.write_bytes(damage(path.read_bytes()))
    diagnostic = refused(cifar.read, tmp_path)
    assert diagnostic.code is Code.DATA_UNREADABLE
    assert str(path) in diagnostic.message
    assert words in diagnostic.message


PIXELS, LABELS = cifar_batch()
ODD = {
    "list": ([1, 2], "its pickle must hold a dict"),
    "no data": ({"labels": LABELS}, "its dict has no `data`"),
    "no labels": ({"data": PIXELS}, "its dict has no `labels`"),
    "no array": ({"data": [1], "labels": LABELS}, "`data` must be an array (N, 3072)"),
    "narrow": ({"data": PIXELS[:, 1:], "labels": LABELS}, "`data` must be an array (N, 3072)"),
    "no rows": ({"data": PIXELS[:0], "labels": []}, "`data` must be an array (N, 3072)"),
    "floats": ({"data": PIXELS.astype(float), "labels": LABELS}, "one of its arrays does not hold integers"),
    "wide": ({"data": PIXELS.astype(np.int32), "labels": LABELS}, "`data` holds int32, not uint8"),
    "counts": ({"data": PIXELS, "labels": LABELS[:-1]}, "it holds 4 pictures and 3 labels"),
    "label": ({"data": PIXELS, "labels": [0, 1, -1, 2]}, "the label of picture 2 is -1; CIFAR-10's are 0..9"),
    "text": ({"data": PIXELS, "labels": ["a", "b", "c", "d"]}, "`labels` must be a list of integers"),
    "big": ({"data": PIXELS, "labels": [0, 1, 10**30, 2]}, "`labels` must be a list of integers"),
    "objects": ({"data": PIXELS, "labels": np.array(LABELS, object)}, "one of its arrays does not hold integers"),
    "order": ({"data": PIXELS, "labels": np.array(LABELS, ">i4")}, "one of its arrays is big-endian"),
}


@pytest.mark.parametrize(("batch", "words"), ODD.values(), ids=ODD)
def test_what_is_wrong_with_a_pickled_batch_is_said(tmp_path, refused, batch, words):
    path = write_cifar_pickled(tmp_path) / "data_batch_4"
    path.write_bytes(pickle.dumps(batch, 4))
    message = refused(cifar.read, tmp_path).message
    assert str(path) in message
    assert words in message


class Runs:
    """What a hostile pickle holds: an object that is rebuilt by a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_would_run_code_is_refused_and_runs_nothing(tmp_path, refused, protocol):
    path = write_cifar_pickled(tmp_path) / "data_batch_1"
    path.write_bytes(pickle.dumps({"data": Runs(os.mkdir, str(tmp_path / "ran")), "labels": []}, protocol))
    message = refused(cifar.read, tmp_path).message
    assert f"its pickle refers to {os.mkdir.__module__}.mkdir, which is not data and could run any code" in message
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "function", [eval, getattr, np.load, np.frombuffer, np.ndarray, print], ids=lambda function: function.__name__
)
def test_no_function_is_called_for_a_pickle(function):
    data = pickle.dumps(Runs(function, "x"))
    if function is np.ndarray:  # a stand-in that takes no arguments stands for it
        with pytest.raises(UnsafePickle, match="damaged or cut off"):
            read_pickle(data)
    else:
        with pytest.raises(UnsafePickle, match="is not data"):
            read_pickle(data)


SET_STATE = {  # the stand-in itself, then a state for it: an attribute `x` of the class would be 1
    module + name: b"c" + module.encode() + b"\n" + name.encode() + b"\n(N}(X\x01\x00\x00\x00xK\x01utb."
    for module, name in [("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")]
}


@pytest.mark.parametrize("data", SET_STATE.values(), ids=SET_STATE)
def test_a_pickle_cannot_change_what_rebuilds_it(data):
    with pytest.raises(UnsafePickle):
        read_pickle(data)


CLAIMS = {  # a few bytes that make an unpickler take gigabytes
    "memo": b"\x80\x02Nr\x00\x00\x00\x02.",
    "text memo": b"Np33554432\n.",
    "bytearray": b"\x80\x05\x96\x00\x00\x00\x00\x40\x00\x00\x00.",
}


@pytest.mark.parametrize("data", CLAIMS.values(), ids=CLAIMS)
def test_no_memory_is_taken_for_what_a_pickle_claims(data):
    tracemalloc.start()
    with pytest.raises(UnsafePickle):
        read_pickle(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 24


@pytest.mark.parametrize("size", [0, 1, 40, 1000, -1])
def test_a_cut_off_pickle_is_told(tmp_path, refused, size):
    path = write_cifar_pickled(tmp_path) / "test_batch"
    path.write_bytes(path.read_bytes()[:size])
    message = refused(cifar.read, tmp_path).message
    assert f"{path}: its pickle is damaged or cut off" in message or (size == 0 and "the file is empty" in message)


def test_an_array_whose_bytes_do_not_fit_is_refused(tmp_path, refused):
    path = write_cifar_pickled(tmp_path) / "test_batch"
    data = path.read_bytes()
    (tmp_path / "test_batch").write_bytes(data.replace(b"K\x04M\x00\x0c", b"K\x05M\x00\x0c"))
    assert "an array of shape (5, 3072) has 12,288 bytes" in refused(cifar.read, tmp_path).message
    (tmp_path / "test_batch").write_bytes(data.replace(b"K\x04M\x00\x0c", b"J\xff\xff\xff\xffM\x00\x0c"))
    assert "an invalid shape" in refused(cifar.read, tmp_path).message


@pytest.mark.parametrize("pack", [False, True])
def test_a_batch_that_is_far_too_large_is_not_read(tmp_path, refused, monkeypatch, pack):
    monkeypatch.setattr(cifar, "LARGEST", 12_291)
    path = write_cifar_binary(tmp_path / "x")
    if pack:
        path = tmp_path / "cifar.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            archive.add(tmp_path / "x", "x")
    message = refused(cifar.read, path).message
    assert f"{path}/data_batch_1.bin: it has 12,292 bytes, more than any batch of CIFAR-10" in message


def test_a_damaged_archive_is_told(tmp_path, refused):
    write_cifar_binary(tmp_path / "x")
    path = tmp_path / "cifar.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(tmp_path / "x", "x")
    whole = path.read_bytes()
    for data, words in (
        (whole[:-4000], "the file is cut off"),
        (b"text", "the archive is damaged or cut off"),
        (b"", "is empty"),
    ):
        path.write_bytes(data)
        diagnostic = refused(cifar.read, path)
        assert str(path) in diagnostic.message
        assert words in diagnostic.message


def test_an_archive_of_something_else_lacks_the_batches(tmp_path, refused):
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as archive:
        archive.add(__file__, "readme.txt")
    message = refused(cifar.read, tmp_path / "x.tar.gz").message
    assert all(name in message for name in CIFAR_BATCHES)
