"""`--find-lr` and `--batch auto`, pictures that are kept in memory, and notes at the end of a run."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

import cnnc
from cnnc.cli.progress import ProgressLine
from cnnc.data.dataset import Data, DecodedSplit
from cnnc.diagnostics import Source
from cnnc.language.recipe import Train
from cnnc.text.reader import parse_text
from cnnc.train import largest_batch
from cnnc.train.cached import Cached
from cnnc.train.epoch_order import Range
from cnnc.train.monitor.metrics import EpochRecord
from cnnc.train.recipe import as_line
from cnnc.train.remarks import before, remarks
from tests.command import run_command
from tests.train.conftest import draw, spec


@pytest.fixture
def train(tmp_path, pictures, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = pictures()
    (tmp_path / "net.json").write_text(json.dumps(spec(seed=1)))
    return lambda *options: run_command("train", "net.json", "--data", data, "--device", "cpu", *options)


def test_a_rate_is_proposed_that_trains(train, tmp_path, monkeypatch):
    steps = []
    monkeypatch.setattr(ProgressLine, "add", lambda self: steps.append(1))
    done = train("--find-lr")
    assert done.exit_code == 0
    found = json.loads((tmp_path / "runs" / "net.lr.json").read_text())
    assert f"proposal: --lr {found['proposal']:g}" in done.stdout
    assert 0.003 <= found["proposal"] <= 1
    lowest = found["rates"][int(np.argmin(found["losses"]))]
    assert found["proposal"] == pytest.approx(lowest / 10, rel=0.5)
    assert found["rates"] == sorted(found["rates"])
    assert len(steps) == len(found["rates"])
    assert (tmp_path / "runs" / "net.lr.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["net.lr.json", "net.lr.png"]


def test_a_loss_that_is_not_finite_from_the_first_step_on_is_one_error(train, monkeypatch):
    monkeypatch.setattr("cnnc.train.learner.Learner.step", lambda self, *_: self.totals.fill_(float("nan")))
    done = train("--find-lr")
    assert (done.exit_code, "error[E511]: the loss is not finite in epoch 1, step 1" in done.stderr) == (1, True)


def test_the_largest_batch_fits_the_memory_and_the_data(monkeypatch, pictures):
    graph, data = cnnc.load(spec()), {"data": pictures()}
    assert largest_batch.largest_batch(graph, data, "cpu") == 64  # of 70 examples
    needed = largest_batch.memory(graph, 16).training * largest_batch.SPARE
    monkeypatch.setattr(largest_batch, "free_memory", lambda: needed)
    assert largest_batch.largest_batch(graph, data, "cpu") == 16
    monkeypatch.setattr(largest_batch, "free_memory", lambda: 10)
    with pytest.raises(cnnc.CnncError, match=r"E510.*not even one example of `net` fits the memory"):
        largest_batch.largest_batch(graph, data, "cpu")


@pytest.mark.parametrize("start", [1, 8, 64, 1024])
@pytest.mark.parametrize(("limit", "found"), [(0, 0), (1, 1), (9, 8), (64, 64), (1000, 64)])
def test_the_largest_batch_is_found_from_any_start(start, limit, found):
    tried = []
    assert largest_batch.largest(lambda batch: tried.append(batch) or batch <= limit, 100, start) == found
    assert len(tried) == len({*tried})
    assert max(tried) <= 64


class Counting:
    """A source of its own numbers, which counts what is read."""

    def __init__(self):
        self.read = []

    def __len__(self):
        return 10

    def batches(self, order, ranges):
        for each in ranges:
            part = order[each.start : each.stop]
            self.read += part.tolist()
            yield part.view(-1, 1, 1, 1).to(torch.uint8), part * 2


def test_what_was_read_is_kept():
    inner = Counting()
    cached = Cached(inner, torch.device("cpu"))
    ranges = [Range(0, 4), Range(4, 8), Range(8, 10)]
    for seed in range(3):
        order = torch.randperm(10, generator=torch.Generator().manual_seed(seed))
        taken = ranges[:2] if seed == 0 else ranges
        for part, (images, targets) in zip(taken, cached.batches(order, taken), strict=True):
            assert images.flatten().tolist() == order[part.start : part.stop].tolist()
            assert targets.tolist() == (2 * order[part.start : part.stop]).tolist()
        if seed == 1:
            inner.read.clear()
    assert inner.read == []


def test_runs_that_read_files_are_the_same_with_workers_and_with_a_cache(trained, tmp_path):
    for part in ("train", "test"):
        for number in range(12):
            path = tmp_path / "files" / part / str(number % 4) / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            shade = np.full((13 + number % 2, 13), 20 * number, np.uint8)  # two sizes: they are read all along
            Image.fromarray(shade).save(path)
    source = spec(batch=4, epochs=2, seed=1, augment=["flip", "crop"])
    source["input"] = {"image": {"shape": [1, 12, 12], "resize": [12, 12]}}
    runs = [
        trained(source, out=str(number), data=str(tmp_path / "files"), **given)
        for number, given in enumerate([{"workers": 0}, {"workers": 2}, {"workers": 0, "cache": True}])
    ]
    first, *others = ([{**each.train, **each.test} for each in run.records] for run in runs)
    assert others == [first, first]
    assert len({(run.folder / "last.safetensors").read_bytes() for run in runs}) == 1


def record(epoch, loss):
    return EpochRecord(epoch, {"loss": loss, "accuracy": 0.5}, None, 0.1, 1.0, 1.0)


def split(*labels):
    return DecodedSplit(np.zeros((len(labels), 1, 1, 1), np.uint8), np.array(labels))


@pytest.mark.parametrize(
    ("losses", "test", "tested", "says"),
    [
        ([1.0, 0.5], split(0, 1, 2), [1, 1, 1, 1, 1, 1, 1, 1, 1], []),
        ([1.0, 0.01, 0.5], split(0, 1, 2), [1, 1, 1, 1, 1, 1, 1, 1, 1], []),
        ([1.0, 0.1, 1.2], split(0, 1, 2), [1, 1, 1, 1, 1, 1, 1, 1, 1], ["its last loss is 1.2, and a guess has 1.1"]),
        ([9.0], split(0, 1, 2), [1, 1, 1, 1, 1, 1, 1, 1, 1], ["its last loss is 9, and a guess has 1.1"]),
        ([1.0], None, [], []),
        ([1.0], split(0, 0, 1), [2, 0, 0, 2, 1, 0, 3, 0, 0], ["predicts `a` for all pictures", "1 class, so the"]),
        ([1.0], split(0, 0), [2, 0, 0, 2, 0, 0, 2, 0, 0], ["no pictures of 2 classes, so the scores"]),
    ],
)
def test_a_run_that_cannot_be_trusted_is_noted(losses, test, tested, says):
    data = Data("d", split(0, 1, 2), test, ("a", "b", "c"), "d", "")
    records = [record(epoch, loss) for epoch, loss in enumerate(losses, start=1)]
    found = [*remarks(records, data, "classes", tested)]
    assert len(found) == len(says), found
    assert all(words in note for words, note in zip(says, found, strict=True))


@pytest.mark.parametrize(
    ("recipe", "test", "tuned", "says"),
    [
        ({}, split(0), False, []),
        ({}, None, False, ["no part of the data is held out"]),
        ({"lr": 0.1}, split(0), True, []),
        ({}, split(0), True, ["`lr` is the default, 0.1: fine-tuning usually takes less"]),
    ],
)
def test_what_a_run_lacks_is_said_before_it(recipe, test, tuned, says):
    data = Data("d", split(0), test, None, "d", "")
    found = [*before(Train(**recipe), data, tuned=tuned)]
    assert len(found) == len(says), found
    assert all(words in note for words, note in zip(says, found, strict=True))


def test_a_run_says_what_it_lacks_before_its_first_epoch(trained, tmp_path, monkeypatch):
    images, labels = draw(16, 1)
    np.savez(tmp_path / "all.npz", x_train=images, y_train=labels)
    early = []
    monkeypatch.setattr("cnnc.train.loop.Loop.run", lambda self, generators: early.extend(trained.said) or 0)
    trained(data=str(tmp_path / "all.npz"))
    assert [note for note in early if "held out" in note]


@pytest.mark.parametrize(
    ("recipe", "line"),
    [
        ({}, "train: {batch: 128, epochs: 10, optimizer: sgd, lr: 0.1, schedule: constant}"),
        (
            {"data": "a, b", "momentum": 0.9, "freeze": ["*.bias", "conv*"], "lr_scale": {"fc*": 2.0}, "epochs": 1},
            'train: {data: "a, b", batch: 128, epochs: 1, optimizer: sgd, lr: 0.1, momentum: 0.9, '
            'schedule: constant, freeze: ["*.bias", conv*], lr_scale: {fc*: 2.0}}',
        ),
    ],
)
def test_the_recipe_of_a_run_is_a_line_of_a_spec(recipe, line):
    assert as_line(Train(**recipe)) == line
    assert Train(**parse_text(Source("line", line)).plain()["train"]) == Train(**recipe)
