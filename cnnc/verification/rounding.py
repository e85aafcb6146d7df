"""What a network makes of rounding errors, wherever they occur.

In goes a module in float64; out comes the same module with errors: whatever an operator takes is off by as much as a
float32 is rounded. How far its outputs then move is how much of rounding arrives there. Torch's own float32 outputs do
not always show that: a norm multiplies the errors of a constant map by 300, but torch may happen to find its very mean.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

ROUNDING = 2.0**-24  # the most that it changes, as a part of a number


def shaken(module: "Module", seed: int = 0) -> Callable[..., Any]:
    """The module with errors, which `seed` draws."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_map_only

    random = torch.Generator().manual_seed(seed)

    def noise(like: "Tensor") -> "Tensor":
        return ROUNDING * torch.randn(like.shape, generator=random, dtype=like.dtype)

    def off(value: "Tensor") -> "Tensor":
        return value * (1 + noise(value)) if value.is_floating_point() else value

    class Shaking(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's class has no types
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = function(*tree_map_only(torch.Tensor, off, args), **(kwargs or {}))
            if function is torch.ops.aten.elu.default:  # which is exp(x) - 1 where it is not expm1(x)
                return result + noise(result)
            return result

    def run(*inputs: "Tensor") -> Any:
        with torch.inference_mode(mode=False), torch.no_grad(), Shaking():  # type: ignore[no-untyped-call]
            return module(*inputs)

    return run
