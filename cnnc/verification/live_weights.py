"""Live weights: weights with which a network's outputs depend on its input, so that comparing outputs tests all layers.

With torch's initial weights, the outputs of a deep network hardly depend on its input: each layer halves the part that
does and adds a bias, until all inputs give the same numbers and a wrong layer in the middle goes unnoticed. Running
means of 0 and variances of 1 hide a wrong batch norm in the same way.

Takes a module in eval mode and a batch for each of its inputs; overwrites its weights, layer by layer, during a forward
pass of that batch. Layers get random weights, scaled so that their outputs have unit variance around their channels'
means, and biases that put these means near zero (like Mishkin and Matas, "All you need is a good init", 2016, but in a
single pass). Norms get the statistics of their inputs, slightly changed. A module that runs several times keeps the
weights of its first run. Everything else (factors, slopes) is drawn around 1. Integers, such as `num_batches_tracked`,
stay.
"""

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor

SPREAD = 0.3  # standard deviation of biases and means, relative to values of unit variance
LIFT = 0.5  # mean of biases: if a ReLU cut off half of all numbers, rounding errors would grow from layer to layer
LEAST_VARIANCE = 1e-6  # below this, a channel counts as constant


def enliven(module: "torch.nn.Module", inputs: "Sequence[Tensor]", seed: int, gain: float) -> None:
    """Give the module live weights, drawn from `seed`.

    A layer scales the varying part of its output to at most `gain` times the constant part. After a global pool, for
    example, little varies: without this bound, rounding errors would be amplified to the size of the values.
    """
    import torch

    random = torch.Generator().manual_seed(seed)
    with torch.inference_mode():
        for value in module.state_dict().values():
            if value.is_floating_point():
                value.normal_(1, SPREAD, generator=random)
        for each in module.modules():
            if hasattr(each, "in_proj_weight"):  # attention, which uses its weights without calling a module
                _draw_attention(each, random)
        hooks = [_hooks(each, random, gain) for each in module.modules()]
        module(*inputs)
    for hook in chain(*hooks):
        hook.remove()


def _hooks(module: "torch.nn.Module", random: "torch.Generator", gain: float) -> list[Any]:
    """Register the hooks that set a layer's or norm's weights when it runs for the first time; return their handles."""
    from torch import nn

    handles: list[Any] = []

    def drawn(layer: Any, _: Any) -> None:
        handles.pop(0).remove()
        _draw(layer, random)

    def scaled(layer: Any, _: Any, output: "Tensor") -> "Tensor":
        handles.pop(0).remove()
        return _scale(layer, output, random, gain)

    def watched(norm: Any, inputs: "tuple[Tensor]") -> None:
        handles.pop(0).remove()
        _watch(norm, inputs[0], random, gain)

    layers = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    if isinstance(module, layers):
        handles += [module.register_forward_pre_hook(drawn), module.register_forward_hook(scaled)]
    elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        handles.append(module.register_forward_pre_hook(watched))
    return handles


def _draw(layer: Any, random: "torch.Generator") -> None:
    layer.weight.normal_(generator=random)
    if layer.bias is not None:
        layer.bias.zero_()


def _draw_attention(module: Any, random: "torch.Generator") -> None:
    """Draw weights that keep the variance, and with it the differences between the scores."""
    for name, value in module.named_parameters():
        if name.endswith("weight"):
            value.normal_(0, value.shape[1] ** -0.5, generator=random)
        else:
            value.normal_(0, SPREAD, generator=random)


def _scale(layer: Any, output: "Tensor", random: "torch.Generator", gain: float) -> "Tensor":
    """Scale a linear layer's weight by its output without bias, then set the bias; return the new output."""
    import torch

    mean, variance = _by_sample(output)
    scale = torch.maximum(variance.mean(), _floor(mean, gain)).rsqrt()
    layer.weight.mul_(scale)
    output.mul_(scale)
    if layer.bias is not None:
        over_tokens = isinstance(layer, torch.nn.Linear) and output.ndim > 2
        average = (mean.mean(0) if over_tokens else _by_channel(mean)) * scale
        layer.bias.copy_(LIFT + SPREAD * torch.randn(layer.bias.shape, generator=random) - average)
        output.add_(layer.bias if over_tokens else layer.bias.reshape(-1, *[1] * (output.ndim - 2)))
    return output


def _watch(norm: Any, x: "Tensor", random: "torch.Generator", gain: float) -> None:
    """Set a batch norm's running statistics from its input."""
    import torch

    mean, variance = _by_sample(x)
    average = _by_channel(mean)
    around = mean - average.reshape(-1, *[1] * (mean.ndim - 1))
    variance = torch.maximum(_by_channel(variance), _by_channel(around.square()) / gain**2)
    variance = torch.where(variance < LEAST_VARIANCE, torch.ones_like(variance), variance)
    noise = SPREAD * torch.randn(average.shape, generator=random)
    norm.running_mean.copy_(average + noise * variance.sqrt())
    if norm.bias is not None:
        norm.bias.sub_(1 - LIFT)
    norm.running_var.copy_(variance * (0.5 + torch.rand(variance.shape, generator=random)))


def _floor(mean: "Tensor", gain: float) -> "Tensor":
    return (mean.square().mean() / gain**2).clamp(min=LEAST_VARIANCE)


def _by_sample(output: "Tensor") -> "tuple[Tensor, Tensor]":
    """Return the mean and variance over the samples, for each channel and position."""
    import torch

    mean = output.mean(0)
    squares = torch.zeros_like(mean)
    for each in output:  # torch.var_mean takes 50 times as long along the first axis
        away = each - mean
        squares.addcmul_(away, away)
    return mean, squares / (len(output) - 1)


def _by_channel(value: "Tensor") -> "Tensor":
    return value.flatten(1).mean(1) if value.ndim > 1 else value
