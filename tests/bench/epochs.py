"""`python -m tests.bench.epochs ours|course NETWORK FOLDER [JSON]`: train a network, an epoch for each line of stdin.

Out: the seconds of each epoch, a line each. Both kinds train on the same noise of Fashion-MNIST's shape, on a GPU where
there is one. Ours begins anew in every turn and says of itself how long its third epoch took: beside the second, what
draws the curves is still being loaded. Checkpoints, which a course does not write, are left out of it. JSON has the
`size` (examples of an epoch, and of a batch), and with `given` fields of our recipe.
"""

import json
import sys
import warnings
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from types import MappingProxyType
from typing import Any
from unittest.mock import patch

import numpy as np

from tests.bench.measure import ROOT
from tests.peers import INPUTS, PEERS

SIDES = {"resnet18": 96}  # as its recipe has it
# Examples of an epoch, and of a batch: on two cores an epoch of the heaviest ends within seconds.
EPOCHS = {
    **dict.fromkeys(("lenet_max", "lenet_bn"), (8192, 256)),
    **dict.fromkeys(("vgg11", "resnet152"), (8, 4)),
    "lenet": (8192, 1024),
    "resnet18": (128, 64),
}
OTHERS = (64, 32)
ON_GPU = (60_000, 128)
RATE = 1e-3


def noise(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of 28 × 28 in 10 classes: what the numbers are changes no time."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, 28, 28), dtype=np.uint8), rng.integers(0, 10, count)


def ours(
    name: str, folder: Path, device: str, size: tuple[int, int], more: Mapping[str, Any] = MappingProxyType({})
) -> Callable[[], float]:
    """`cnnc train`, as a library; `size` is the examples of an epoch, and of a batch."""
    from cnnc import compiler
    from cnnc.train import checkpoint
    from cnnc.train.run import train

    examples, batch = size
    images, labels = noise(examples)
    graph = compiler.load(ROOT / "specs" / f"{name}.yaml", set={"size": SIDES[name]} if name in SIDES else None)
    classes = [f"class {index}" for index in range(graph.type_of(graph.outputs[0].ref).channels)]
    np.savez(folder / f"{name}.npz", x_train=images, y_train=labels, classes=classes)
    given = {"data": str(folder / f"{name}.npz"), "batch": batch, "lr": RATE, "epochs": 3, **more}

    def epoch() -> float:
        with patch.object(checkpoint, "write"), patch.object(checkpoint, "write_weights"):
            return train(graph, given, folder, device=device).records[-1].seconds

    return epoch


def course(name: str, folder: Path, device: str, size: tuple[int, int]) -> Callable[[], float]:
    """The course's loop."""
    import torch

    from tests.bench.course_loop import Course, Pictures

    warnings.simplefilter("ignore")  # it advises fewer workers than the course has
    torch.manual_seed(0)
    examples, batch = size
    channels, height, width = INPUTS[name]
    side = SIDES.get(name)
    data = Pictures(*noise(examples), (channels, side or height, side or width))
    return Course(PEERS[name]().to(device), data, batch, RATE, device).epoch


def main() -> None:
    """Serve one parent until it closes our stdin. What training prints goes to stderr: stdout is the parent's."""
    import torch

    kind, name, folder, *more = sys.argv[1:]
    about = json.loads(more[0]) if more else {}
    device = "cuda" if torch.cuda.is_available() else "cpu"
    size = ON_GPU if device == "cuda" else EPOCHS.get(name, OTHERS)
    where = (name, Path(folder), device, about.get("size", size))
    epoch = course(*where) if kind == "course" else ours(*where, about.get("given", {}))
    for _ in sys.stdin:
        with redirect_stdout(sys.stderr):
            seconds = epoch()
        print(seconds, flush=True)


if __name__ == "__main__":
    main()
