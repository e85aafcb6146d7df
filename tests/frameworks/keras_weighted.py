"""Keras layers with weights, as Keras 3 documents them: over channels-last tensors, in inference.

Weights are random, and are recorded in the layout of cnnc's.
"""

from collections.abc import Callable
from math import ceil
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

Layer = Callable[..., Tensor]
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "celu": lambda x: torch.where(x > 0, x, x.exp() - 1),
    "elu": lambda x: torch.where(x > 0, x, x.exp() - 1),
    "exponential": lambda x: x.exp(),
    "gelu": lambda x: x * (1 + torch.erf(x / 2**0.5)) / 2,
    "hard_sigmoid": lambda x: (x / 6 + 0.5).clamp(0, 1),
    "hard_silu": lambda x: x * (x / 6 + 0.5).clamp(0, 1),
    "hard_tanh": lambda x: x.clamp(-1, 1),
    "leaky_relu": lambda x: torch.where(x > 0, x, 0.2 * x),
    "linear": lambda x: x,
    "log_softmax": lambda x: x - x.logsumexp(-1, keepdim=True),
    "mish": lambda x: x * torch.tanh(torch.log(1 + x.exp())),
    "relu": lambda x: x.clamp(min=0),
    "relu6": lambda x: x.clamp(0, 6),
    "selu": lambda x: 1.0507009873554805 * torch.where(x > 0, x, 1.6732632423543772 * (x.exp() - 1)),
    "sigmoid": lambda x: 1 / (1 + (-x).exp()),
    "silu": lambda x: x / (1 + (-x).exp()),
    "softmax": lambda x: (x - x.logsumexp(-1, keepdim=True)).exp(),
    "softplus": lambda x: torch.log(1 + x.exp()),
    "softsign": lambda x: x / (1 + x.abs()),
    "tanh": lambda x: x.tanh(),
}


def channels_last(x: Tensor) -> Tensor:
    """A map (B, C, H, W) as (B, H, W, C); other tensors unchanged."""
    return x.permute(0, 2, 3, 1) if x.ndim == 4 else x


def channels_first(x: Tensor) -> Tensor:
    """A map (B, H, W, C) as (B, C, H, W); other tensors unchanged."""
    return x.permute(0, 3, 1, 2) if x.ndim == 4 else x


def pair(value: Any) -> tuple[int, int]:
    """A number or a pair as a pair."""
    return (value, value) if isinstance(value, int) else tuple(value)


