"""What torch gives for a graph with one set of weights: its outputs, and the value of every node.

In go a proved graph without train-only outputs, weights by the keys of the state_dict, and inputs; out come arrays.
Each is computed when it is first asked for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from cnnc.files.mapped_weights import InFile, give_back, take_over
from cnnc.graph.graph import Graph, Output, Ref
from cnnc.targets.loaded_module import run_torch
from cnnc.verification.compare import NONE, Noise, noise, sensitivity
from cnnc.verification.rounding import shaken

if TYPE_CHECKING:
    from torch import Tensor
    from torch.fx import GraphModule

    from cnnc.targets.loaded_module import Array

Inputs = Sequence["Sequence[Tensor]"]


@dataclass(eq=False)
class Answers:
    """The answers of `module`, in eval mode, which holds the `weights`; all values are for the first of the inputs.

    The weights may wait in a file.
    """

    graph: Graph
    module: "GraphModule"
    weights: "Mapping[str, Array]"
    inputs: Inputs

    def wait(self, weights: InFile) -> None:
        """From now on the module's weights, and these, wait in a file; outputs and sensitivity are known already."""
        self.outputs, self.sensitivity  # noqa: B018
        self.weights = weights
        take_over(self.module, weights)

    def forget_values(self) -> None:
        """Compute the values anew when somebody asks again."""
        self.__dict__.pop("values", None)
        give_back()

    @cached_property
    def outputs(self) -> "list[list[Array]]":
        """Of each input each output."""
        run = run_torch(self.module)
        return [run(each) for each in self.inputs]

    @cached_property
    def sensitivity(self) -> float:
        """How far each output moves from sample to sample, in units of the tolerance: the least of all."""
        import numpy as np

        samples: dict[tuple[tuple[int, ...], ...], list[list[Array]]] = {}  # of one size, in whatever batches
        for inputs, outputs in zip(self.inputs, self.outputs, strict=True):
            samples.setdefault(tuple(tuple(each.shape[1:]) for each in inputs), []).append(outputs)
        batches = (zip(*each, strict=True) for each in samples.values())
        return min(sensitivity(np.concatenate(output)) for outputs in batches for output in outputs)

    @cached_property
    def values(self) -> "dict[Ref, Array]":
        """The value of every node."""
        whole = _lower(every_value(self.graph), tensors(self.weights))
        return dict(zip(refs(self.graph), run_torch(whole)(self.inputs[0]), strict=True))

    @cached_property
    def noise(self) -> list[Noise]:
        """For each output the most that rounding changes in it, of all inputs."""
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
    """How far each of torch's float32 outputs, or one with rounding errors drawn at random, is from the exact one."""
    double = [each.double() for each in inputs]
    exact, rounded = run_torch(module)(double), run_torch(shaken(module))(double)
    return [noise(c, a, b) for a, b, c in zip(outputs, rounded, exact, strict=True)]


def refs(graph: Graph) -> list[Ref]:
    """All that the graph's nodes give."""
    return [Ref(node.path, port) for node in graph.nodes for port in range(len(node.outputs))]


def every_value(graph: Graph) -> Graph:
    """The graph with the value of every node as an output."""
    return replace(graph, outputs=tuple(Output(f"value_{at}", ref) for at, ref in enumerate(refs(graph))))


def _lower(graph: Graph, weights: "Mapping[str, Tensor]") -> "GraphModule":
    from cnnc.targets.torch_module import lower

    return lower(graph, weights).eval()


def tensors(weights: "Mapping[str, Array]") -> "dict[str, Tensor]":
    """The same numbers as torch's tensors."""
    import torch

    return {key: torch.as_tensor(array) for key, array in weights.items()}


def _double(weights: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    return {key: each.double() if each.is_floating_point() else each for key, each in weights.items()}
