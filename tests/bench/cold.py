"""Commands in fresh processes, against processes that do the least which that work cannot do without."""

from collections.abc import Iterator
from math import inf
from pathlib import Path

from tests.bench.measure import ROOT, Row, interleave, process
from tests.bench.plain import SIZES, write_data

GOOGLENET = ROOT / "specs" / "googlenet.yaml"
PICTURE = ROOT / "tests" / "data" / "boot.png"

IMPORTS_OF_CHECK = "import pydantic, networkx, yaml, typer"

BY_HAND = """
import sys, torch, onnxruntime
from tests.peers import PEERS

module = PEERS["googlenet"]().eval()
torch.jit.script(module).save(sys.argv[1] + "/googlenet.pt")
torch.onnx.export(
    module, (torch.randn(2, 1, 96, 96),), sys.argv[1] + "/googlenet.onnx", dynamo=True, verbose=False,
    dynamic_shapes=({0: torch.export.Dim("N")},),
)
onnxruntime.InferenceSession(sys.argv[1] + "/googlenet.onnx", providers=["CPUExecutionProvider"])
"""

DEEP_BY_HAND = """
import sys, torch
from tests.peers import INPUTS, PEERS

torch.onnx.export(
    PEERS["resnet152"]().eval(), (torch.randn(2, *INPUTS["resnet152"]),), sys.argv[1] + "/resnet152.onnx", dynamo=True,
    verbose=False, dynamic_shapes=({0: torch.export.Dim("N")},),
)
"""

LOAD = """
import sys, numpy, PIL.Image, onnxruntime
onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
"""

IMPORTS_OF_TRAIN = "import torch, lightning_fabric"

FIRST_STEP = """
import os, sys
from cnnc.__main__ import main
from cnnc.train.learner import Learner

step = Learner.step

def last_step(*arguments):
    step(*arguments)
    os._exit(0)

Learner.step = last_step
sys.argv = ["cnnc", "train", *sys.argv[1:]]
main()
raise SystemExit("there was no step")
"""


def built(spec: Path, folder: Path) -> Path:
    """The ONNX file that `cnnc build` makes of `spec` below `folder`."""
    process("-m", "cnnc", "build", spec, cwd=folder)()
    return folder / "build" / spec.stem / f"{spec.stem}.onnx"


def check() -> Iterator[Row]:
    ours = process("-m", "cnnc", "check", GOOGLENET)
    yield Row("check googlenet", interleave(ours, process("-c", IMPORTS_OF_CHECK), lasting=12), 0.75)


def build(folder: Path) -> Iterator[Row]:
    ours = process("-m", "cnnc", "build", GOOGLENET, cwd=folder)
    theirs = process("-W", "ignore", "-c", BY_HAND, folder)
    yield Row("build googlenet", interleave(ours, theirs, lasting=40), 0.3)


def deep(folder: Path) -> Iterator[Row]:
    """The deepest network to ONNX, verified, against the export of the hand-written module alone."""
    ours = process("-m", "cnnc", "build", ROOT / "specs" / "resnet152.yaml", "--target", "onnx", cwd=folder)
    theirs = process("-W", "ignore", "-c", DEEP_BY_HAND, folder)
    yield Row("build resnet152, ONNX", interleave(ours, theirs, lasting=60, at_least=3), 1.0)


def zoo() -> Iterator[Row]:
    """Each spec of the zoo in a fresh process, which half a second has to do for."""
    for spec in sorted((ROOT / "specs" / "zoo").glob("*.yaml")):
        ours = process("-m", "cnnc", "check", spec)
        yield Row(f"check {spec.stem}", interleave(ours, process("-c", IMPORTS_OF_CHECK), lasting=5), inf, limit=0.5)


def infer(folder: Path) -> Iterator[Row]:
    model = built(GOOGLENET, folder)
    ours = process("-m", "cnnc", "infer", model, PICTURE)
    yield Row("infer googlenet", interleave(ours, process("-c", LOAD, model), lasting=12), 1.3)


def first(folder: Path) -> Iterator[Row]:
    """`cnnc train` on 60,000 pictures until its first step has ended, against the imports that it needs."""
    data, spec = folder / "pictures.npz", ROOT / "specs" / "lenet_bn.yaml"
    write_data(data, SIZES["lenet_bn"])
    ours = process("-c", FIRST_STEP, spec, "--data", data, "--device", "cpu", "--out", folder)
    yield Row("train until the first step", interleave(ours, process("-c", IMPORTS_OF_TRAIN), lasting=60), 1.3)


def scale(folder: Path) -> Iterator[Row]:
    """Checking must grow no faster than the spec; in fresh processes, as a person meets it."""
    small, large = chain(folder / "small.yaml", 1_000), chain(folder / "large.yaml", 10_000)
    ours, theirs = (process("-m", "cnnc", "check", spec) for spec in (large, small))
    yield Row("check 10,000 : 1,000 nodes", interleave(ours, theirs, lasting=15), 10, limit=3.0)
    small, large = blocks(folder / "blocks.yaml", 10_000), blocks(folder / "many.yaml", 100_000)
    ours, theirs = (process("-m", "cnnc", "check", spec, "--depth", "1") for spec in (large, small))
    yield Row("check 100,000 : 10,000 nodes", interleave(ours, theirs, lasting=60, at_least=3), 10)


def chain(path: Path, nodes: int) -> Path:
    """A spec of `nodes` nodes in all, written out one by one: a stem and residual steps of three nodes each."""
    lines = ["cnnc: 1", f"name: {path.stem}", "input: {image: [8, 16, 16]}", "nodes:", "  - relu: {name: sum0}"]
    for i in range(1, (nodes - 1) // 3 + 1):
        lines += [
            f"  - conv: {{name: conv{i}, out: 8, kernel: 3, padding: 1}}",
            f"  - batch_norm: {{name: bn{i}}}",
            f"  - add: {{name: sum{i}, from: [bn{i}, sum{i - 1}]}}",
        ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def blocks(path: Path, nodes: int) -> Path:
    """The same network out of a block: written out, 100,000 nodes are a longer text than a spec may be."""
    lines = [
        *("cnnc: 1", f"name: {path.stem}", "input: {image: [8, 16, 16]}", "blocks:", "  step:", "    nodes:"),
        "      - conv: {out: 8, kernel: 3, padding: 1}",
        "      - batch_norm",
        "      - add: {from: [batch_norm, input]}",
        *("nodes:", "  - relu", f"  - step: {{repeat: {(nodes - 1) // 3}}}"),
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
