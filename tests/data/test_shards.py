"""Tar shards in WebDataset's layout: what they contain, what is wrong with them, and the order of their examples."""

import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from cnnc.data.dataset import Labelling
from cnnc.data.load import load
from cnnc.data.shards import Shards, find
from cnnc.diagnostics import CnncError
from cnnc.train.epoch_order import Plan, Range
from cnnc.train.stream_order import LANES, stream_order

KINDS = {kind: Labelling(kind) for kind in ("classes", "probabilities", "vector", "segmentation")}


def png(value, size=(3, 2)):
    file = io.BytesIO()
    Image.new("L", size, value).save(file, "PNG")
    return file.getvalue()


def write(path, *members):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            data = content.encode() if isinstance(content, str) else content
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def example(key, value, **parts):
    return [
        (f"{key}.png", png(value)),
        *((f"{key}.{suffix.replace('_', '.')}", text) for suffix, text in parts.items()),
    ]


@pytest.fixture
def shards(tmp_path):
    """Two shards to train on and one to test on: the value of a picture is its number."""
    names = ["dog", "cat", "dog", "cat", "cat"]
    for shard, numbers in {"train-0": (0, 1, 2), "train-1": (3,), "test-0": (4,)}.items():
        members = [
            each
            for number in numbers
            for each in example(
                f"set/{number:03}",
                number,
                cls=names[number],
                json=json.dumps([number % 2, 1]),
                seg_png=png(number % 2),
                txt="of no interest",
            )
        ]
        write(tmp_path / "set" / f"{shard}.tar", ("__meta__", ""), *members)
    return tmp_path / "set"


def values(split):
    return [split.picture(index).image.getpixel((0, 0)) for index in range(len(split))]


def test_examples_are_read_where_they_are(shards):
    data = load(shards)
    assert isinstance(data.train, Shards)
    assert (data.classes, data.train.labels.tolist(), data.test.labels.tolist()) == (("cat", "dog"), [1, 0, 1, 0], [0])
    assert values(data.train) == [0, 1, 2, 3]
    assert [path.relative_to(shards).as_posix() for path in data.train.paths] == [
        "train-0.tar/set/000",
        "train-0.tar/set/001",
        "train-0.tar/set/002",
        "train-1.tar/set/003",
    ]
    assert load(shards, target=KINDS["vector"]).train.labels.tolist() == [[0, 1], [1, 1], [0, 1], [1, 1]]
    assert load(shards, target=KINDS["probabilities"]).train.labels.tolist() == [[0, 1], [1, 1], [0, 1], [1, 1]]
    masks = load(shards, target=KINDS["segmentation"]).train
    assert [int(masks.mask(index, (2, 3)).max()) for index in range(4)] == [0, 1, 0, 1]
    assert data.fingerprint != load(shards, target=KINDS["vector"]).fingerprint


def test_shards_have_several_layouts(shards):
    pattern = load(f"{shards}/train-{{0..1}}.tar")
    assert (len(pattern.train), pattern.test) == (4, None)
    assert len(load(shards / "train-0.tar").train) == 3
    for part in ("train", "test"):
        (shards / part).mkdir()
        for path in shards.glob(f"{part}-*.tar"):
            path.rename(shards / part / path.name)
    data = load(shards, val_split=0.5, limit=3)
    assert (values(data.train), values(data.test)) == ([1, 2], [0]) or len(data.test) == 1
    (shards / "classes.txt").write_text("bird\ndog\ncat\n")
    assert load(shards).train.labels.tolist() == [1, 2, 1, 2]


def test_archives_that_were_unpacked_beside_them_are_not_read(shards):
    for name in ("train/cat/a.png", "train/dog/b.png"):
        (shards / name).parent.mkdir(parents=True)
        (shards / name).write_bytes(png(7))
    assert load(shards).train.images.shape == (2, 2, 3, 1)
    assert len(load(shards / "train-0.tar").train) == 3


def test_unreadable_pictures_can_be_left_out(shards):
    write(shards / "train-2.tar", ("x.png", b"no picture"), ("x.cls", "cat"))
    data = load(shards, skip_unreadable=True)
    assert values(data.train) == [0, 1, 2, 3]
    assert [each.path.name for each in data.train.skipped] == ["x"]


