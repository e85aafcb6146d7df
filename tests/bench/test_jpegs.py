"""The measuring of training on JPEGs: both sides train on what is drawn, and the CPU time of all processes counts."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.jpegs import cpu_of_all, draw, ours, theirs

BUSY = "import time\nwhile time.process_time() < 0.5: pass\nprint(flush=True)\ninput()"


def test_both_train_on_what_is_drawn(tmp_path, capsys):
    draw(tmp_path / "photographs", 20)
    for side in (ours, theirs):
        seconds, cpu = side(tmp_path / "photographs")()
        assert seconds > 0
        assert cpu > 0
    assert "epoch 2/2" in capsys.readouterr().out


@pytest.mark.skipif(not Path("/proc").exists(), reason="finds the processes in /proc")
def test_the_cpu_time_of_processes_that_run_counts():
    before = cpu_of_all()
    with subprocess.Popen([sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"\n"
        assert cpu_of_all() - before > 0.45
        other.communicate(b"\n")
