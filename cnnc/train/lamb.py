"""The optimizer LAMB (You et al., 2020, Algorithm 2), which torch does not have.

A step is that of AdamW, scaled for each weight by the norm of the weight over the norm of the step.
"""

from collections.abc import Callable, Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch.optim import Optimizer

BETAS, EPSILON = (0.9, 0.999), 1e-6


@cache
def lamb() -> "type[Optimizer]":
    """Return the class, which can only be defined once torch is imported."""
    import torch

    class Lamb(torch.optim.Optimizer):
        def __init__(self, params: Iterable[Any], lr: float, weight_decay: float = 0.0) -> None:
            super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

        @torch.no_grad()
        def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
            """Update all weights that have a gradient."""
            loss = None if closure is None else closure()
            for group in self.param_groups:
                for weight in group["params"]:
                    if weight.grad is not None:
                        _update(weight, self.state[weight], group["lr"], group["weight_decay"])
            return loss

    return Lamb


def _update(weight: Any, state: dict[str, Any], rate: float, decay: float) -> None:
    import torch

    if not state:
        state.update(step=0, mean=torch.zeros_like(weight), square=torch.zeros_like(weight))
    state["step"] += 1
    mean, square = state["mean"], state["square"]
    mean.lerp_(weight.grad, 1 - BETAS[0])
    square.mul_(BETAS[1]).addcmul_(weight.grad, weight.grad, value=1 - BETAS[1])
    corrected = mean / (1 - BETAS[0] ** state["step"])
    root = (square / (1 - BETAS[1] ** state["step"])).sqrt_().add_(EPSILON)
    step = corrected.div_(root).add_(weight, alpha=decay)
    norm, length = weight.norm(), step.norm()
    trust = torch.where((norm > 0) & (length > 0), norm / length, 1.0)  # on the device, which nothing waits for
    weight.sub_(step.mul_(trust), alpha=rate)