WRONG = {
    "no picture": ("classes", [("a.cls", "1")], "the example `a`: it has no picture"),
    "no label": ("classes", example("b", 1, json="[1]"), "the example `b`: it has no `.cls`"),
    "no list": (
        "vector",
        example("b", 1, json='{"x": 1}'),
        'the example `b`: its `.json` must be a list, got {"x"',
    ),
    "no json": ("vector", example("b", 1, json="[1"), "the example `b`: its `.json` cannot be read: "),
    "no number": ("vector", example("b", 1, json='[1, "x"]'), "the example `b`: its `.json` must be a list of finite"),
    "no flag": (
        "probabilities",
        example("b", 1, json="[1, 2]"),
        "the example `b`: its `.json` must be a list of 0",
    ),
    "objects": (
        "probabilities",
        example("b", 1, json="[{}]"),
        "the example `b`: its `.json` must be a list of 0 and 1",
    ),
    "length": (
        "vector",
        [*example("b", 1, json="[1, 2]"), *example("c", 1, json="[1]")],
        "the example `c`: its list of labels has another length than b's",
    ),
    "no mask": ("segmentation", example("b", 1, cls="1"), "the example `b`: it has no mask"),
    "two pictures": ("classes", [*example("b", 1), ("b.jpg", b"")], "the example `b`: it has two pictures"),
    "not utf-8": ("classes", example("b", 1, cls=b"\xff"), "the example `b`: its `.cls` cannot be read"),
    "no class": ("classes", example("b", 1, cls=""), "the example `b`: unknown label ''"),
    "empty": ("classes", [("__x", "")], "the archive contains no examples"),
}


@pytest.mark.parametrize(("kind", "members", "words"), WRONG.values(), ids=WRONG)
def test_a_wrong_example_is_named(tmp_path, kind, members, words):
    path = write(tmp_path / "set" / "train.tar", *members)
    with pytest.raises(CnncError) as caught:
        load(path.parent, target=KINDS[kind])
    (found,) = caught.value.diagnostics
    assert found.code.value == "E508"
    assert found.message.startswith(f"cannot read the data {path}: {words}")


def test_names_must_be_known_and_archives_whole(shards):
    names = Labelling("classes", 2, ("cat", "bird"))
    with pytest.raises(CnncError, match=r"the example `set/000`: unknown label 'dog'"):
        load(shards, target=names)
    whole = (shards / "train-0.tar").read_bytes()
    (shards / "train-0.tar").write_bytes(b"\1" * 600)
    with pytest.raises(CnncError, match="it is not a tar archive, or damaged"):
        load(shards)
    (shards / "train-0.tar").write_bytes(whole)
    data = load(shards)
    (shards / "train-0.tar").write_bytes(whole[:1100])
    with pytest.raises(CnncError, match=r"damaged: it ends within set/000.png|damaged: unexpected end of data"):
        load(shards)
    with pytest.raises(CnncError, match="the archive is cut off"):
        data.train.picture(2)


def test_an_epoch_shuffles_within_the_buffer_and_processes_read_other_shards():
    shard = np.repeat(np.arange(32, dtype=np.int32), 25)
    order = stream_order(shard, 3, 0, 16, 40).numpy()
    assert sorted(order) == list(range(800))
    assert order.tolist() == stream_order(shard, 3, 0, 16, 40).tolist() != stream_order(shard, 3, 1, 16, 40).tolist()
    for world in (2, 4, 8):
        plan = Plan(800, 16, world=world)
        shares = [
            {
                int(shard[order[i]])
                for step in plan.from_step(0)
                for batch in step
                for i in _places(plan.share(batch, rank))
            }
            for rank in range(world)
        ]
        assert sum(map(len, shares)) == 32, "no shard has two readers"
    lane = order.reshape(-1, LANES, 2)[:, 0].reshape(-1)
    opened = [int(each) for each in dict.fromkeys(shard[lane])]
    assert all(abs(opened.index(shard[each]) * 25 + each % 25 - place) < 40 for place, each in enumerate(lane))


@pytest.mark.parametrize(("count", "batch"), [(1, 4), (7, 3), (103, 10), (64, 100)])
def test_an_epoch_of_any_length_is_a_permutation(count, batch):
    shard = np.sort(np.random.default_rng(0).integers(0, 3, count)).astype(np.int32)
    assert sorted(stream_order(shard, 1, 2, batch, 5).tolist()) == list(range(count))


def _places(share: Range):
    return range(share.start, share.stop)


def test_archives_are_tests_by_the_beginning_of_their_names(tmp_path):
    for name in ("train000", "test000", "tests-of-glass", "part000"):
        (tmp_path / f"{name}.tar").touch()
    train, test = find(tmp_path)
    assert ([each.stem for each in train], [each.stem for each in test]) == (["train000"], ["test000"])
    (tmp_path / "train000.tar").unlink()
    assert [each.stem for each in find(tmp_path)[0]] == ["part000", "tests-of-glass"]
