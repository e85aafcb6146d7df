"""Whole runs with each field of the recipe: stopped anywhere they go on bit for bit, and two processes agree."""

import json
import os
import random
import signal
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

import cnnc
from cnnc.data.frame import Frame
from cnnc.data.load import load
from cnnc.data.pack import pack
from cnnc.data.preprocess import Preprocess
from cnnc.language.recipe import Train
from cnnc.train.launch import _free_port
from cnnc.train.learner import Learner
from tests.train import two_ranks
from tests.train.conftest import spec
from tests.train.rows import ELSEWHERE, ROWS, groups

SILENT = {"channels_last", "best", "save_steps"}  # fields that a small run's numbers do not show
UNEQUAL = {"precision"}  # bf16 rounds too coarsely to compare
GROUPS = groups()


@pytest.fixture(autouse=True)
def one_thread():
    count = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(count)


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


def test_two_processes_learn_as_one_does(trained, data, tmp_path):
    groups = [{key: value for key, value in each.items() if key not in UNEQUAL} for each in GROUPS]
    sources = [spec(norm=False, dropout=0, **{"epochs": 2, "seed": 3, **each}) for each in groups]
    (tmp_path / "sources.json").write_text(json.dumps(sources))
    port = str(_free_port())
    ranks = [start(rank, port, tmp_path, data) for rank in range(2)]
    for number, source in enumerate(sources):
        trained(source, out=f"one{number}", data=data[0])
    assert [rank.wait(600) for rank in ranks] == [0, 0]
    for number, group in enumerate(groups):
        one, two = (load_file(tmp_path / f"{way}{number}" / "net" / "last.safetensors") for way in ("one", "two"))
        for key, value in one.items():
            assert (two[key] - value).abs().max() < 1e-4, (group, key)


def start(rank, port, folder, data):
    """Start a rank of two that trains the sources in the folder, on each of `data` in turn."""
    alike = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "GROUP_RANK": "0", "WORLD_SIZE": "2"}
    own = {"RANK": str(rank), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "cnnc"}
    environment = {**os.environ, **alike, **own, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([sys.executable, "-m", two_ranks.__name__, str(folder), *data], env=environment)
