"""A network compiled from a spec against a hand-written torch module: the same parameters, weights and outputs."""

import re
from collections.abc import Mapping
from pathlib import Path
from shutil import copytree
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

import cnnc
from cnnc.graph.graph import Graph
from cnnc.targets import sample_inputs
from cnnc.targets.torch_module import lower
from tests.live import enlivened

ROOT = Path(__file__).parents[2]
TOLERANCE = 1e-9  # of the largest number of an output; in float64, where rounding errors are far smaller
COUNTER = "num_batches_tracked"


class Pair:
    """A spec's module and a hand-written one with the same live weights.

    The weights are copied by name, or else in order; then shapes may differ in axes of size 1, as those of a linear
    layer and a 1×1 convolution do.
    """

    def __init__(self, graph: Graph, theirs: nn.Module, *, by_name: bool = False) -> None:
        self.graph, self.theirs = graph, theirs
        self.ours: nn.Module = enlivened(lower(graph), sample_inputs.draw(graph, 2, sample_inputs.spaces(graph)[0], 0))
        ours, into = _tensors(self.ours), _tensors(theirs)
        assert not by_name or ours.keys() == into.keys()
        names = zip(ours, ours if by_name else into, strict=True)
        for name, other in names:
            assert _significant(ours[name]) == _significant(into[other]), f"{name} and {other}"
            into[other].copy_(ours[name].reshape(into[other].shape))
        self.ours.double(), self.theirs.double()

    def agree(self, *spaces: tuple[int, int]) -> None:
        """Assert that the outputs are equal in eval mode.

        If the spec leaves sizes open, several are compared, and those of `spaces`.
        """
        self.ours.eval(), self.theirs.eval()
        for space in (*sample_inputs.spaces(self.graph)[:2], *spaces):
            self._equal_outputs(space, batch=1)

    def agree_in_training(self) -> None:
        """Assert that the outputs are equal in training mode without dropout, and the running statistics after it.

        Networks that drop paths are left out.
        """
        if any(node.op.name == "drop_path" for node in self.graph.nodes):
            return
        for each in (*self.ours.train().modules(), *self.theirs.train().modules()):
            if isinstance(each, nn.Dropout):
                each.p = 0
        self._equal_outputs(sample_inputs.spaces(self.graph)[0], batch=2)
        for ours, theirs in zip(_tensors(self.ours).values(), _tensors(self.theirs).values(), strict=True):
            _assert_equal(ours.reshape(theirs.shape), theirs)

    def _equal_outputs(self, space: tuple[int, int], batch: int) -> None:
        inputs = [each.double() for each in sample_inputs.draw(self.graph, batch, space, 1)]
        with torch.no_grad():
            ours, theirs = (tree_leaves(module(*inputs)) for module in (self.ours, self.theirs))
        assert len(ours) == len(theirs)
        for ours_output, theirs_output in zip(ours, theirs, strict=True):
            _assert_equal(ours_output, theirs_output)


def graph_of(spec: str, params: Mapping[str, Any]) -> Graph:
    """The network of a spec, named by its path from the repository's root without its suffix."""
    return cnnc.load(ROOT / f"{spec}.yaml", set=params)


def resized(name: str, size: int, folder: Path) -> Path:
    """Write a spec of the zoo with another height and width of its picture to a folder; return its path."""
    copytree(ROOT / "specs/zoo/blocks", folder / "blocks", dirs_exist_ok=True)
    text = (ROOT / f"specs/zoo/{name}.yaml").read_text(encoding="utf-8")
    text = re.sub(r"shape: \[3, \d+, \d+\]", f"shape: [3, {size}, {size}]", text)
    path = folder / f"{name}.yaml"
    path.write_text(re.sub(r", resize: [^}]*", "", text), encoding="utf-8")
    return path


def parameters(module: nn.Module) -> int:
    """The number of parameters of a module."""
    return sum(each.numel() for each in module.parameters())


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return {key: value for key, value in module.state_dict().items() if not key.endswith(COUNTER)}


def _significant(tensor: Tensor) -> list[int]:
    return [size for size in tensor.shape if size != 1]


def _assert_equal(ours: Tensor, theirs: Tensor) -> None:
    assert ours.shape == theirs.shape
    torch.testing.assert_close(ours, theirs, rtol=0, atol=TOLERANCE * theirs.abs().max().item())
