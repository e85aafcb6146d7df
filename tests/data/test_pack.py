"""`cnnc data pack`: what is read back prepares to what the source prepares to, and damage is noticed."""

import errno
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from cnnc.artifacts.contract import InputContract
from cnnc.data import pack as packing
from cnnc.data import packed
from cnnc.data.dataset import Data, DecodedSplit, Files, Labelling, fingerprint, hold_out
from cnnc.data.examples import picture_of
from cnnc.data.frame import Frame
from cnnc.data.load import load
from cnnc.data.pack import pack
from cnnc.data.packed import PackedSplit
from cnnc.data.preprocess import Preprocess
from cnnc.diagnostics import CnncError, Code
from cnnc.graph.graph import Input, Picture
from cnnc.inference.evaluate_masks import _opened, pairs_of
from cnnc.ops.types import TensorType
from tests.command import run_command
from tests.damage import damaged
from tests.data.layouts import digits, write_idx

FRAMES = {
    "resized": (Picture("rgb", (), (), (14, 18)), (14, 18)),
    "cropped": (Picture("bgr", (), (), 20, (15, 17)), (20, 20)),
    "cropped wider than it is high": (Picture("rgb", (), (), 16, (15, 19), "bicubic"), (16, 19)),
    "cropped without a resize": (Picture("rgb", (), (), None, (19, 13)), (19, 13)),
    "in grey": (Picture("grey", (), (), 20, (17, 18)), (20, 20)),
}


def preprocess(picture=None, side=4):
    picture = picture or Picture("grey", (), (), (side, side))
    return Preprocess(Input("image", TensorType((1 if picture.mode == "grey" else 3, None, None)), picture))


def files(folder, *, colours=True, count=6):
    """Pictures of different sizes."""
    random = np.random.default_rng(0)
    for number in range(count):
        pixels = random.integers(0, 256, (22 + 3 * number, 60 - number, 3), dtype=np.uint8)
        Image.fromarray(pixels if colours else pixels[..., 0]).save(folder / f"{number}.png")
    return Files(tuple(folder / f"{number}.png" for number in range(count)), np.arange(count) % 2)


def data_of(train, test=None, classes=("a", "b")):
    return Data("set", train, test, classes, "set", fingerprint(train, test, classes))


@pytest.mark.parametrize("case", FRAMES)
def test_a_packed_picture_prepares_to_what_the_file_does(tmp_path, case):
    picture, size = FRAMES[case]
    make, source = preprocess(picture), files(tmp_path)
    pack(data_of(source), Frame(make), tmp_path / "p.npz")
    found = load(tmp_path / "p.npz").train
    assert found.images.shape == (6, *size, 1 if case == "in grey" else 3)
    for index in range(len(source)):
        whole = torch.from_numpy(np.array(picture_of(source, index).image))[None]
        assert make(make.settle(torch.from_numpy(found.images[[index]]))).equal(make(make.settle(whole)))


def test_masks_are_cut_as_their_pictures(tmp_path):
    make = preprocess(FRAMES["cropped"][0])
    random = np.random.default_rng(0)
    images, masks = (random.integers(0, 5, (3, 25, 38, *more), dtype=np.uint8) for more in ((3,), ()))
    pack(data_of(DecodedSplit(images, masks)), Frame(make), tmp_path / "p.npz")
    found = load(tmp_path / "p.npz", target=Labelling("segmentation", 5)).train
    assert make.resize_masks(torch.from_numpy(found.labels)).equal(make.resize_masks(torch.from_numpy(masks)))


@pytest.mark.parametrize("kind", ["probabilities", "vector"])
def test_several_labels_and_numbers_are_kept(tmp_path, kind):
    images, _ = digits(6)
    labels = np.random.default_rng(0).integers(0, 2, (6, 3)).astype(np.float32)
    split = DecodedSplit(images[..., None], labels)
    pack(data_of(split, split.take(np.arange(2)), ("a", "b", "c")), Frame(preprocess()), tmp_path / "p.npz")
    found = load(tmp_path / "p.npz", target=Labelling(kind, 3))
    np.testing.assert_array_equal(found.train.labels, labels)
    np.testing.assert_array_equal(found.test.images[:], images[:2, ..., None])
    assert found.classes == ("a", "b", "c")


def test_pictures_have_colours_if_any_has(tmp_path):
    source, frame = files(tmp_path, colours=False), Frame(preprocess(FRAMES["resized"][0]))
    assert pack(data_of(source), frame, tmp_path / "p.npz").shapes == {"train": (6, 14, 18, 1)}
    Image.new("RGB", (20, 20), (10, 20, 30)).save(source.paths[4])
    told = []
    written = pack(data_of(source), frame, tmp_path / "p.npz", lambda: told.append(1))
    assert (written.shapes, len(told)) == ({"train": (6, 14, 18, 3)}, 6)
    assert load(tmp_path / "p.npz").train.images[4][0, 0].tolist() == [10, 20, 30]


