"""Whole runs with each field of the recipe: stopped anywhere they go on bit for bit, and two processes agree."""

import json
import os
import random
import signal
import subprocess
import sys

import numpy as np
import pytest
from safetensors.torch import load_file

import cnnc
from cnnc.data.frame import Frame
from cnnc.data.load import load
from cnnc.data.pack import pack
from cnnc.data.preprocess import Preprocess
from cnnc.language.recipe import Train
from cnnc.train.launch import _free_port
from cnnc.train.learner import Learner
from cnnc.train.monitor import metrics
from tests.thorough import thorough
from tests.train import two_ranks
from tests.train.conftest import spec
from tests.train.rows import ELSEWHERE, ROWS, groups
from tests.train.test_tasks import network, scenes

SILENT = {"channels_last", "best", "save_steps"}  # fields that a small run's numbers do not show
UNEQUAL = {"precision"}  # bf16 rounds too coarsely to compare
GROUPS = groups()
pytestmark = pytest.mark.usefixtures("one_thread")


def test_each_field_has_a_row():
    fields = {name: name.partition("=")[0] for name in ROWS}
    assert {*fields.values()} | ELSEWHERE == {*Train.model_fields}
    assert not {*fields.values()} & ELSEWHERE
    assert all(fields[name] in row for name, row in ROWS.items())


def outcome(run):
    """All that a run leaves: weights, records, and which epoch is the best."""
    files = [load_file(run.folder / f"{name}.safetensors") for name in ("last", "best")]
    values = [{key: value.tolist() for key, value in each.items()} for each in files]
    records = [(each.epoch, each.train_loss, each.test_loss, each.test_accuracy, each.lr) for each in run.records]
    return values, records, run.best.epoch


@pytest.fixture
def data(pictures, tmp_path):
    """The same pictures in memory and in a pack, which the groups use in turn."""
    found = load(pictures())
    pack(found, Frame(Preprocess(cnnc.load(spec()).inputs[0])), tmp_path / "pack.npz")
    return [found.source, str(tmp_path / "pack.npz")]


@pytest.mark.parametrize("group", range(len(GROUPS)))
def test_a_run_that_was_stopped_goes_on_bit_for_bit(trained, data, group, monkeypatch):
    source, given = spec(**{"epochs": 2, "seed": 3, **GROUPS[group]}), {"data": data[group % 2]}
    whole = outcome(trained(source, out="whole", **given))
    step, seen, stop = Learner.step, [], random.Random(group).randrange(1, 8)

    def stopping(*arguments):
        seen.append(1)
        if len(seen) == stop:
            signal.raise_signal(signal.SIGTERM)
        step(*arguments)

    monkeypatch.setattr(Learner, "step", stopping)
    assert trained(source, out="cut", **given).signal == signal.SIGTERM
    assert outcome(trained(source, out="cut", resume=True, **given)) == whole


def test_each_field_changes_the_run(trained):
    """Otherwise its row would prove nothing."""
    plain = {n: outcome(trained(spec(epochs=n, seed=3), out=f"plain{n}", limit=32)) for n in (1, 3)}
    for name, row in ROWS.items():
        few = 1 if name in ("optimizer", "lr", "momentum", "init", "augment", "clip", "precision", "freeze") else 3
        run = trained(spec(**{"epochs": few, "seed": 3, **row}), out=name, limit=32)
        assert name in SILENT or outcome(run) != plain[few], name


def test_a_pack_trains_as_its_pictures_in_memory(trained, data):
    memory, packed = (outcome(trained(out=f"{number}", data=each)) for number, each in enumerate(data))
    assert memory == packed


@thorough
def test_two_processes_learn_as_one_does(trained, runs, tmp_path):
    (tmp_path / "runs.json").write_text(json.dumps(runs))
    port = str(_free_port())
    ranks = [start(rank, port, tmp_path) for rank in range(2)]
    alone = [trained(source, out=f"one{number}", data=data) for number, (source, data, _) in enumerate(runs)]
    assert [rank.wait(600) for rank in ranks] == [0, 0]
    for number, (one, (source, *_)) in enumerate(zip(alone, runs, strict=True)):
        two = tmp_path / f"two{number}" / "net"
        for a, b in zip(metrics.read(two), one.records, strict=False):  # rounding may end a run of `patience`
            assert (a.train, a.test) == (pytest.approx(b.train, rel=1e-4), pytest.approx(b.test, rel=1e-4)), source
        weights = load_file(two / "last.safetensors")
        for key, value in load_file(one.folder / "last.safetensors").items():
            assert (weights[key] - value).abs().max() < 1e-4, (key, source)


@pytest.fixture
def runs(data, tmp_path):
    """Specs, their data for one process, and for two: each group of fields, frozen parts, and another task.

    The statistics of batch norms differ from rank to rank, except for frozen ones.
    """
    groups = [{key: value for key, value in each.items() if key not in UNEQUAL} for each in GROUPS]
    plain = [spec(norm=False, dropout=0, **{"epochs": 2, "seed": 3, **each}) for each in groups]
    frozen = {"freeze": ["batch_norm", "conv.bias"], "lr_scale": {"conv": 0.1}, "weight_decay": 0.01, "seed": 1}
    (images, labels), (tests, answers) = scenes(43, 1), scenes(11, 2)
    masks = {"y_train": labels["segmentation"], "y_test": answers["segmentation"]}
    np.savez(tmp_path / "masks.npz", x_train=images, x_test=tests, **masks)
    segmentation = network("segmentation", batch=16, epochs=2, accumulate=2, loss="dice")
    classify = [*plain, spec(dropout=0, batch=16, **frozen)]
    return [
        *((source, data[0], data[number % 2]) for number, source in enumerate(classify)),
        (segmentation, *[str(tmp_path / "masks.npz")] * 2),
    ]


def start(rank, port, folder):
    """Start a rank of two that trains the runs in the folder."""
    alike = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "GROUP_RANK": "0", "WORLD_SIZE": "2"}
    own = {"RANK": str(rank), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "cnnc"}
    environment = {**os.environ, **alike, **own, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([sys.executable, "-m", two_ranks.__name__, str(folder)], env=environment)
