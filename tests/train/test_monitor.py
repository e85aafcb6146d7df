"""What a training leaves behind while it runs: lines, metrics, events, curves; each epoch once, even when resumed."""

import io
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from cnnc.diagnostics import CnncError
from cnnc.train.monitor import Watcher, curves, live, metrics
from cnnc.train.monitor.console import Bar, Lines, bar, display, summary
from cnnc.train.monitor.draw_curves import draw
from cnnc.train.monitor.metrics import EpochRecord
from cnnc.train.monitor.pace import Pace, seconds
from cnnc.train.report import page
from cnnc.train.run_file import RUN, write_run

ROOT = Path(__file__).parents[2]
LINES = pytest.mark.usefixtures("no_curves")


@pytest.fixture(autouse=True)
def begun(tmp_path):
    """The summary that a run begins with: without it, there is no report."""
    write_run(tmp_path / RUN, {"name": "net", "recipe": {"epochs": 10}, "epochs_done": 10, "best": None})


def record(epoch, **changed):
    known = {"train_loss": 2 / epoch, "train_accuracy": 1 - 1 / (epoch + 1), "test_loss": 0.5, "test_accuracy": 0.25}
    rest = {"lr": 0.1, "seconds": 2.5, "examples_per_second": 48210.4}
    return EpochRecord.of_json({"epoch": epoch, **known, **rest, **changed})


def run(folder, epochs, upto, earlier=()):
    """A session that trains up to epoch `upto`; what it printed."""
    stream = io.StringIO()
    with Watcher(folder, Lines(stream)) as watcher:
        watcher.on_start(epochs, 4, 64, earlier)
        for epoch in range(len(earlier) + 1, upto + 1):
            for step in range(1, 5):
                watcher.on_batch(step)
            watcher.on_epoch(record(epoch))
    return stream.getvalue().splitlines()


def epochs_in_metrics(folder):
    return [json.loads(line)["epoch"] for line in (folder / metrics.NAME).read_text().splitlines()]


