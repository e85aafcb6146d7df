"""`cnnc train` on a folder of JPEGs, and on a pack of them, against a DataLoader loop that somebody wrote by hand.

Both train the same small network, so that reading the pictures is most of the work, with as many workers as there are
cores. They run in processes of their own, an epoch in turn, and give its seconds and the CPU time of all their
processes. `python -m tests.bench.jpegs ours|theirs DATA` is such a process: it trains an epoch for each line of stdin.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any
from unittest.mock import patch

import numpy as np
from PIL import Image

from tests.bench.measure import ROOT, Comparison, Row, serving

COUNT, CLASSES, SIDE, BATCH = 1000, 10, 96, 64
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
SPEC: dict[str, Any] = {
    "cnnc": 1,
    "name": "small",
    "input": {"image": {"shape": [3, SIDE, SIDE], "mean": MEAN, "std": STD}},
    "nodes": [
        *({"conv": {"out": out, "kernel": 3, "stride": 2, "padding": 1}} for out in (16, 32, 64)),
        *("relu", "global_avg_pool", "flatten", {"linear": {"out": CLASSES}}),
    ],
}
Turn = tuple[float, float]  # seconds, and seconds of CPU time


def jpegs(folder: Path) -> Iterator[Row]:
    """A row each for the time and the CPU time of the folder and of the pack."""
    photographs, packed = folder / "photographs", folder / "photographs.npz"
    draw(photographs)
    words = ("data", "pack", str(photographs), "--size", f"{SIDE}x{SIDE}", "-o", str(packed))
    subprocess.run([sys.executable, "-m", "cnnc", *words], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    with ExitStack() as stack:
        theirs = stack.enter_context(trainer("theirs", photographs))
        for what, data, budget in (("jpegs", photographs, 1.0), ("jpegs, packed", packed, 0.5)):
            with trainer("ours", data) as ours:
                turns = list(alternate(ours, theirs))
            yield Row(f"train {what}", Comparison(*zip(*((a[0], b[0]) for a, b in turns), strict=True)), budget)
            yield Row(f"train {what}, CPU", Comparison(*zip(*((a[1], b[1]) for a, b in turns), strict=True)), budget)


def alternate(ours: Callable[[], Turn], theirs: Callable[[], Turn], pairs: int = 5) -> Iterator[tuple[Turn, Turn]]:
    """Pairs of turns, of which a first one is dropped."""
    ours(), theirs()
    for pair in range(pairs):
        yield (ours(), theirs()) if pair % 2 else (theirs(), ours())[::-1]


def draw(folder: Path, count: int = COUNT) -> None:
    """Write JPEGs of about 500 × 375 pixels in CLASSES classes, with shades and noise as in photographs."""
    random = np.random.default_rng(0)
    for number in range(count):
        size = (500 + number % 7, 375 - number % 5)
        shades = Image.fromarray(random.integers(0, 256, (24, 32, 3), np.uint8)).resize(size)
        noise = random.integers(-12, 13, (size[1], size[0], 3))
        path = folder / f"c{number % CLASSES}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((np.asarray(shades) + noise).clip(0, 255).astype(np.uint8)).save(path, quality=90)


def trainer(kind: str, data: Path) -> AbstractContextManager[Callable[[], Turn]]:
    """An action that trains an epoch in another process, and gives its seconds and CPU time."""
    return serving(data.with_name(f"{kind}-{data.name}.log"), "-m", "tests.bench.jpegs", kind, data)


def ours(data: Path) -> Callable[[], Turn]:
    """`cnnc train`, as a library: the second epoch of a run, from one checkpoint to the next, which are not written."""
    from cnnc import compiler
    from cnnc.train import checkpoint
    from cnnc.train.run import train

    graph = compiler.load(SPEC)

    def epoch() -> Turn:
        times: list[Turn] = []
        given = {"data": str(data), "batch": BATCH, "lr": 0.01, "epochs": 2}
        with (
            patch.object(checkpoint, "write", lambda *_: times.append((perf_counter(), cpu_of_all()))),
            patch.object(checkpoint, "write_weights"),
            TemporaryDirectory() as out,
        ):
            train(graph, given, Path(out), device="cpu")
        return times[-1][0] - times[-2][0], times[-1][1] - times[-2][1]

    return epoch


def theirs(data: Path) -> Callable[[], Turn]:
    """The loop by hand; its workers stay for all epochs."""
    import torch
    from torch import Tensor, nn
    from torch.utils.data import DataLoader, Dataset

    from cnnc import compiler
    from cnnc.targets.torch_module import lower

    mean, std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]

    class Pictures(Dataset[tuple[Tensor, int]]):
        def __init__(self) -> None:
            classes = sorted(each.name for each in data.iterdir())
            self.files = [(str(path), label) for label, name in enumerate(classes) for path in (data / name).iterdir()]

        def __len__(self) -> int:
            return len(self.files)

        def __getitem__(self, index: int) -> tuple[Tensor, int]:
            path, label = self.files[index]
            image = Image.open(path).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
            pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div(255)
            return (pixels - mean) / std, label

    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    loader = DataLoader(Pictures(), BATCH, shuffle=True, num_workers=workers, persistent_workers=True)
    module = lower(compiler.load(SPEC), None, 0)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01)
    entropy = nn.CrossEntropyLoss()

    def epoch() -> Turn:
        start, cpu = perf_counter(), cpu_of_all()
        loss_sum, right = torch.zeros(()), torch.zeros(())
        module.train()
        for images, labels in loader:
            optimizer.zero_grad()
            scores = module(images)
            loss = entropy(scores, labels)
            loss.backward()
            optimizer.step()
            loss_sum += loss.detach() * len(labels)
            right += (scores.argmax(1) == labels).sum()
        return perf_counter() - start, cpu_of_all() - cpu

    return epoch


def cpu_of_all() -> float:
    """Seconds of CPU time of this process and all that it started; elsewhere than on Linux, of this process."""
    own = sum(os.times()[:4])
    return own + sum(map(_cpu, _below(os.getpid())))


def _below(process: int) -> list[int]:
    found = []
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            found += [child, *_below(child)]
    return found


def _cpu(process: int) -> float:
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has ended
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Serve one parent until it closes our stdin."""
    kind, data = sys.argv[1:]
    epoch = {"ours": ours, "theirs": theirs}[kind](Path(data))
    for _ in sys.stdin:
        with redirect_stdout(sys.stderr):
            turn = epoch()
        print(json.dumps(turn), flush=True)


if __name__ == "__main__":
    main()
