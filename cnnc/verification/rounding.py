"""Simulate rounding errors in a network, to measure how they propagate to its outputs.

Takes a module in float64; returns the same module with random errors of float32 size on the inputs of every operator.
The change of its outputs is the effect of rounding. torch's float32 outputs do not always show it: a norm amplifies the
errors of a constant map by 300, but torch may happen to compute its mean exactly.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

ROUNDING = 2.0**-24  # the largest relative rounding error of float32
NEAR_ONE = ("elu", "sigmoid", "_softmax", "silu", "gelu", "mish", "softplus")
"""Operators whose small results some implementations compute from numbers near 1: exp(x) - 1 and not expm1(x)."""


def with_rounding_errors(module: "Module", seed: int = 0) -> Callable[..., Any]:
    """Return the module with random errors drawn from `seed`, or as it is if this torch cannot simulate them."""
    import torch
    from torch.fx.node import map_aggregate

    try:  # private, but the public torch.overrides sees a whole layer as one operator
        from torch.utils._python_dispatch import TorchDispatchMode
    except ImportError:
        return module

    random = torch.Generator().manual_seed(seed)
    near_one = {getattr(torch.ops.aten, name).default for name in NEAR_ONE}

    def noise(like: "Tensor") -> "Tensor":
        return ROUNDING * torch.randn(like.shape, generator=random, dtype=like.dtype)

    def off(value: Any) -> Any:
        inexact = isinstance(value, torch.Tensor) and value.is_floating_point()
        return value * (1 + noise(value)) if inexact else value

    class Shaking(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's class has no types
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = function(*map_aggregate(args, off), **(kwargs or {}))
            return result + noise(result) if function in near_one else result

    def run(*inputs: "Tensor") -> Any:
        with torch.inference_mode(mode=False), torch.no_grad(), Shaking():  # type: ignore[no-untyped-call]
            return module(*inputs)

    return run
