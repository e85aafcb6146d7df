"""The time of int8 files beside float32 ones: one picture of 224 × 224 on one thread of the CPU.

Goes through `cnnc build --precision int8` with random weights and pictures, whose numbers do not change the time. The
budgets are for x86 with VNNI, whose instructions multiply 8-bit numbers; other CPUs are slower.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

import cnnc
from cnnc.precision.onnxruntime_tools import open_session
from tests.bench.measure import ROOT, Row, interleave

GOALS = {"googlenet": 3.5, "resnet18": 3.0, "zoo/mobilenet_v2": 2.7, "zoo/densenet121": 2.3}
"""The networks, and how many times as fast as float32 they are to be."""


def int8(folder: Path) -> Iterator[Row]:
    """A row for each network."""
    pictures = np.random.default_rng(0).integers(0, 256, (12, 224, 224, 3), np.uint8)
    np.savez(folder / "noise.npz", x_train=pictures, y_train=np.arange(12) % 10)
    for name, goal in GOALS.items():
        built = cnnc.build(
            ROOT / "specs" / f"{name}.yaml",
            set={"size": 224} if name == "googlenet" else {},
            targets="onnx",
            precision="int8",
            calibrate=folder / "noise.npz",
            max_drop=100,
            out=folder,
        )
        model = built.folder / f"{built.folder.name}.onnx"
        ours, theirs = (open_session(path, threads=1) for path in (model.with_suffix(".int8.onnx"), model))
        port = ours.get_inputs()[0]
        x = np.random.default_rng(1).standard_normal((1, *port.shape[1:]), np.float32)
        runs = [partial(session.run, None, {port.name: x}) for session in (ours, theirs)]
        yield Row(f"int8 {name}", interleave(*runs, lasting=10, at_least=15), 1 / goal)
