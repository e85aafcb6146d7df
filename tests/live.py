"""Modules with live weights: a test that compares two forms of a network proves nothing of one that is deaf.

In go graphs or modules; out come modules in eval mode, with the weights of `cnnc.verification.live_weights`.
"""

from collections.abc import Sequence
from typing import TypeVar

import torch

from cnnc.graph.graph import Graph
from cnnc.targets import sample_inputs
from cnnc.targets.torch_module import lower
from cnnc.verification.live_weights import enliven

GAIN = 4
BATCH = 4  # samples whose statistics the weights go by

Module = TypeVar("Module", bound=torch.nn.Module)


def live(graph: Graph, seed: int = 0) -> torch.fx.GraphModule:
    """A graph's module, in eval mode."""
    return enlivened(
        lower(graph, seed=seed), sample_inputs.draw(graph, BATCH, sample_inputs.spaces(graph)[0], seed), seed
    )


def enlivened(module: Module, inputs: Sequence[torch.Tensor], seed: int = 0) -> Module:
    """The module itself, in eval mode."""
    enliven(module.eval(), inputs, seed, GAIN)
    return module
