"""How many nodes of our ONNX file run, beside those of the file that torch's exporter makes of the same module.

In: a network's name, `lenet` or `zoo/resnet50`. Out: `Nodes`. torch's file is the one that its optimizer leaves. Of
both files, the nodes count that onnxruntime's basic optimisations leave: our files keep each weight as it is in torch,
and onnxruntime transposes it once, when it loads the file.
"""

import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import torch

from cnnc.compiler import compile, load
from cnnc.graph.graph import Graph
from cnnc.passes import pipeline
from cnnc.passes.drop_train_only import drop_train_only
from cnnc.passes.network import Network
from cnnc.targets import onnx_model
from cnnc.targets.torch_module import lower
from tests.bench.measure import ROOT

MORE = {
    "zoo/convnext_tiny": 1.15,  # repeats each layer scale for all samples, so that every value of a spec has a batch
    "zoo/fpn_resnet50": 1.2,  # resizes to the size of another map with torch's rounding, which Resize does not have
}
"""How many times the nodes of torch's file ours may have, where it is more than once."""


@dataclass(frozen=True)
class Nodes:
    """A line of the table: our file may have no more nodes than torch's, but for those in MORE."""

    network: str
    ours: int
    theirs: int

    @property
    def most(self) -> float:
        return MORE.get(self.network, 1.0)

    @property
    def over(self) -> bool:
        return self.ours > self.most * self.theirs

    def __str__(self) -> str:
        verdict = "over" if self.over else "ok"
        what, ratio = f"nodes {self.network}", f"{self.ours / self.theirs:.3f}"
        return f"{what:<28}{self.ours:>10}{self.theirs:>12}{ratio:>17}{'':>7}{self.most:>12.2f}  {verdict}"


def nodes(networks: Sequence[str]) -> Iterator[Nodes]:
    """A row for each network."""
    for name in networks:
        network = network_of(name)
        ours = pipeline.run(network)
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder) / "ours.onnx", Path(folder) / "theirs.onnx"]
            onnx.save(onnx_model.lower(ours.graph, ours.weights), paths[0])
            export(*deployed(network), f=paths[1])
            yield Nodes(name, *map(left_to_run, paths))


def left_to_run(model: Path) -> int:
    """The number of nodes that onnxruntime's basic optimisations leave of a file."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(model.with_suffix(".basic.onnx"))
    options.log_severity_level = 3  # it warns that the optimized file may be for this machine alone
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return len(onnx.load(options.optimized_model_filepath, load_external_data=False).graph.node)


def network_of(name: str) -> Network:
    """The network of a spec, with the weights that it starts with."""
    spec = ROOT / "specs" / f"{name}.yaml"
    weights = {key: tensor.numpy() for key, tensor in compile(spec).state_dict().items()}
    return Network(load(spec), weights)


def deployed(network: Network) -> tuple[Graph, torch.nn.Module]:
    """The graph without what is for training alone, and its module in eval mode."""
    shown = drop_train_only(network)
    weights = {key: torch.from_numpy(array) for key, array in shown.weights.items()}
    return shown.graph, lower(shown.graph, weights).eval()


def export(graph: Graph, module: torch.nn.Module, **arguments: Any) -> Any:
    """`torch.onnx.export` of a module, with a dynamic batch, and open sizes where our file has them."""
    for speaker in ("torch.onnx", "onnxscript"):  # of torchvision, which nobody asked for, and of what stays unfolded
        logging.getLogger(speaker).setLevel(logging.ERROR)
    x = tuple(torch.randn(2, *(size or 64 for size in each.type.shape)) for each in graph.inputs)
    open_axes = [[axis for axis, size in enumerate(each.type.shape, 1) if size is None] for each in graph.inputs]
    sizes = tuple({0: torch.export.Dim("N"), **dict.fromkeys(axes, torch.export.Dim.DYNAMIC)} for axes in open_axes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.onnx.export(module, x, dynamo=True, verbose=False, dynamic_shapes=sizes, **arguments)
