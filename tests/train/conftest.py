"""Pictures that are quick to learn, a network that is quick to train, and runs that nobody watches."""

import signal

import numpy as np
import pytest
import torch

import cnnc
from cnnc.train import monitor, run
from cnnc.train.learner import Learner
from cnnc.train.run import Silent, train

CLASSES = 4


def spec(*, norm=True, dropout=0.2, classes=CLASSES, **recipe):
    nodes = [
        {"conv": {"out": 4, "kernel": 3}},
        *([{"batch_norm": {}}] if norm else []),
        {"relu": {}},
        *([{"dropout": {"rate": dropout}}] if dropout else []),
        {"avg_pool": {"kernel": 2}},
        {"flatten": {}},
        {"linear": {"out": classes}},
    ]
    return {
        "cnnc": 1,
        "name": "net",
        "input": {"image": [1, 12, 12]},
        "nodes": nodes,
        "train": {"batch": 16, "epochs": 3, "lr": 0.1, **recipe},
    }


def draw(count, seed, channels=1):
    """Noise with a bright square, whose corner of the picture is its class."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 80, (count, 12, 12, channels), dtype=np.uint8)
    labels = np.arange(count) % CLASSES
    for image, label in zip(images, labels, strict=True):
        row, column = 6 * (label // 2), 6 * (label % 2)
        image[row + 1 : row + 5, column + 1 : column + 5] += 150
    return images, labels.astype(np.int64)


@pytest.fixture
def pictures(tmp_path):
    """Writes a data set, and gives its path."""

    def write(count=70, name="squares", channels=1, seed=1):
        images, labels = draw(count, seed, channels)
        tests, answers = draw(40, seed + 1, channels)
        path = tmp_path / f"{name}.npz"
        np.savez(path, x_train=images, y_train=labels, x_test=tests, y_test=answers)
        return str(path)

    return write


class Quiet(Silent):
    """A watcher that writes nothing, which takes no second."""

    def __init__(self, folder, show):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def on_start(self, epochs, steps, examples, earlier, begun):
        pass

    def say(self, text):
        pass


class NoCurves:
    def __init__(self, folder, epochs):
        pass

    def add(self, records):
        pass

    def close(self):
        return []


@pytest.fixture
def no_curves(monkeypatch):
    """Runs draw no curves and write no report: that takes a process of its own, and a second."""
    monkeypatch.setattr(monitor, "Curves", NoCurves)


@pytest.fixture
def trained(tmp_path, pictures, monkeypatch):
    """Trains in this process, without drawing curves; what the run remarks is in `said`."""
    monkeypatch.setattr(run, "Watcher", Quiet)
    data = pictures()

    def go(source=None, out="runs", *, resume=False, weights=None, **given):
        graph = cnnc.load(source or spec())
        given = {"data": data, **given}
        say = go.said.append
        return train(graph, given, tmp_path / out, resume=resume, weights=weights, device="cpu", say=say)

    go.said = []
    return go


@pytest.fixture
def one_thread():
    """Sums are rounded in one order: a run then equals that of a process of one thread bit for bit."""
    count = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(count)


@pytest.fixture
def stop_at(monkeypatch):
    """Sends this process a signal in the step of that number, once: a run that goes on may follow."""

    def at(count, number=signal.SIGTERM):
        step, seen = Learner.step, []

        def counted(*arguments):
            seen.append(1)
            if len(seen) == count:
                signal.raise_signal(number)
            step(*arguments)

        monkeypatch.setattr(Learner, "step", counted)

    return at
