"""Initialise the weights, and create the optimizer and the learning rate of each step, by the recipe."""

from collections.abc import Sequence
from math import cos, pi
from typing import TYPE_CHECKING, Any

from cnnc.language.recipe import Train
from cnnc.targets.torch_module import seeded
from cnnc.train.epoch_order import derive

if TYPE_CHECKING:
    import torch
    from torch.nn import Parameter
    from torch.optim import Optimizer


def initialise(module: "torch.nn.Module", how: str, seed: int) -> None:
    """Draw the weights of convolutions and linear layers; biases and other layers keep torch's initialisation.

    `xavier`: uniform (Glorot and Bengio, 2010); `kaiming`: normal, for ReLU (He et al., 2015); `default`: nothing.
    """
    import torch

    if how == "default":
        return
    draw = torch.nn.init.xavier_uniform_ if how == "xavier" else _kaiming
    kinds = (torch.nn.Linear, torch.nn.Conv2d, torch.nn.ConvTranspose2d)
    with seeded(derive(seed, "init")):
        for each in module.modules():
            if isinstance(each, kinds):
                draw(each.weight)


def _kaiming(weight: "torch.Tensor") -> "torch.Tensor":
    import torch

    return torch.nn.init.kaiming_normal_(weight, nonlinearity="relu")


def options(recipe: Train) -> dict[str, Any]:
    """Return the arguments of the recipe's optimizer, without the learning rate, which is set at every step."""
    given: dict[str, Any] = {"weight_decay": recipe.weight_decay}
    if recipe.optimizer != "adamw":
        given["momentum"] = recipe.momentum
    if recipe.optimizer == "sgd":
        given["nesterov"] = recipe.nesterov
    return given


def optimizer(module: "torch.nn.Module", recipe: Train, groups: "Sequence[Sequence[Parameter]]" = ()) -> "Optimizer":
    """Return the recipe's optimizer for groups of parameters, by default one group with all of the module's."""
    import torch

    kinds: dict[str, Any] = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW, "rmsprop": torch.optim.RMSprop}
    given = options(recipe)
    # the fused kernel is faster, but with fp16's loss scaling it does not support gradient clipping
    if recipe.optimizer != "rmsprop" and not (recipe.precision == "16" and recipe.clip):
        given["fused"] = True
    learned: Any = [{"params": group} for group in groups] or module.parameters()
    made: Optimizer = kinds[recipe.optimizer](learned, lr=recipe.lr, **given)
    return made


def rate(recipe: Train, step: int, steps: int) -> float:
    """Return the learning rate of the run's step `step`, counted from 0, with `steps` per epoch.

    Warm-up rises linearly and reaches `lr` in its last step; `step` multiplies by `gamma` after every `step_size`
    epochs; `cosine` (Loshchilov and Hutter, 2017) falls from the end of the warm-up towards 0 at the end of the run.
    """
    warm = recipe.warmup * steps
    if step < warm:
        return recipe.lr * (step + 1) / warm
    if recipe.schedule == "step":
        return float(recipe.lr * recipe.gamma ** (step // steps // recipe.step_size))
    if recipe.schedule == "cosine":
        done = (step - warm) / max(1, recipe.epochs * steps - warm)
        return recipe.lr * (1 + cos(pi * min(1.0, done))) / 2
    return recipe.lr
