"""Sweeps: a run for each combination, which go on where they were stopped, and a table with the best first."""

import json
import signal

import pytest

from cnnc.train import run
from cnnc.train.learner import Learner
from tests.command import run_command
from tests.train.conftest import Quiet, spec


@pytest.fixture
def sweep(tmp_path, pictures, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "Watcher", Quiet)
    source = spec(norm=False, dropout=0.2, epochs=2, seed=3)
    source["params"] = {"width": 4}
    source["nodes"][0]["conv"]["out"] = "$width"
    (tmp_path / "net.json").write_text(json.dumps(source))
    data = pictures()

    def go(out, *options, values=("lr=0.1,0.001", "width=2,4")):
        arguments = ["train", "net.json", "--data", data, "--device", "cpu", "--sweep", *values, "-o", out, *options]
        return run_command(*arguments)

    return go


def outcomes(folder):
    found = json.loads((folder / "net.sweep" / "results.json").read_text())["runs"]
    scores = ("epoch", "train_loss", "test_loss", "test_accuracy")
    return [(each["number"], each["values"], [each["best"][name] for name in scores]) for each in found]


def test_a_stopped_sweep_goes_on_where_it_was(sweep, tmp_path, monkeypatch):
    whole = sweep("whole")
    assert whole.exit_code == 0
    head, *rows = whole.stdout.split("\n\n")[1].splitlines()
    assert head.split() == ["lr", "width", "acc", "loss", "epoch", "folder"]
    assert [float(row.split()[2]) for row in rows] == sorted((float(row.split()[2]) for row in rows), reverse=True)
    assert len(rows) == 4
    assert rows[0].startswith("0.1 ")

    step, seen = Learner.step, []

    def stopping(*arguments):
        seen.append(1)
        if len(seen) == 17:  # of 10 steps a run
            signal.raise_signal(signal.SIGTERM)
        step(*arguments)

    with monkeypatch.context():
        monkeypatch.setattr(Learner, "step", stopping)
        cut = sweep("cut")
    monkeypatch.setattr(Learner, "step", step)
    assert cut.exit_code == 128 + signal.SIGTERM
    assert "with `--resume` continues the sweep" in cut.stderr
    assert len(outcomes(tmp_path / "cut")) == 1

    seen.clear()
    monkeypatch.setattr(Learner, "step", lambda *arguments: (seen.append(1), step(*arguments)))
    assert sweep("cut", "--resume").exit_code == 0
    assert len(seen) == 4 * 10 - 17
    assert outcomes(tmp_path / "cut") == outcomes(tmp_path / "whole")

    seen.clear()
    assert sweep("cut", "--resume").exit_code == 0
    assert seen == []
    other = sweep("cut", "--resume", values=["lr=0.5"])
    assert other.exit_code == 1
    assert "error[E512]: cannot resume the sweep in cut/net.sweep" in other.stderr
    assert "its values are lr=0.1,0.001 width=2,4" in other.stderr
    assert "is now in cut/net.sweep.1" in sweep("cut", values=["epochs=1"]).stderr


def test_a_run_that_fails_is_a_row_and_the_others_go_on(sweep):
    done = sweep("runs", "--epochs", "1", values=["lr=0.1,1e9"])
    assert done.exit_code == 0
    failed = done.stdout.splitlines()[-1]
    assert "failed" in failed
    assert failed.endswith("`lr` of the recipe must be at most 1e+06, got 1000000000.0")
    assert sweep("none", values=["lr=1e9"]).exit_code == 1
    again = sweep("none", "--resume", values=["lr=1e9"])
    assert (again.exit_code, "all runs of the sweep have failed, the last: `lr`" in again.stderr) == (1, True)


def test_lists_and_null_are_values_and_null_is_the_default(sweep, tmp_path):
    def go(*options):
        return sweep(
            "runs", "--epochs", "1", "--ema", "0.5", *options, values=["ema=0.5,null", "augment=[],[flip,crop]"]
        )

    done = go()
    assert "ema=null augment=[flip, crop]" in done.stdout
    assert sum(row.startswith("null  [flip, crop]  ") for row in done.stdout.splitlines()) == 1
    found = outcomes(tmp_path / "runs")
    assert len({str(scores) for *_, scores in found}) == 4
    assert go("--resume").exit_code == 0
    assert outcomes(tmp_path / "runs") == found


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (["lr"], "expected NAME=VALUE,VALUE with each name once, got 'lr'"),
        (["lr=1,2", "lr=3"], "expected NAME=VALUE,VALUE with each name once, got 'lr=3'"),
        (["lr=1,1"], "lr: each value may be given only once, got 1,1"),
        (["momentun=0,0.9"], "did you mean the field `momentum` of the recipe?"),
        (["widht=2,4"], "did you mean `width`?"),
        (["colour=1,2"], "choose one of `width`, or a field of the recipe (see `cnnc train --help`)"),
        (["lr= "], "expected NAME=VALUE,VALUE with each name once, got 'lr= '"),
        (["lr="], "expected NAME=VALUE,VALUE with each name once, got 'lr='"),
        (["augment=[flip"], "--sweep: augment: a ',' or a ']' is missing here"),
        (["lr_scale={fc: 2}"], "lr_scale: expected numbers, words, lists, true, false or null, got {'fc': 2}"),
    ],
)
def test_wrong_values_are_a_wrong_call(sweep, values, says):
    done = sweep("runs", values=values)
    assert (done.exit_code, says in done.stderr) == (2, True), done.stderr
