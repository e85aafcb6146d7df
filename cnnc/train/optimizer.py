"""Initialise the weights, and create the optimizer, by the recipe."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cnnc.language.recipe import Train
from cnnc.targets.torch_module import seeded
from cnnc.train.epoch_order import derive
from cnnc.train.lamb import lamb

if TYPE_CHECKING:
    import torch
    from torch.nn import Parameter
    from torch.optim import Optimizer

FUSED = ("sgd", "adamw")  # the optimizers with a fused kernel


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
    more: dict[str, dict[str, Any]] = {
        "sgd": {"momentum": recipe.momentum, "nesterov": recipe.nesterov},
        "rmsprop": {"momentum": recipe.momentum},
        "nadam": {"decoupled_weight_decay": True},
    }
    return {"weight_decay": recipe.weight_decay, **more.get(recipe.optimizer, {})}


def optimizer(module: "torch.nn.Module", recipe: Train, groups: "Sequence[Sequence[Parameter]]" = ()) -> "Optimizer":
    """Return the recipe's optimizer for groups of parameters, by default one group with all of the module's."""
    import torch

    kinds: dict[str, Any] = {
        "sgd": torch.optim.SGD,
        "adamw": torch.optim.AdamW,
        "rmsprop": torch.optim.RMSprop,
        "nadam": torch.optim.NAdam,
        "lamb": lamb(),
    }
    given = options(recipe)
    # the fused kernel is faster, but with fp16's loss scaling it does not support gradient clipping
    if recipe.optimizer in FUSED and not (recipe.precision == "16" and recipe.clip):
        given["fused"] = True
    learned: Any = [{"params": group} for group in groups] or module.parameters()
    made: Optimizer = kinds[recipe.optimizer](learned, lr=recipe.lr, **given)
    return made
