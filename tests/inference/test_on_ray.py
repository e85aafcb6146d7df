"""A Ray cluster gives the results that this machine gives, also if a process of it dies. Needs the extra `ray`."""

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnc.inference.on_ray import SHARE, RayJob, infer_on_ray
from cnnc.inference.predict import infer_many, load_model
from cnnc.inference.results import Failed
from tests.command import run_command
from tests.onnx_files import contract, means

ray = pytest.importorskip("ray")

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc"),
    pytest.mark.filterwarnings("ignore"),  # of Ray itself
]
COUNT = 5 * SHARE + 7


@pytest.fixture(scope="module")
def cluster():
    """A cluster of two cores, whatever this machine has; its processes import what this one does."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0"}
    folders = os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")]))
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": folders}},
    )
    yield
    ray.shutdown()


@pytest.fixture
def folder(tmp_path):
    """Pictures that take some time to decode, of two kinds, and one that is broken."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(2):
        Image.fromarray(random.integers(0, 256, (1200, 1600, 3), np.uint8)).save(folder / f"{number:03}.png")
    for number in range(2, COUNT):
        os.link(folder / f"{number % 2:03}.png", folder / f"{number:03}.png")
    (folder / "040.png").unlink()
    (folder / "040.png").write_bytes(b"no picture")
    return folder


@pytest.fixture
def model(save):
    return save(means(), contract(shape=(3, None, None), mode="rgb", labels=None))


def essence(results):
    return [{**each.as_json(), "milliseconds": None} for each in results]


def actors():
    """The processes of this test's cluster that hold a model."""
    parents, names = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            names[int(folder.name)] = (folder / "cmdline").read_bytes()
            parents[int(folder.name)] = int(status(folder)[1])
    own = [number for number, parent in parents.items() if parents.get(parent) == os.getpid()]  # of our raylet
    return [number for number in own if b"MapWorker" in names[number]]


def busiest(processes):
    """The process that works most now; it has a share of the pictures."""
    before = {each: cpu_time(each) for each in processes}
    time.sleep(0.5)
    spent = {each: cpu_time(each) - before[each] for each in processes}
    most = max(spent, key=spent.__getitem__)
    assert spent[most] > 0, "all results were there before one was killed"
    return most


def cpu_time(process):
    """Ticks of a process, in user mode."""
    return int(status(Path(f"/proc/{process}"))[11])


def status(folder):
    """The fields of a process after its name: its state, its parent …"""
    return (folder / "stat").read_text().rpartition(")")[2].split()


def test_results_are_those_of_this_machine_also_if_an_actor_is_killed(cluster, model, folder):
    with load_model(model, "cpu", threads=1) as local:
        expected = essence(infer_many(local, [folder], 3))
    paths = sorted(map(str, folder.iterdir()))
    job = RayJob(str(model), {"provider": "cpu", "threads": 1}, 3)
    results = infer_on_ray(job, paths, workers=2)
    first = next(results)
    os.kill(busiest(actors()), signal.SIGKILL)
    rest = [*results]
    assert essence([first, *rest]) == expected
    assert [each.image for each in rest if isinstance(each, Failed)] == [str(folder / "040.png")]


def test_the_command_is_the_same(cluster, model, folder, tmp_path):
    words = ("infer", model, folder, "--provider", "cpu", "--top", 2)
    for engine in ("local", "ray"):
        done = run_command(*words, "--engine", engine, "-o", tmp_path / f"{engine}.csv", "--workers", 2)
        assert done.exit_code == 1
        assert done.stderr.endswith(f"{engine}.csv: {COUNT} pictures, 1 failed\n")
    local, by_ray = ((tmp_path / f"{engine}.csv").read_text().splitlines() for engine in ("local", "ray"))
    place = local[0].split(",").index("milliseconds")
    without_time = [[row.split(",")[:place] for row in rows] for rows in (local, by_ray)]
    assert without_time[0] == without_time[1]


def test_no_pictures_need_no_actors(cluster, model):
    start = time.monotonic()
    assert [*infer_on_ray(RayJob(str(model)), [])] == []
    assert time.monotonic() - start < 5
