"""Simulate rounding errors in a network, to measure how they propagate to its outputs.

Takes a module in float64; returns the same module with random errors of float32 size on the inputs of every operator.
The change of its outputs is the effect of rounding. torch's float32 outputs do not always show it: a norm amplifies the
errors of a constant map by 300, but torch may happen to compute its mean exactly. torch also sums in blocks. A library
that adds one number after the other loses more: of a map that is nearly all padding, each square may be too small to
change the sum. So norms also get the error of such sums, scaled so that `compare` allows three times as much. Means,
sums and average pools get the largest error that onnxruntime was seen to make of them: that of a constant map.
"""

from collections.abc import Callable
from math import prod
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

ROUNDING = 2.0**-24  # the largest relative rounding error of float32
NORMS = ("native_group_norm", "native_layer_norm", "native_batch_norm")  # the last one also computes instance norms
ALLOWED = 300  # times the rounding error, by `compare`
PLAIN_SUMS = 3 / ALLOWED
LOST_BY_SUMS = {
    "avg_pool2d.default": 0.3,
    "_adaptive_avg_pool2d.default": 0.3,
    "mean.dim": 0.08,
    "sum.dim_IntList": 0.08,
    "linalg_vector_norm.default": 0.08,
}
"""The relative error of sums of n equal numbers, in n * ROUNDING: measured up to 0.24 one by one, 0.055 in lanes."""
NEAR_ONE = ("elu", "celu", "sigmoid", "_softmax", "silu", "gelu", "mish", "softplus")
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
    near_one, norms = ({getattr(torch.ops.aten, name).default for name in names} for names in (NEAR_ONE, NORMS))
    sums = {attrgetter(name)(torch.ops.aten): lost for name, lost in LOST_BY_SUMS.items()}

    def noise(like: "Tensor") -> "Tensor":
        drawn = torch.randn(like.shape, generator=random)  # in float32, which is drawn five times as fast
        return ROUNDING * drawn.to(like.dtype)

    def off(value: Any) -> Any:
        inexact = isinstance(value, torch.Tensor) and value.is_floating_point()
        return value * (1 + noise(value)) if inexact else value  # infinity stays infinite

    class Shaking(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's class has no types
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            result = function(*map_aggregate(args, off), **kwargs)
            if function in norms and result[1].numel():  # no mean is computed by a batch norm in eval mode
                return result[0] + PLAIN_SUMS * _error_of_norm(args[0], args[-1], *result), *result[1:]
            if function in sums:
                lost = sums[function] / ALLOWED * _error_of_sum(function, args, kwargs, result)
                return result + lost * noise(result).sign()
            return result + noise(result) if function in near_one else result

    def run(*inputs: "Tensor") -> Any:
        with torch.inference_mode(mode=False), torch.no_grad(), Shaking():  # type: ignore[no-untyped-call]
            return module(*inputs)

    return run


def _error_of_norm(x: "Tensor", eps: float, out: "Tensor", mean: "Tensor", rstd: "Tensor") -> "Tensor":
    """Return the change of a norm's output if its sums are plain ones, as for a weight of 1 and a bias of 0."""
    rows = x.reshape(mean.numel(), -1)
    own = _plain_mean(rows)
    own_rstd = (_plain_mean((rows - own).square()) + eps).rsqrt()
    change = out.reshape(rows.shape) * (own_rstd / rstd.reshape(-1, 1) - 1) - (own - mean.reshape(-1, 1)) * own_rstd
    return change.reshape(out.shape)


def _plain_mean(rows: "Tensor") -> "Tensor":
    """Return the mean of each row from a float32 sum in order; torch's sums are not in order."""
    import numpy as np
    import torch

    sums = np.add.accumulate(rows.numpy(), axis=1, dtype=np.float32)[:, -1:]
    return torch.from_numpy(sums).to(rows.dtype) / rows.shape[1]


def _error_of_sum(function: Any, args: Any, kwargs: Any, out: "Tensor") -> "Tensor":
    """Return the largest error of plain sums in a mean, a sum or an average pool: the more numbers, the larger."""
    import torch

    whole = function is not torch.ops.aten.avg_pool2d.default
    count: float = args[0].numel() / max(1, out.numel()) if whole else prod(args[1])
    size: Tensor = function(args[0].abs(), *args[1:], **kwargs)
    return count * ROUNDING * size
