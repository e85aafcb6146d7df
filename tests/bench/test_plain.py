"""The plain loop learns and saves what it needs to go on, and the runs that are compared print when an epoch ends."""

from contextlib import redirect_stdout

import numpy as np
import pytest
import torch
from torch import nn

from tests.bench import plain
from tests.bench.measure import Comparison, Row, megabytes
from tests.bench.plain_loop import Plain


@pytest.mark.parametrize("last", [False, True])
def test_the_plain_loop_learns(tmp_path, last):
    images, labels = np.zeros((64, 28, 28), np.uint8), np.arange(64) % 2
    images[labels == 0, :14] = images[labels == 1, 14:] = 255
    np.savez(tmp_path / "d.npz", x_train=images, y_train=labels, x_test=images[:20], y_test=labels[:20])
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Flatten(), nn.Linear(16 * 16, 2))
    lines = Plain(module, tmp_path / "d.npz", 18, last, torch.float32).run(3, 16, 0.05, tmp_path)
    assert [line.partition(":")[0] for line in lines] == ["1", "2", "3"]
    assert lines[-1].endswith(", 1.000")
    saved = torch.load(tmp_path / "plain.pt", weights_only=True)
    assert saved["epoch"] == 2
    assert saved["model"]["2.weight"].equal(module[2].weight)


@pytest.mark.parametrize("train", [plain.train_ours, plain.train_plain])
def test_each_side_prints_a_line_when_its_first_epoch_has_ended(tmp_path, capsys, train):
    size = plain.Size(40, 20, 16, 2, 28, last=False)
    plain.write_data(tmp_path / "lenet_bn.npz", size)
    lines, start = plain.Lines(), plain.now()
    with redirect_stdout(lines):
        train("lenet_bn", tmp_path, size)
    assert start[0] < lines.first[0] < plain.now()[0]
    assert "loss" in lines.line
    assert (
        len([line for line in capsys.readouterr().err.splitlines() if line.startswith(("epoch ", "1: ", "2: "))]) == 2
    )


def test_a_row_of_memory_is_in_megabytes():
    row = Row("memory", Comparison((430e6,) * 5, (400e6,) * 5), 1.1, shown=megabytes)
    assert "430 MB      400 MB" in str(row)
