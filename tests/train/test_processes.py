"""Runs as commands: killed at any moment, by several processes, and on to an ONNX file."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image
from safetensors.torch import load_file

from cnnc.train import launch
from cnnc.train.devices import SILENT_FAILURE
from cnnc.train.monitor import tested
from tests.command import run_command
from tests.thorough import rows, thorough
from tests.train.conftest import draw, spec

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


@pytest.fixture
def words(tmp_path, pictures):
    """The words of `cnnc train` on a spec without batch norm, whose statistics would differ from rank to rank."""
    squares = pictures(count=67)

    def of(out, *options, source=None, data=squares):
        path = tmp_path / "net.json"
        path.write_text(json.dumps(source or spec(norm=False, dropout=0, batch=16)))
        return list(map(str, ["train", path, "--data", data, "-o", tmp_path / out, *options]))

    return of


@pytest.fixture
def start(tmp_path, words):
    """Starts `cnnc train` in a process of its own."""
    started = []

    def begin(*given, before=(sys.executable, "-m"), alone=False, **more):
        process = subprocess.Popen(
            [*before, "cnnc", *words(*given, **more)],
            cwd=tmp_path,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=alone,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def train(words, one_thread, no_curves):
    """Runs `cnnc train` in this process, which has imported torch already."""

    def run(*given, code=0, **more):
        done = run_command(*words(*given, **more))
        assert done.exit_code == code, done.stderr
        return done.stdout + done.stderr

    return run


def finish(process, code=0):
    output, _ = process.communicate(timeout=60)
    assert process.returncode == code, output
    return output


def curve(folder):
    lines = (folder / "net" / "metrics.jsonl").read_text().splitlines()
    names = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
    return [json.loads(line)[name] for line in lines for name in names]


def wait_for(process, words):
    """Read its output up to a line that begins with `words`."""
    for line in process.stdout:
        if line.startswith(words):
            return
    raise AssertionError(f"it ended without {words!r}")


def test_a_run_that_is_killed_goes_on_bit_for_bit(start, train, tmp_path):
    lively = spec(batch=4, momentum=0.9, augment=["crop"])
    cut = start("cut", "--epochs", "20", source=lively)
    wait_for(cut, "epoch  3/20")
    time.sleep(0.05)
    cut.kill()
    cut.wait()
    train("whole", "--epochs", "20", source=lively)
    output = train("cut", "--resume", source=lively)
    assert "epoch 20/20" in output
    assert "epoch  2/20" not in output
    weights = [(tmp_path / out / "net" / "last.safetensors").read_bytes() for out in ("whole", "cut")]
    assert weights[0] == weights[1]
    assert curve(tmp_path / "whole") == curve(tmp_path / "cut")


def test_ctrl_c_keeps_the_step_and_says_how_to_go_on(train, stop_at):
    stop_at(12, signal.SIGINT)  # of 5 steps an epoch
    output = train("cut", code=130)
    assert "--resume" in output.splitlines()[-1]
    assert "epoch 2/3" in output
    output = train("cut", "--resume")
    assert "epoch 2/3" not in output
    assert "epoch 3/3" in output


@pytest.mark.parametrize("how", [pytest.param("devices", marks=thorough), "torchrun"])
def test_two_processes_learn_as_one_does(start, train, tmp_path, how):
    # 67 examples in batches of 16 and a last one of 3, of which the ranks have 2 and 1
    if how == "devices":
        train("one")
        output = finish(start("two", "--devices", "2"))
    else:  # of files, which each rank reads with workers of its own
        files = save_files(tmp_path / "files", 66)
        train("one", data=files, source=spec(norm=False, dropout=0, workers=0))
        torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")
        output = finish(start("two", before=torchrun, data=files, source=spec(norm=False, dropout=0)))
    assert output.count("epoch 3/3") == 1
    assert curve(tmp_path / "two") == pytest.approx(curve(tmp_path / "one"), rel=1e-4)
    tests = [tested.read(tmp_path / out / "net") for out in ("one", "two")]
    assert tests[0].matrix == tests[1].matrix
    assert [each.name for each in tests[0].worst] == [each.name for each in tests[1].worst]
    one, two = (load_file(tmp_path / out / "net" / "last.safetensors") for out in ("one", "two"))
    for key, value in one.items():
        assert (two[key] - value).abs().max() < 1e-4


def save_files(folder, count):
    """The pictures of `draw` as files, in a folder a class; as one has another size, workers read them all along."""
    for part, seed in (("train", 1), ("test", 2)):
        for at, (image, label) in enumerate(zip(*draw(count, seed), strict=True)):
            path = folder / part / str(label) / f"{at}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[:, :, 0]).save(path)
    Image.new("L", (14, 14)).save(folder / "train" / "0" / "other.png")
    return folder


@thorough
def test_files_are_read_by_workers_whom_neither_threads_nor_an_interrupt_hang(start, train, tmp_path):
    lively = spec(norm=False, dropout=0, batch=8, augment=["crop"], seed=3)
    files = save_files(tmp_path / "files", 24)
    train("one", source={**lively, "train": {**lively["train"], "workers": 0}}, data=files)
    assert curve(tmp_path / "one")[-4] < curve(tmp_path / "one")[0]

    cut = start("cut", "--epochs", "500", source=lively, data=files, alone=True)
    wait_for(cut, "epoch   2/500")
    os.killpg(cut.pid, signal.SIGINT)  # as a terminal does: the workers get it too
    output = finish(cut, 130)
    assert "--resume" in output.splitlines()[-1]
    assert "Traceback" not in output
    assert curve(tmp_path / "cut")[:4] == curve(tmp_path / "one")[:4]


@thorough
@pytest.mark.skipif(not Path("/proc").exists(), reason="finds the processes of a run in /proc")
@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_dies_ends_the_run_with_one_message(start, train, rank):
    run = start("two", "--devices", "2", "--epochs", "5000")
    wait_for(run, "epoch    2/5000")
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    os.kill(int(children[rank]), signal.SIGKILL)
    output = finish(run, 1)
    assert output.count("error[E515]") == 1
    assert "Traceback" not in output
    assert not any(Path(f"/proc/{child}").exists() for child in children)
    assert "epoch 1/3" not in train("two", "--resume", "--epochs", "3")  # on one device, which is as good


@pytest.mark.parametrize("speaker", [0, 1])
def test_what_the_rank_says_that_failed_is_shown(monkeypatch, capfdbinary, speaker):
    def rank(arguments, number, count, port, output):
        code = 1 if number == speaker else SILENT_FAILURE
        program = f"import sys; print('why' * {code == 1}); sys.exit({code})"
        return subprocess.Popen([sys.executable, "-c", program], stdout=output, stderr=output)

    monkeypatch.setattr(launch, "_start", rank)
    assert launch.launch([], 2) == 1
    shown = capfdbinary.readouterr()
    assert (shown.out + shown.err).split() == [b"why"]


def descendants(process):
    """The processes below one, those that read pictures last."""
    path = Path(f"/proc/{process}/task/{process}/children")
    children = list(map(int, path.read_text().split())) if path.exists() else []
    return [*children, *(below for child in children for below in descendants(child))]


def is_alive(process):
    try:
        return ") Z " not in Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc").exists(), reason="finds the processes of a run in /proc")
@pytest.mark.parametrize(
    ("whom", "number", "code"),
    rows(
        [("a reader", signal.SIGKILL, 1), ("the run", signal.SIGKILL, -9), ("all of them", signal.SIGTERM, 143)],
        quick=[("all of them", signal.SIGTERM, 143)],
    ),
)
def test_nobody_is_left_or_says_a_word_when_one_is_killed(start, tmp_path, whom, number, code):
    files = save_files(tmp_path / "files", 24)
    run = start("cut", "--epochs", "500", source=spec(norm=False, dropout=0, batch=8), data=files, alone=True)
    wait_for(run, "epoch   1/500")
    while not (found := descendants(run.pid)) or "forkserver" not in cmdline(found[-1]):
        time.sleep(0.01)
    if whom == "all of them":
        os.killpg(run.pid, number)
    elif whom == "the run":
        os.kill(run.pid, number)
    else:
        kill_readers(run)
    output = finish(run, code)
    assert "Traceback" not in output
    assert "resource_tracker" not in output
    assert output.count("error[E515]: a worker process that reads pictures") == (whom == "a reader")
    assert ("--resume" in output) == (whom != "the run")
    until = time.monotonic() + 20
    while any(map(is_alive, found)):
        assert time.monotonic() < until, [cmdline(each) for each in found if is_alive(each)]
        time.sleep(0.01)


def kill_readers(run):
    """Kill readers of a run until it ends: one that has read its last picture of the epoch is not missed."""
    for _ in range(20):
        readers = [each for each in descendants(run.pid) if "forkserver" in cmdline(each)]
        for reader in readers[-1:]:
            with suppress(ProcessLookupError):
                os.kill(reader, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            run.wait(2)
            return


def cmdline(process):
    try:
        return Path(f"/proc/{process}/cmdline").read_text()
    except OSError:
        return ""


def test_what_was_trained_becomes_an_onnx_file_that_knows_its_classes(train, tmp_path):
    data = dict(np.load(tmp_path / "squares.npz"))
    np.savez(tmp_path / "squares.npz", **data, classes=np.array(["a", "b", "c", "d"]))
    assert "next: cnnc build" in train("runs")
    weights = tmp_path / "runs" / "net" / "best.safetensors"
    done = run_command("build", "net.json", "--weights", weights, "--target", "onnx", cwd=tmp_path)
    assert done.exit_code == 0, done.stderr
    model = onnx.load(tmp_path / "build" / "net" / "net.onnx")
    about = {each.key: each.value for each in model.metadata_props}
    assert json.loads(about["cnnc.contract"])["labels"] == ["a", "b", "c", "d"]
