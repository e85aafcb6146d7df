"""The measuring of training: whose turn it is, that a process which fails says why, and what the course's loop sees."""

from itertools import count

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from tests.bench.course_loop import Course, Pictures
from tests.bench.epochs import noise, ours
from tests.bench.train import alternate, trainer
from tests.thorough import thorough


def test_both_sides_take_turns_and_the_first_pair_is_dropped():
    turns, clock = [], count()

    def side(name):
        return lambda: turns.append(name) or next(clock)

    comparison = alternate(side("ours"), side("theirs"), lasting=0.0)
    assert "".join(each[0] for each in turns) == "ot" + "to" + "ot" + "to" + "ot" + "to"
    assert comparison.ours == (3, 4, 7, 8, 11)
    assert comparison.theirs == (2, 5, 6, 9, 10)


@thorough
def test_a_trainer_that_fails_says_what_it_printed(tmp_path):
    with trainer("ours", "nonet", tmp_path) as epoch, pytest.raises(RuntimeError, match="nonet"):
        epoch()


def test_the_course_sees_what_torchvision_would_give():
    images, labels = noise(3)
    picture, label = Pictures(images, labels, (3, 56, 42))[1]
    assert (picture.shape, picture.dtype, label) == ((3, 56, 42), torch.float32, labels[1])
    resized = np.asarray(Image.fromarray(images[1]).convert("RGB").resize((42, 56), Image.Resampling.BILINEAR))
    assert torch.equal(picture, torch.from_numpy(resized.copy()).permute(2, 0, 1) / 255)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_the_course_learns():
    images, labels = np.zeros((64, 28, 28), np.uint8), np.arange(64) % 2
    images[labels == 0, :14] = images[labels == 1, 14:] = 255
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(784, 2))
    course = Course(module, Pictures(images, labels, (1, 28, 28)), 32, 0.01, "cpu")
    assert all(course.epoch() > 0 for _ in range(3))
    assert module(torch.from_numpy(images[:2, None]) / 255).argmax(1).tolist() == [0, 1]


@pytest.mark.parametrize("name", ["lenet", pytest.param("resnet152", marks=thorough)])  # of 10 and of 1,000 classes
def test_ours_trains_and_says_how_long_it_took(name, tmp_path, capsys):
    assert ours(name, tmp_path, "cpu", size=(64, 32) if name == "lenet" else (8, 4))() > 0
    assert "epoch 3/3" in capsys.readouterr().out
    assert not list((tmp_path / name).glob("*.safetensors"))