def points(folder, tag="loss/train"):
    """The epochs that TensorBoard shows for a number, once it has read all files of a run."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return [each.step for each in events.Scalars(tag)]


@LINES
def test_an_epoch_is_a_line_when_nobody_looks(tmp_path):
    lines = run(tmp_path, epochs=10, upto=2)
    assert len(lines) == 2
    assert lines[1].startswith("epoch  2/10  loss 1.000  train acc 0.667  test acc 0.250  48,210 examples/s  2.5 s  ")
    assert lines[1].endswith(" left")


@LINES
def test_the_last_epoch_has_no_time_left_and_a_run_without_test_no_test_accuracy(tmp_path):
    stream = io.StringIO()
    with Watcher(tmp_path, Lines(stream)) as watcher:
        watcher.on_start(1, 1, 1)
        watcher.on_epoch(record(1, test_loss=None, test_accuracy=None))
    assert stream.getvalue() == "epoch 1/1  loss 2.000  train acc 0.500  48,210 examples/s  2.5 s\n"
    assert json.loads((tmp_path / metrics.NAME).read_text())["test_accuracy"] is None


@LINES
def test_metrics_hold_the_records(tmp_path):
    run(tmp_path, epochs=3, upto=3)
    lines = (tmp_path / metrics.NAME).read_text().splitlines()
    assert [json.loads(line) for line in lines] == [record(epoch).as_json() for epoch in (1, 2, 3)]
    assert metrics.read(tmp_path) == (record(1), record(2), record(3))
    assert metrics.read(tmp_path, until=2) == (record(1), record(2))


@LINES
def test_a_resumed_run_has_each_epoch_once(tmp_path):
    """Killed behind the line of epoch 3 and before its checkpoint: the run goes on from epoch 2."""
    run(tmp_path, epochs=4, upto=3)
    time.sleep(1.01)  # TensorBoard's file names count in seconds
    run(tmp_path, epochs=4, upto=4, earlier=metrics.read(tmp_path, until=2))
    assert epochs_in_metrics(tmp_path) == [1, 2, 3, 4]
    assert points(tmp_path) == [1, 2, 3, 4]


def test_metrics_that_are_not_ours_are_a_diagnostic(tmp_path):
    (tmp_path / metrics.NAME).write_text('{"epoch": 1}\n')
    with pytest.raises(CnncError, match="E512"):
        metrics.read(tmp_path)
    assert metrics.read(tmp_path / "nowhere") == ()


@LINES
def test_tensorboard_gets_every_number(tmp_path):
    run(tmp_path, epochs=2, upto=2)
    tags = ("loss/train", "loss/test", "accuracy/train", "accuracy/test", "learning_rate", "examples_per_second")
    assert [points(tmp_path, tag) for tag in tags] == [[1, 2]] * len(tags)


def test_the_curves_are_drawn_while_the_training_goes_on(tmp_path):
    with Watcher(tmp_path, Lines(io.StringIO())) as watcher:
        watcher.on_start(5, 4, 64)
        watcher.on_epoch(record(1))
        deadline = time.monotonic() + 60
        while not (tmp_path / curves.NAME).exists():
            assert time.monotonic() < deadline, "no curves were drawn"
            time.sleep(0.05)
        first = (tmp_path / curves.NAME).read_bytes()
        watcher.on_epoch(record(2))
    assert (tmp_path / curves.NAME).read_bytes() == draw([record(1), record(2)], 5) != first
    names = {each.name.split(".")[0] for each in tmp_path.iterdir()}
    assert names == {"curves", "events", "metrics", "report", "run"}


@pytest.mark.parametrize(("blocked", "drawn"), [(curves.NAME, page.NAME), (page.NAME, curves.NAME)])
def test_a_drawing_that_cannot_be_written_ends_neither_a_training_nor_the_other_drawing(tmp_path, blocked, drawn):
    (tmp_path / blocked).mkdir()
    lines = run(tmp_path, epochs=2, upto=2)
    assert epochs_in_metrics(tmp_path) == [1, 2]
    assert len(lines) == 3
    assert lines[-1].startswith("note: ")
    assert f"{blocked}: it is a folder" in lines[-1]
    assert (tmp_path / drawn).is_file()


def test_a_report_that_fails_is_named_once(tmp_path):
    (tmp_path / RUN).write_text("{")
    *lines, last = run(tmp_path, epochs=2, upto=2)
    assert len(lines) == 2
    assert "report.html is not up to date: cannot read" in last
    assert "run.json: it is damaged or was changed" in last


def test_the_process_that_draws_ends_when_the_training_is_killed(tmp_path):
    script = (
        "import os, sys, time, pathlib\nfrom cnnc.train.monitor.curves import Curves\n"
        "curves = Curves(pathlib.Path(sys.argv[1]), 3)\nprint(curves._process.pid, flush=True)\ntime.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as training:
        assert training.stdout is not None
        child = int(training.stdout.readline())
        training.kill()
    deadline = time.monotonic() + 30
    while _alive(child):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _alive(pid):
    """Whether a process runs; one that has ended and waits for its new parent to notice does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_drawing_takes_several_waiting_records_at_once_and_one_epoch_alone():
    for records, epochs in (([record(1)], 1), ([record(epoch) for epoch in range(1, 101)], 100)):
        with Image.open(io.BytesIO(draw(records, epochs))) as picture:
            assert picture.format == "PNG"
            assert picture.width > picture.height > 300


