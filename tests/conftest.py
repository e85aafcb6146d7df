"""What holds for every test: steady examples, one thread a worker, one width and no colour."""

import gc
import os
import sys

import pytest
from hypothesis import settings
from onnx import helper
from PIL import Image

from cnnc.artifacts.contract import CONTRACT
from cnnc.cli import guarded
from cnnc.inference.benchmark import measure
from cnnc.train import memory
from tests.command import BenchHere, guarded_here
from tests.thorough import QUICK

# A worker of pytest-xdist is one of several: without this each would start as many threads as there are cores.
# It stands before any test imports torch, which reads it once; processes that a test starts inherit it.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"

# The same examples on every run: a red build is then about the change. `--hypothesis-profile=explore` looks further.
settings.register_profile("steady", derandomize=True, deadline=None, database=None, print_blob=True)
settings.register_profile("quick", settings.get_profile("steady"), max_examples=33)
settings.register_profile("explore", deadline=None, max_examples=1000)

# Rich and click read these: what a test sees on a terminal of any width and colour is the same.
os.environ.update(NO_COLOR="1", COLUMNS="120", TERM="dumb")

# A training in the tests' own process must not keep the memory of all tests after it: of the largest, 15 GB.
memory.keep_memory = lambda: None

# Collecting the tests makes a million objects that stay. Python would search them for garbage again and again, which
# doubles the time of the collection and takes half a second each time later. Most of what a test makes goes at once, so
# that later, too, it is enough to search seldom.
gc.disable()


def pytest_configure(config):
    settings.load_profile("quick" if config.option.markexpr == QUICK else "steady")


def pytest_collection_finish():
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    gc.enable()


def pytest_xdist_setupnodes():  # the process that starts the others collects nothing
    gc.enable()


LONGEST = (
    *(
        "tests/test_readme.py",
        "tests/mutants",
        "tests/verification/test_planted_faults.py",
        "tests/train/test_processes.py",
    ),
    *("tests/agreement/test_random_specs.py", "tests/inference/test_benchmark.py"),
)


def pytest_collection_modifyitems(items):
    """Tests that take long begin first, so that no worker is left alone with them at the end."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


@pytest.fixture(autouse=True, scope="module")
def threads_of_torch():
    """A file of tests that left torch more threads would make all after it several times as slow."""
    torch = sys.modules.get("torch")
    before = torch and torch.get_num_threads()
    yield
    assert before is None or torch.get_num_threads() == before


@pytest.fixture
def no_child(monkeypatch):
    """`verify`, `quantize` and `weights --against` run the model in this process."""
    monkeypatch.setattr(guarded, "run", guarded_here)


@pytest.fixture
def no_bench_child(monkeypatch):
    """`bench` runs the model in this process."""
    monkeypatch.setattr(measure, "start", BenchHere)


@pytest.fixture
def save(tmp_path):
    """Writes an ONNX model with what it says of itself."""

    def write(model, about=None, name="m.onnx"):
        if about is not None:
            helper.set_model_props(model, {CONTRACT: about if isinstance(about, str) else about.to_json()})
        path = tmp_path / name
        path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
        return path

    return write


@pytest.fixture
def picture(tmp_path):
    """Writes a picture of one colour."""

    def write(colour=255, size=(2, 2), mode="L", name="p.png"):
        Image.new(mode, size, colour).save(tmp_path / name)
        return tmp_path / name

    return write