def _same(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """TensorFlow's padding before and after an axis."""
    total = max((ceil(size / stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


def padded_first(x: Tensor, padding: str, kernel: Any, stride: Any, dilation: Any, value: float = 0.0) -> Tensor:
    """Maps with channels last, padded and with channels first."""
    if padding == "valid":
        return channels_first(x)
    triples = zip(x.shape[1:3], pair(kernel), pair(stride), pair(dilation), strict=True)
    (top, bottom), (left, right) = (_same(*each) for each in triples)
    return functional.pad(channels_first(x), (left, right, top, bottom), value=value)


class Weighted:
    """One method for each layer, which returns a function; `weights` are those of all layers called."""

    def __init__(self) -> None:
        self.weights: list[Tensor] = []
        self.random = torch.Generator().manual_seed(0)

    def weight(self, *shape: int, layout: Callable[[Tensor], Tensor] = lambda each: each) -> Tensor:
        """A new weight of Keras's shape, recorded in cnnc's layout."""
        made = torch.rand(shape, generator=self.random) + 0.5
        self.weights.append(layout(made))
        return made

    def Conv2D(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        dilation_rate: Any = 1,
        groups: int = 1,
        activation: str = "linear",
        use_bias: bool = True,
    ) -> Layer:
        def call(x: Tensor) -> Tensor:
            padded = padded_first(x, padding, kernel_size, strides, dilation_rate)
            shape = (*pair(kernel_size), x.shape[-1] // groups, filters)
            kernel = self.weight(*shape, layout=lambda each: each.permute(3, 2, 0, 1))
            found = functional.conv2d(padded, kernel.permute(3, 2, 0, 1), None, strides, 0, dilation_rate, groups)
            added = channels_last(found) + (self.weight(filters) if use_bias else 0)
            return ACTIVATIONS[activation](added)

        return call

    def DepthwiseConv2D(
        self,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        use_bias: bool = True,
    ) -> Layer:
        def call(x: Tensor) -> Tensor:
            channels = x.shape[-1] * depth_multiplier

            def laid_out(kernel: Tensor) -> Tensor:
                return kernel.permute(2, 3, 0, 1).reshape(channels, 1, *pair(kernel_size))

            kernel = self.weight(*pair(kernel_size), x.shape[-1], depth_multiplier, layout=laid_out)
            padded = padded_first(x, padding, kernel_size, strides, 1)
            found = [
                functional.conv2d(padded[:, [c]], kernel[:, :, c, m][None, None], stride=strides)
                for c in range(x.shape[-1])
                for m in range(depth_multiplier)
            ]
            return channels_last(torch.cat(found, 1)) + (self.weight(channels) if use_bias else 0)

        return call

    def SeparableConv2D(self, filters: int, kernel_size: Any, strides: Any = 1, padding: str = "valid") -> Layer:
        depthwise = self.DepthwiseConv2D(kernel_size, strides, padding, use_bias=False)
        pointwise = self.Conv2D(filters, 1)
        return lambda x: pointwise(depthwise(x))

    def Conv2DTranspose(self, filters: int, kernel_size: Any, strides: int = 1, padding: str = "valid") -> Layer:
        """The gradient of a conv, as TensorFlow has it."""

        def call(x: Tensor) -> Tensor:
            def laid_out(kernel: Tensor) -> Tensor:
                return kernel.permute(3, 2, 0, 1)

            grown = zip(x.shape[1:3], pair(kernel_size), strict=True)
            sizes = [n * strides if padding == "same" else (n - 1) * strides + k for n, k in grown]
            kernel = self.weight(*pair(kernel_size), filters, x.shape[-1], layout=laid_out)
            out = torch.zeros(len(x), *sizes, filters, requires_grad=True)
            conv = functional.conv2d(
                padded_first(out, padding, kernel_size, strides, 1), laid_out(kernel), stride=strides
            )
            (found,) = torch.autograd.grad(conv, out, channels_first(x))
            return found + self.weight(filters)

        return call

    def Dense(self, units: int, activation: str = "linear", use_bias: bool = True) -> Layer:
        def call(x: Tensor) -> Tensor:
            kernel = self.weight(x.shape[-1], units, layout=lambda each: each.T)
            return ACTIVATIONS[activation](x @ kernel + (self.weight(units) if use_bias else 0))

        return call

    def BatchNormalization(self, momentum: float = 0.99, epsilon: float = 1e-3) -> Layer:
        def call(x: Tensor) -> Tensor:
            gamma, beta, mean, variance = (self.weight(x.shape[-1]) for _ in range(4))
            return (x - mean) / (variance + epsilon) ** 0.5 * gamma + beta

        return call

    def LayerNormalization(self, axis: Any = -1, epsilon: float = 1e-3) -> Layer:
        def call(x: Tensor) -> Tensor:
            axes = [axis] if isinstance(axis, int) else axis
            variance, mean = torch.var_mean(x, axes, correction=0, keepdim=True)
            shape = [x.shape[each] for each in axes]
            gamma, beta = (
                self.weight(*shape, layout=lambda each: each.permute(2, 0, 1) if each.ndim == 3 else each)
                for _ in range(2)
            )
            return (x - mean) / (variance + epsilon) ** 0.5 * gamma + beta

        return call

    def GroupNormalization(self, groups: int = 32, epsilon: float = 1e-3) -> Layer:
        def call(x: Tensor) -> Tensor:
            parts = x.unflatten(-1, (groups, -1))
            variance, mean = torch.var_mean(parts, (1, 2, 4), correction=0, keepdim=True)
            gamma, beta = self.weight(x.shape[-1]), self.weight(x.shape[-1])
            return ((parts - mean) / (variance + epsilon) ** 0.5).flatten(-2) * gamma + beta

        return call

    def UnitNormalization(self, axis: int = -1) -> Layer:
        return lambda x: x / (x * x).sum(axis, keepdim=True).sqrt()

    def MultiHeadAttention(self, num_heads: int, key_dim: int) -> Layer:
        def call(query: Tensor, value: Tensor, key: Tensor | None = None) -> Tensor:
            key = value if key is None else key
            features = query.shape[-1]
            kernels = [torch.rand(features, num_heads, key_dim, generator=self.random) - 0.5 for _ in range(3)]
            biases = [torch.rand(num_heads, key_dim, generator=self.random) for _ in range(3)]
            self.weights.append(torch.cat([each.flatten(1).T for each in kernels]))
            self.weights.append(torch.cat([each.flatten() for each in biases]))
            q, k, v = (
                torch.einsum("btf,fhd->bthd", x, kernel) + bias
                for x, kernel, bias in zip((query, key, value), kernels, biases, strict=True)
            )
            scores = torch.einsum("bthd,bshd->bhts", q, k) / key_dim**0.5
            mixed = torch.einsum("bhts,bshd->bthd", scores.softmax(-1), v)
            out = self.weight(num_heads, key_dim, features, layout=lambda each: each.flatten(0, 1).T)
            return torch.einsum("bthd,hdf->btf", mixed, out) + self.weight(features)

        return call