def test_nothing_heavy_is_loaded_into_the_training():
    code = (
        "import sys, cnnc.train.monitor, cnnc.train.monitor.draw_curves\n"  # its own process, which must be cheap
        "print(*{'matplotlib', 'tensorboard', 'torch', 'rich', 'numpy', 'pydantic', 'networkx'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == ""


def shown(pace, width):
    console = Console(file=io.StringIO(), width=width, force_terminal=True, _environ={"TERM": "xterm"})
    console.print(bar(pace, width))
    return re.sub(r"\x1b\[[0-9;]*m", "", console.file.getvalue()).rstrip("\n")


def test_the_bar_shows_the_epoch_the_last_numbers_and_the_time_left():
    pace = Pace(10, 100, 6400, started=time.monotonic() - 10)
    pace.end_epoch(record(1))
    pace.step = 100
    line = shown(pace, 110)
    assert line.startswith("epoch  2/10  ━")
    assert "loss 2.000  train acc 0.500  test acc 0.250  testing  40 s left" in line


def test_a_narrow_bar_leaves_out_the_numbers_first():
    pace = Pace(10, 100, 6400, last=record(1))
    wide, narrow = shown(pace, 120), shown(pace, 62)
    assert "loss 2.000" in wide
    assert "loss" not in narrow
    assert "…" not in narrow
    assert "48,210 examples/s" in narrow
    assert len(narrow) <= 62


def test_the_pace_knows_nothing_before_the_first_steps():
    pace = Pace(3, 10, 100)
    assert pace.left() is None
    assert pace.examples_per_second() is None
    assert shown(pace, 100).endswith("– left")


def test_a_resumed_pace_counts_its_own_time_alone():
    pace = Pace(10, 10, 100, first=9, last=record(8), started=time.monotonic() - 6)
    assert pace.epoch == 9
    assert pace.left() is None
    pace.end_epoch(record(9))
    assert pace.left() == pytest.approx(6, abs=1)


def test_a_pace_that_resumes_within_an_epoch_counts_the_time_before():
    now = time.monotonic()
    pace = Pace(3, 10, 100, started=now - 1, epoch_started=now - 1)
    pace.resume_epoch(8, 39.0)
    assert pace.examples_per_second() == pytest.approx(2, abs=0.1)
    pace.step = 10
    pace.end_epoch(record(1))
    assert pace.left() == pytest.approx(80, abs=1)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.123, "0.12 s"), (3.14, "3.1 s"), (42, "42 s"), (59.7, "1:00"), (185, "3:05"), (3723, "1:02:03")],
)
def test_durations(value, text):
    assert seconds(value) == text


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_a_bar_and_a_dumb_one_or_a_pipe_lines(monkeypatch):
    assert isinstance(display(io.StringIO()), Lines)
    assert isinstance(display(Terminal()), Lines)  # TERM is dumb in tests
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(display(Terminal()), Bar)


@LINES
def test_lines_stay_above_the_bar(tmp_path, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with Watcher(tmp_path, display(stream)) as watcher:
        watcher.on_start(2, 4, 64)
        watcher.on_epoch(record(1))
        watcher.on_batch(2)
        watcher.say("[red]said[/red] as it is")
    watcher.close()
    text = stream.getvalue()
    assert "epoch 1/2  loss 2.000" in text
    assert "━" in text
    assert "[red]said[/red] as it is" in text


@LINES
def test_live_curves_stand_above_the_bar_and_stay_at_the_end(tmp_path, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    assert isinstance(display(io.StringIO(), live=True), Lines)
    with Watcher(tmp_path, display(stream, live=True)) as watcher:
        watcher.on_start(3, 4, 64)
        watcher.on_epoch(record(1))
        watcher.on_epoch(record(2))
    shown = stream.getvalue()
    watcher.close()
    assert stream.getvalue() == shown
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue())
    last = text[text.rindex("train 1.000") :]
    assert "(loss)" in last
    assert "(accuracy)" in last
    assert re.search("[\u2801-\u28ff]", last)
    assert "━" not in last


def test_live_curves_fit_the_terminal_and_the_records():
    alone = [record(1, test_loss=None, test_accuracy=None)]
    for records, width in (([record(each) for each in range(1, 50)], 120), (alone, 60), (alone, 20)):
        console = Console(file=io.StringIO(), width=max(width, 50))
        console.print(live.curves(records, 100, width))
        lines = console.file.getvalue().splitlines()
        assert max(map(len, lines)) <= max(width, 50)
        assert sum("(loss)" in line for line in lines) == 1
        assert len(lines) == (15 if width == 120 else 30)


def test_the_summary_says_what_to_type_next(tmp_path):
    text = summary("my spec.yaml", Path("runs/x/best.safetensors"), record(2), record(3), 12345.6, 1_234_000_000)
    assert text.splitlines() == [
        "best  test acc 0.2500 in epoch 2",
        "last  test acc 0.2500 in epoch 3",
        "12,346 examples/s, at most 1.2 GB of memory",
        "next: cnnc build 'my spec.yaml' --weights runs/x/best.safetensors",
    ]
    untested = record(2, test_loss=None, test_accuracy=None)
    assert "best  train acc 0.6667 in epoch 2" in summary("s", tmp_path, untested, untested, 1, 1)


def test_the_next_command_has_the_parameters_of_the_run():
    text = summary("s.yaml", Path("w"), record(2), record(3), 1, 1, ["classes=2", "wide=true"])
    assert text.endswith("next: cnnc build s.yaml --set classes=2 --set wide=true --weights w")
