"""How many nodes our ONNX file of a network has, beside the file that torch's exporter makes of the same module.

In: a network's name, `lenet` or `zoo/resnet50`. Out: `Nodes`. torch's file is the one that its optimizer leaves.
"""

import logging
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from cnnc.compiler import compile, load
from cnnc.graph.graph import Graph
from cnnc.passes import pipeline
from cnnc.passes.drop_train_only import drop_train_only
from cnnc.passes.network import Network
from cnnc.targets import onnx_model
from cnnc.targets.torch_module import lower
from tests.bench.measure import ROOT


@dataclass(frozen=True)
class Nodes:
    """A line of the table: our file may have no more nodes than torch's."""

    network: str
    ours: int
    theirs: int

    @property
    def over(self) -> bool:
        return self.ours > self.theirs

    def __str__(self) -> str:
        verdict = "over" if self.over else "ok"
        what, ratio = f"nodes {self.network}", f"{self.ours / self.theirs:.3f}"
        return f"{what:<28}{self.ours:>10}{self.theirs:>12}{ratio:>17}{'':>7}{'1.00':>12}  {verdict}"


def nodes(networks: Sequence[str]) -> Iterator[Nodes]:
    """A row for each network."""
    for name in networks:
        network = network_of(name)
        ours = pipeline.run(network)
        theirs = export(*deployed(network))
        yield Nodes(name, len(onnx_model.lower(ours.graph, ours.weights).graph.node), len(theirs.model.graph))


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
    """`torch.onnx.export` of a module, with a dynamic batch as our file has it."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it speaks of torchvision, which nobody asked for
    x = tuple(torch.randn(2, *(size or 64 for size in each.type.shape)) for each in graph.inputs)
    batch = tuple({0: torch.export.Dim("N")} for _ in x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.onnx.export(module, x, dynamo=True, verbose=False, dynamic_shapes=batch, **arguments)
