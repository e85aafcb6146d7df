"""Running models in this process: our ONNX file and our module against what the hand-written network gives."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import nn

import cnnc
from tests.bench import nodes
from tests.bench.cold import built
from tests.bench.measure import ROOT, Comparison, Row, interleave, pooled
from tests.peers import INPUTS, PEERS, copy_parameters

# Small enough that a step of the heaviest network ends within seconds on two cores.
BATCHES = {"lenet": 64, "lenet_max": 64, "lenet_bn": 64, "vgg11": 1, "resnet152": 1}
MORE = {"zoo/fpn_resnet50": 1.02}  # see the nodes of that network: gathers take 2 % of its time
"""How many times the latency of torch's file ours may have, where it is more than once."""
SESSIONS = 6
"""Pairs of sessions for a latency, made in both orders. Two sessions of one file differ by up to 2 % for as long as
they live, and the first of a pair was 1 % slower than the second."""


MODELS = 4
"""Pairs of models for a step, made in both orders, for the same reason."""


def latency(folder: Path, networks: Sequence[str]) -> Iterator[Row]:
    """One sample through onnxruntime: our file against the file of torch's own exporter."""
    for name in networks:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            ours, theirs = built(ROOT / "specs" / f"{name}.yaml", Path(place)), exported(name, Path(place))
            samples = samples_of(name)
            compared = [compare(ours, theirs, samples, turned=turn % 2 == 1) for turn in range(SESSIONS)]
        yield Row(f"latency {name}", pooled(compared), MORE.get(name, 1.0))


def compare(ours: Path, theirs: Path, samples: Sequence[np.ndarray], *, turned: bool) -> Comparison:
    """The times of two new sessions; `turned`: that of `theirs` is made first."""
    made = {path: runner(path, samples) for path in ((theirs, ours) if turned else (ours, theirs))}
    return interleave(made[ours], made[theirs], lasting=1, at_least=1)


def samples_of(name: str) -> list[np.ndarray]:
    """A random sample for each input of a network."""
    inputs = cnnc.load(ROOT / "specs" / f"{name}.yaml").inputs
    shapes = [INPUTS[name]] if name in INPUTS else [each.type.shape for each in inputs]
    random = np.random.default_rng(0)
    return [random.standard_normal((1, *(size or 64 for size in shape)), dtype=np.float32) for shape in shapes]


def exported(name: str, folder: Path) -> Path:
    """The hand-written network, or for one of the zoo our own module, through `torch.onnx.export`."""
    path = folder / f"{Path(name).name}-by-torch.onnx"
    graph, module = nodes.deployed(nodes.network_of(name))
    nodes.export(graph, PEERS[name]().eval() if name in PEERS else module, f=path)
    return path


def runner(model: Path, samples: Sequence[np.ndarray]) -> Callable[[], object]:
    """One run of `model`, on one thread: two sessions whose idle threads spin would disturb each other."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feed = dict(zip((each.name for each in session.get_inputs()), samples, strict=True))
    return lambda: session.run(None, feed)


def step(networks: Sequence[str]) -> Iterator[Row]:
    """Forward, backward and an update by SGD: our module against the hand-written one, from the same weights.

    On one thread: where other work has the second core, threads that wait for each other drown the difference.
    """
    torch.set_num_threads(1)
    for name in networks:
        x = torch.randn(BATCHES.get(name, 4), *INPUTS[name])
        compared = [compare_steps(name, x, turned=turn % 2 == 1) for turn in range(MODELS)]
        yield Row(f"step {name}", pooled(compared), 1.0)


def compare_steps(name: str, x: torch.Tensor, *, turned: bool) -> Comparison:
    """The times of two new models; `turned`: ours is made first."""
    spec = ROOT / "specs" / f"{name}.yaml"
    ours = cnnc.compile(spec) if turned else None
    peer = PEERS[name]()
    module = ours or cnnc.compile(spec)
    copy_parameters(peer, module)
    return interleave(trainer(module, x), trainer(peer, x), lasting=10 / MODELS, at_least=1)


def trainer(module: nn.Module, x: torch.Tensor) -> Callable[[], object]:
    """One training step of `module` on `x` and labels that are all 0."""
    module.train()
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-4)
    labels = torch.zeros(len(x), dtype=torch.long)

    def act() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(x), labels).backward()
        optimizer.step()

    return act