@pytest.fixture
def written(tmp_path):
    """A pack of 20 digits to train on and 10 to test on, in 10 classes."""
    data = load(write_idx(tmp_path / "mnist"))
    pack(data, Frame(preprocess()), tmp_path / "p.npz")
    return tmp_path / "p.npz", data


def test_it_is_an_npz_file_for_other_programs_and_is_written_the_same_again(written):
    path, data = written
    with np.load(path) as arrays:
        for name, split in (("train", data.train), ("test", data.test)):
            np.testing.assert_array_equal(arrays[f"x_{name}"], split.images)
            np.testing.assert_array_equal(arrays[f"y_{name}"], split.labels)
        assert tuple(arrays["classes"]) == data.classes
    before = path.read_bytes()
    pack(load(path), Frame(preprocess()), path)
    assert path.read_bytes() == before


def test_parts_are_those_of_the_same_pictures_in_memory(written):
    path, data = written
    found = load(path, limit=15, val_split=0.3, seed=3)
    wanted = load(data.source, limit=15, val_split=0.3, seed=3)
    for one, other in ((found.train, wanted.train), (found.test, wanted.test)):
        assert isinstance(one, PackedSplit)
        np.testing.assert_array_equal(one.images[:], other.images)
        np.testing.assert_array_equal(list(one.images), other.images)
        np.testing.assert_array_equal(one.labels, other.labels)
        assert one.images.shape == other.images.shape
        assert one.images.nbytes == other.images.nbytes
    train, _ = hold_out(load(path).train, 0.5, 0)
    assert {fingerprint(each, None, None) for each in (train, load(path).train)} == {
        fingerprint(train, None, None),
        fingerprint(load(path).train, None, None),
    }


def content(path):
    """All that is read of a pack."""
    found = load(path)
    parts = [[each.images[:].tolist(), each.labels.tolist()] for each in (found.train, found.test)]
    return parts, found.classes


def test_damage_is_noticed_or_changes_nothing(written):
    path, _ = written
    whole, before = path.read_bytes(), content(path)
    codes = []
    for data in damaged(whole, count=60):
        path.write_bytes(data)
        try:
            assert content(path) == before
        except CnncError as error:
            codes += [each.code for each in error.diagnostics]
    assert set(codes) == {Code.DATA_UNREADABLE}
    assert len(codes) > 60


def test_a_damaged_picture_is_named_when_it_is_read(written, refused):
    path, data = written
    whole = bytearray(path.read_bytes())
    whole[whole.index(data.train.images[7].tobytes()) + 3] ^= 1
    path.write_bytes(whole)
    images = load(path).train.images
    assert len(images[:7]) == 7
    found = refused(images.__getitem__, slice(5, 9))
    assert found.message == f"cannot read the data {path}: it is damaged: picture 7 is not as it was written"


def test_an_array_that_the_archive_no_longer_lists_is_missed(written, refused):
    path, _ = written
    whole = path.read_bytes()
    at = whole.rindex(b"classes.npy")
    path.write_bytes(whole[:at] + b"k" + whole[at + 1 :])
    assert refused(load, path).message == f"cannot read the data {path}: it is damaged: it contains no `classes`"


