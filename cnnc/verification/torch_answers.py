"""torch's reference results for a graph with given weights: its outputs, and the value of every node.

Takes a proved graph without train-only outputs, weights by the keys of the state_dict, and inputs; returns arrays. Each
is computed on first use.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from cnnc.files.mapped_weights import InFile, give_back, take_over
from cnnc.graph.graph import Graph, Output, Ref
from cnnc.targets.loaded_module import run_torch
from cnnc.verification.compare import NONE, Noise, noise, sensitivity
from cnnc.verification.rounding import with_rounding_errors

if TYPE_CHECKING:
    from torch import Tensor
    from torch.fx import GraphModule

    from cnnc.targets.loaded_module import Array

Inputs = Sequence["Sequence[Tensor]"]


@dataclass(eq=False)
class Answers:
    """The results of `module`, in eval mode, which holds the `weights`; node values are for the first input batch.

    The weights may be stored in a file meanwhile. Only the first `samples` inputs count for the sensitivity.
    """

    graph: Graph
    module: "GraphModule"
    weights: "Mapping[str, Array]"
    inputs: Inputs
    samples: int | None = None  # all

    def wait(self, weights: InFile) -> None:
        """Compute outputs and sensitivity, then move the module's weights and these to a file."""
        self.outputs, self.sensitivity  # noqa: B018
        self.weights = weights
        take_over(self.module, weights)

    def forget_values(self) -> None:
        """Free the node values; they are computed again on the next use."""
        self.__dict__.pop("values", None)
        give_back()

    @cached_property
    def outputs(self) -> "list[list[Array]]":
        """The outputs for each input batch."""
        run = run_torch(self.module)
        return [run(each) for each in self.inputs]

    @cached_property
    def sensitivity(self) -> float:
        """How much each output changes from sample to sample, in units of the tolerance: the least of all."""
        return self.sensitivity_at([0] * len(self.graph.outputs))

    def sensitivity_at(self, distances: Sequence[float]) -> float:
        """The same for outputs of a file, in units that include their mean distances from torch's."""
        import numpy as np

        samples: dict[tuple[tuple[int, ...], ...], list[list[Array]]] = {}  # by size, whatever the batch
        for inputs, outputs in list(zip(self.inputs, self.outputs, strict=True))[: self.samples]:
            samples.setdefault(tuple(tuple(each.shape[1:]) for each in inputs), []).append(outputs)
        batches = (zip(zip(*each, strict=True), distances, strict=True) for each in samples.values())
        return min(sensitivity(np.concatenate(output), far) for batch in batches for output, far in batch)

    @cached_property
    def values(self) -> "dict[Ref, Array]":
        """The value of every node."""
        whole = _lower(every_value(self.graph), tensors(self.weights))
        return dict(zip(refs(self.graph), run_torch(whole)(self.inputs[0]), strict=True))

    @cached_property
    def noise(self) -> list[Noise]:
        """The largest rounding error of each output over all inputs."""
        module = _lower(self.graph, _double(tensors(self.weights)))
        worst = [NONE] * len(self.graph.outputs)
        for inputs, outputs in zip(self.inputs, self.outputs, strict=True):
            worst = [Noise(*map(max, *pair)) for pair in zip(worst, _noise(module, inputs, outputs), strict=True)]
        return worst

    @cached_property
    def noise_of_values(self) -> dict[Ref, Noise]:
        """The same for the value of every node."""
        module = _lower(every_value(self.graph), _double(tensors(self.weights)))
        values = [self.values[ref] for ref in refs(self.graph)]
        return dict(zip(refs(self.graph), _noise(module, self.inputs[0], values), strict=True))


def _noise(module: "GraphModule", inputs: "Sequence[Tensor]", outputs: "list[Array]") -> list[Noise]:
    """Return the error of torch's float32 outputs, and of outputs with random rounding errors, whichever is larger."""
    double = [each.double() for each in inputs]
    exact, rounded = run_torch(module)(double), run_torch(with_rounding_errors(module))(double)
    return [noise(c, a, b) for a, b, c in zip(outputs, rounded, exact, strict=True)]


def refs(graph: Graph) -> list[Ref]:
    """Return all output values of the graph's nodes."""
    return [Ref(node.path, port) for node in graph.nodes for port in range(len(node.outputs))]


def every_value(graph: Graph, deployed: Graph | None = None) -> Graph:
    """Return the graph with the value of every node as an output; values that `deployed` lacks are train-only."""
    kept = set(refs(deployed or graph))
    outputs = [Output(f"value_{at}", ref, train_only=ref not in kept) for at, ref in enumerate(refs(graph))]
    return replace(graph, outputs=tuple(outputs))


def _lower(graph: Graph, weights: "Mapping[str, Tensor]") -> "GraphModule":
    from cnnc.targets.torch_module import lower

    return lower(graph, weights).eval()


def tensors(weights: "Mapping[str, Array]") -> "dict[str, Tensor]":
    """Return the weights as torch tensors."""
    import torch

    return {key: torch.as_tensor(array) for key, array in weights.items()}


def _double(weights: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    return {key: each.double() if each.is_floating_point() else each for key, each in weights.items()}
