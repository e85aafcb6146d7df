"""Evaluates a torch construct of the page: an expression that is a module or uses the inputs `x`, `y` and `z`.

Modules get random weights when they are first called. Parameters of their own (`nn.Parameter`) too.
"""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.module import register_module_forward_pre_hook

from tests.frameworks.page import NAMES


class StochasticDepth(nn.Module):
    """`torchvision.ops.StochasticDepth` in inference."""

    def __init__(self, p: float, mode: str) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return x


class _Parameters(SimpleNamespace):
    """`torch.nn`, whose `Parameter` also records the tensor."""

    def __getattr__(self, name: str) -> Any:
        return getattr(nn, name)


def answer(construct: str, inputs: list[Tensor]) -> tuple[list[Tensor], dict[str, Tensor]]:
    """Return the outputs of a construct in inference, and its weights and running statistics by name, in order."""
    weights: dict[str, Tensor] = {}
    inner: set[nn.Module] = set()

    def parameter(tensor: Tensor) -> Tensor:
        return weights.setdefault(str(len(weights)), tensor.normal_())

    def meet(module: nn.Module, _: Any) -> None:
        if module not in inner:
            inner.update(module.modules())
            weights.update(randomised(module.eval()))

    names = dict(zip(NAMES, inputs, strict=False))
    vision = SimpleNamespace(ops=SimpleNamespace(StochasticDepth=StochasticDepth))
    scope = {"torch": torch, "nn": _Parameters(Parameter=parameter), "F": functional, "torchvision": vision, **names}
    hook = register_module_forward_pre_hook(meet)
    try:
        with torch.no_grad():
            found = eval(construct, scope)
            found = found(*inputs) if isinstance(found, nn.Module) else found
    finally:
        hook.remove()
    return list(found) if isinstance(found, list | tuple) else [found], weights


def randomised(module: nn.Module) -> dict[str, Tensor]:
    """Give a module random weights and running statistics, and return them in the order of its state_dict, by key."""
    found = {key: value for key, value in module.state_dict().items() if value.is_floating_point()}
    for value in found.values():
        value.uniform_(0.5, 1.5) if value.ndim == 1 else value.normal_()
    return found
