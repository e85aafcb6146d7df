"""A run has its folder for itself from the start, and says what to do if the memory does not suffice."""

import pytest
import torch

from cnnc.diagnostics import CnncError
from cnnc.train import setup
from cnnc.train.learner import Learner
from cnnc.train.running import is_running
from tests.train.conftest import spec


def test_the_folder_is_locked_while_the_data_is_loaded(trained, tmp_path, monkeypatch):
    locked, load = [], setup.load

    def watched(*arguments, **options):
        locked.append(is_running(tmp_path / "runs" / "net"))
        return load(*arguments, **options)

    monkeypatch.setattr(setup, "load", watched)
    for _ in range(2):  # the second sets the folder of the first aside
        trained(epochs=1)
    assert locked == [True, True]
    assert not is_running(tmp_path / "runs" / "net")
    assert sorted(each.name for each in (tmp_path / "runs").iterdir()) == ["net", "net.1"]


def failing(error):
    def fail(*_):
        raise error

    return fail


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize(
    "fail",
    [
        lambda *_: torch.empty(1 << 50),  # more than the system gives
        failing(torch.OutOfMemoryError("CUDA out of memory.")),
        failing(RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)")),
        failing(MemoryError()),
    ],
)
def test_a_run_without_enough_memory_says_what_takes_less(trained, monkeypatch, fail, recompute):
    source = spec()
    source["nodes"] = [{"group": {"name": "all", "nodes": source["nodes"]}}]
    monkeypatch.setattr(Learner, "step", fail)
    with pytest.raises(CnncError, match=r"E519.*the memory does not suffice to train with `batch: 16`") as caught:
        trained(source, recompute=recompute)
    help = caught.value.diagnostics[0].help
    assert "`--batch auto`" in help
    assert ("`--recompute`" in help) is not recompute


def test_other_errors_are_not_about_memory(trained, monkeypatch):
    monkeypatch.setattr(Learner, "step", failing(RuntimeError("no kernel")))
    with pytest.raises(RuntimeError, match="no kernel"):
        trained()