def rewritten(path, **changed):
    """Write a pack again with another description, compressed as a zip program may do."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members[packed.ABOUT] = json.dumps({**json.loads(members[packed.ABOUT]), **changed}).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, each in members.items():
            archive.writestr(name, each)


def test_a_pack_of_another_format_or_of_another_program_is_refused(written, refused):
    path, _ = written
    rewritten(path)
    assert "was packed again by another program: `x_train` cannot be mapped" in refused(load, path).message
    rewritten(path, version=2)
    assert "it is a pack of format 2, and this cnnc reads format 1" in refused(load, path).message


def test_a_pack_that_has_too_little_for_the_network_is_refused(written, tmp_path, refused):
    path, _ = written
    split = load(path).train
    split.require_enough(preprocess())
    split.require_enough(preprocess(side=3))
    split.require_enough(preprocess(Picture("rgb", (), (), (4, 4))))
    found = refused(split.require_enough, preprocess(side=5))
    assert f"the pictures in {path} are 4 × 4 (height × width), but the network needs 5 × 5" in found.message
    pack(data_of(files(tmp_path)), Frame(preprocess()), path)
    found = refused(load(path).train.require_enough, preprocess(Picture("rgb", (), (), (4, 4))))
    assert "were packed for a network that takes grey" in found.message
    pack(load(path), Frame(preprocess()), path)
    assert load(path).train.grey


def test_masks_of_a_pack_are_scored_one_by_one_and_only_if_it_has_enough(tmp_path, refused):
    images, masks = np.ones((2, 4, 1, 3), np.uint8), np.zeros((2, 4, 1), np.uint8)
    picture = Picture("rgb", (), (), (4, 1))
    frame = Frame(Preprocess(Input("image", TensorType((3, 4, 1)), picture)))
    pack(data_of(DecodedSplit(images, masks)), frame, tmp_path / "p.npz")
    split = load(tmp_path / "p.npz", target=Labelling("segmentation", 5)).train
    to = InputContract(name="image", shape=(3, 4, 1), mode="rgb", resize=(4, 1))
    pair, _ = pairs_of(split, to)
    assert pair.split is split
    assert _opened(pair)[0].image.size == (1, 4)
    larger = replace(to, shape=(3, 5, 1), resize=(5, 1))
    assert "but the network needs 5 × 1" in refused(pairs_of, split, larger).message


def test_a_pack_is_mapped_without_room_for_it_in_memory(written):
    path, _ = written
    assert not load(path).train.images._mapped.flags.writeable  # a private mapping that can be written counts as used


def test_a_full_disk_leaves_the_earlier_file(written, monkeypatch, refused):
    path, data = written
    before = path.read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(packing, "seal", full)
    found = refused(pack, data, Frame(preprocess()), path)
    assert found.message == f"cannot write {path}: the disk is full"
    assert path.read_bytes() == before
    assert sorted(each.name for each in path.parent.iterdir()) == ["mnist", "p.npz"]


def test_a_picture_that_is_smaller_than_the_crop_is_named(tmp_path, refused):
    frame = Frame(preprocess(Picture("rgb", (), (), None, (25, 20))))
    found = refused(pack, data_of(files(tmp_path)), frame, tmp_path / "p.npz")
    assert found.code is Code.DATA_MISFIT
    assert found.message.startswith(f"{tmp_path / '0.png'}: the pictures are 22 × 60 (height × width), smaller than")
    assert not (tmp_path / "p.npz").exists()


SPEC = """cnnc: 1
input: {image: {shape: [1, 4, 4], resize: 5, crop: [4, 4]}}
nodes: [flatten, linear: {out: 10}]
"""


def test_the_command_packs_for_a_spec_or_a_size(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_idx(tmp_path / "mnist")
    (tmp_path / "net.yaml").write_text(SPEC)
    done = run_command("data", "pack", "./mnist", "--spec", "net.yaml", "-o", "p.npz", "--val-split", "0.5")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1] == "p.npz: 10 pictures to train on, 10 to test on, 5 × 5 × 1, 10 classes"
    done = run_command("data", "pack", "p.npz", "--size", "3x2", "-o", "p.npz", "--limit", "4", "--overwrite")
    assert "4 pictures to train on, 4 to test on, 3 × 2 × 1" in done.stdout


def test_the_command_refuses_what_does_not_fit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "set" / "images").mkdir(parents=True)
    (tmp_path / "there.npz").touch()
    (tmp_path / "open.yaml").write_text("cnnc: 1\ninput: {image: [1, null, null]}\nnodes: [global_avg_pool]\n")
    (tmp_path / "net.yaml").write_text(SPEC)
    for words, code, said in (
        (("unpack", "set", "-o", "p.npz"), 2, "cnnc data has no action 'unpack'"),
        (("pack", "set", "-o", "p.npz"), 2, "needs either --spec SPEC or --size HxW"),
        (("pack", "set", "-o", "p.tar", "--size", "4x4"), 2, "a pack ends in .npz, got p.tar"),
        (("pack", "set", "-o", "p.npz", "--size", "4"), 2, "expected HEIGHTxWIDTH, such as 224x224, got '4'"),
        (
            ("pack", "there.npz", "-o", "p.npz", "--size", "99999x9999"),
            2,
            "pixels; the limit is 64,000,000",
        ),
        (("pack", "set", "-o", "there.npz", "--size", "4x4"), 2, "there.npz exists"),
        (("pack", "set", "-o", "p.npz", "--size", "4x4"), 1, "error[E510]: set has masks"),
        (("pack", "set", "-o", "p.npz", "--spec", "open.yaml"), 1, "error[E510]: the pictures may differ in size"),
        (
            ("pack", "set", "-o", "p.npz", "--spec", "net.yaml", "--masks", "m"),
            1,
            "error[E203]: `masks` of the recipe is `m`, but the output is trained as `classes`",
        ),
    ):
        done = run_command("data", *words)
        assert (done.exit_code, said in done.stderr) == (code, True), (words, done.stderr)
