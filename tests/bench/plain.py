"""`cnnc train` against a plain loop in torch (`plain_loop`): wall and CPU time of an epoch, and the peak of memory.

Both train the same network on the same noise of Fashion-MNIST's shape, with the same optimizer, batch, number of steps,
precision and threads, each with new batches in every epoch, and test on the held-out part after each. Both save what
they need to go on. What a training of ours does besides is in its cost: last and best weights, hashes of all files,
`metrics.jsonl`, TensorBoard events, and the curves and the report, which a process of its own draws. The plain loop has
the memory format in which it is faster.

Every run has a process of its own. Its time is that from the line of the first epoch to the end of the run, divided by
the number of the other epochs; the CPU time includes all that the process that draws has taken, its imports too. What a
start takes is another measure (`first`). The memory is the peak of the training process, from its start on.

`python -m tests.bench.plain ours|plain NETWORK FOLDER`: one run, whose seconds (wall and CPU) and bytes go to stdout.
"""

import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from importlib import import_module
from io import StringIO
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from tests.bench.measure import ROOT, Comparison, Row, megabytes

LEAST_PAIRS = 5
MEMORY = 1.1


class Size(NamedTuple):
    """What a network trains on: examples, held-out examples, batch, epochs, the side of a picture."""

    train: int
    test: int
    batch: int
    epochs: int
    side: int
    last: bool  # whether the plain loop is faster with channels last
    precision: str = "32"


SIZES = {
    "lenet_bn": Size(60_000, 10_000, 256, 5, 28, last=False),
    "resnet18": Size(640, 128, 64, 3, 96, last=True, precision="auto"),
}


class Cost(NamedTuple):
    """Seconds of an epoch, by the wall and of the CPUs, and the peak of the memory in bytes."""

    wall: float
    cpu: float
    memory: float


def plain(folder: Path, networks: Sequence[str]) -> Iterator[Row]:
    """Three rows for each network that has a size here."""
    for name in networks:
        if name in SIZES:
            write_data(folder / f"{name}.npz", SIZES[name])
            pairs = [_pair(name, folder, turn) for turn in range(LEAST_PAIRS)]
            ours, theirs = (zip(*half, strict=True) for half in zip(*pairs, strict=True))
            for kind, a, b in zip(Cost._fields, ours, theirs, strict=True):
                comparison = Comparison(a, b)
                if kind == "memory":
                    yield Row(f"plain {name} memory", comparison, MEMORY, shown=megabytes)
                else:
                    yield Row(f"plain {name} {kind}", comparison, 1.0)


def _pair(name: str, folder: Path, turn: int) -> tuple[Cost, Cost]:
    """Run ours and theirs, in turns one or the other first."""
    first, second = ("ours", "plain")[:: 1 if turn % 2 else -1]
    costs = {kind: cost(kind, name, folder) for kind in (first, second)}
    return costs["ours"], costs["plain"]


def cost(kind: str, name: str, folder: Path) -> Cost:
    """The cost of a run in a process of its own; raises RuntimeError with what it printed if it fails."""
    command = [sys.executable, "-m", "tests.bench.plain", kind, name, str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    return Cost(*json.loads(done.stdout))


def write_data(path: Path, size: Size) -> None:
    """Write noise in 10 classes, with a held-out part: what the numbers are changes no time."""
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for part, count in (("train", size.train), ("test", size.test)):
        arrays[f"x_{part}"] = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        arrays[f"y_{part}"] = rng.integers(0, 10, count)
    np.savez(path, **arrays)


RATE = 0.05


def now() -> tuple[float, float]:
    """The time, and the CPU time of this process and its children that have ended, in seconds."""
    return perf_counter(), sum(os.times()[:4])


FIRST = re.compile(r"(epoch +)?1[:/]")  # how the line of the first epoch begins: `cnnc train` prints its recipe before


class Lines(StringIO):
    """A stream that passes lines to stderr; `line` is that of the first epoch, and `first` is when it came."""

    line, first = "", (0.0, 0.0)

    def write(self, text: str) -> int:
        if not self.line and FIRST.match(text):
            self.line, self.first = text, now()
        return sys.stderr.write(text)


def train_ours(name: str, folder: Path, size: Size) -> None:
    """`cnnc train`, in this process."""
    from cnnc.cli.app import answer

    sizes = ["--set", f"size={size.side}"] if name == "resnet18" else []
    fields = {"batch": size.batch, "epochs": size.epochs, "lr": RATE, "precision": size.precision}
    options = [word for key, value in fields.items() for word in (f"--{key}", str(value))]
    data, spec = ["--data", str(folder / f"{name}.npz")], str(ROOT / "specs" / f"{name}.yaml")
    if code := answer(["train", spec, *sizes, *data, *options, "--device", "cpu", "--out", str(folder)]):
        raise RuntimeError(f"cnnc train ended with {code}")


def train_plain(name: str, folder: Path, size: Size) -> None:
    """The plain loop, on the network as it is written by hand."""
    import torch

    from tests.bench.plain_loop import Plain
    from tests.peers import PEERS

    fast = size.precision == "auto" and torch.cpu.get_capabilities().get("avx512_bf16")
    torch.manual_seed(0)
    precision = torch.bfloat16 if fast else torch.float32
    loop = Plain(PEERS[name](), folder / f"{name}.npz", size.side, size.last, precision)
    loop.run(size.epochs, size.batch, RATE, folder)


def main() -> None:
    """Import what the side needs, train, and print the cost. What training prints goes to stderr."""
    kind, name, folder = sys.argv[1:]
    needed = ("cnnc.train.run", "lightning_fabric") if kind == "ours" else ("tests.bench.plain_loop", "tests.peers")
    for each in needed:
        import_module(each)
    work = train_ours if kind == "ours" else train_plain
    lines = Lines()
    with redirect_stdout(lines):
        work(name, Path(folder), SIZES[name])
    seconds = [(end - start) / (SIZES[name].epochs - 1) for start, end in zip(lines.first, now(), strict=True)]
    print(json.dumps([*seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024]))


if __name__ == "__main__":
    main()
