"""The line that shows progress: what it holds, and where it is shown."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from cnnc.cli import progress
from cnnc.cli.progress import ProgressLine
from tests.onnx_files import contract, linear

ROOT = Path(__file__).parents[2]


def line(done, of, seconds):
    shown = ProgressLine("pictures", shown=False)
    shown._start, shown._done, shown._of = 100.0, done, of
    return shown.line(100 + seconds)


@pytest.mark.parametrize(
    ("done", "of", "seconds", "expected"),
    [
        (1, 0, 2, "1 pictures, 0.5/s"),
        (12000, 0, 10, "12,000 pictures, 1,200/s"),
        (50, 100, 10, "━━━━━━━━━━━━──────────── 50 of 100 pictures, 5.0/s, 0:10 left"),
        (1, 4001, 2, "──────────────────────── 1 of 4,001 pictures, 0.5/s, 2:13:20 left"),
        (102, 100, 51, "━━━━━━━━━━━━━━━━━━━━━━━━ 102 of 100 pictures, 2.0/s, 0:00 left"),
    ],
)
def test_the_line(done, of, seconds, expected):
    assert line(done, of, seconds) == expected


@pytest.fixture
def words(save, tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(40):
        Image.new("L", (2, 2), number).save(folder / f"{number}.png")
    (folder / "7.png").write_bytes(b"no picture")
    return [sys.executable, "-m", "cnnc", "infer", save(linear(), contract()), folder, "--provider", "cpu"]


def on_a_terminal(words, *, out=None):
    """What a command writes to the terminal that is its standard error, and its standard output unless `out`."""
    import pty

    here, there = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(words, stdin=there, stdout=there if out is None else out, stderr=there, env=environment):
        os.close(there)
        text = b""
        while True:
            try:
                text += os.read(here, 1 << 16)
            except OSError:  # the end, on Linux
                break
    os.close(here)
    return text.decode()


@pytest.mark.skipif(sys.platform != "linux", reason="opens a terminal")
def test_a_terminal_shows_progress_where_no_results_go(words, tmp_path):
    text = on_a_terminal([*words, "-o", tmp_path / "r.json"])
    assert "pictures, " in text
    assert "/s" in text
    last = text.rpartition("\x1b[K")[2]
    assert last == f"{tmp_path / 'r.json'}: 40 pictures, 1 failed\r\n"
    assert "\r\x1b[Kerror[E503]" in text or "error[E503]" not in text.partition("pictures, ")[2]
    with (tmp_path / "r.txt").open("w") as out:
        assert "/s" in on_a_terminal(words, out=out)


@pytest.mark.skipif(sys.platform != "linux", reason="opens a terminal")
def test_results_on_the_terminal_are_progress_enough(words):
    text = on_a_terminal(words)
    assert "\x1b[K" not in text
    assert text.count("(cpu, ") == 39


def test_without_a_terminal_there_is_none(capsys):
    with ProgressLine("pictures") as shown:
        shown.add()
        shown.clear()
    assert capsys.readouterr() == ("", "")


def test_the_number_of_all_is_counted_meanwhile(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(progress, "EVERY", 0)
    with ProgressLine("pictures", lambda: 8) as shown:
        while not shown._of:
            pass
        shown.add()
    assert "1 of 8 pictures" in capsys.readouterr().err
