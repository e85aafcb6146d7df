"""The learning rate of each step of a run, by the recipe: warm-up, then a schedule.

The rate depends only on the recipe and the number of the step, so a resumed run continues with the rates of the whole.
"""

from math import cos, pi

from cnnc.language.recipe import Train

RISING = 0.3  # the part of a run in which one_cycle rises
FIRST, LAST = 1 / 25, 1 / 250_000  # its first and its last rate, as parts of `lr`


def rate(recipe: Train, step: int, steps: int) -> float:
    """Return the learning rate of the run's step `step`, counted from 0, with `steps` per epoch.

    Warm-up rises linearly and reaches `lr` in its last step. `step` multiplies by `gamma` after every `step_size`
    epochs. The others fall from the end of the warm-up to the end of the run: `cosine` (Loshchilov and Hutter, 2017)
    and `polynomial` with the power `power` towards 0, `one_cycle` (Smith and Topin, 2018) as `_one_cycle` says.
    """
    warm = recipe.warmup_steps or recipe.warmup * steps
    if step < warm:
        return recipe.lr * (step + 1) / warm
    count = max(1, recipe.epochs * steps - warm)
    done = min(1.0, (step - warm) / count)
    if recipe.schedule == "step":
        return float(recipe.lr * recipe.gamma ** (step // steps // recipe.step_size))
    if recipe.schedule == "cosine":
        return recipe.lr * (1 + cos(pi * done)) / 2
    if recipe.schedule == "polynomial":
        return float(recipe.lr * (1 - done) ** recipe.power)
    if recipe.schedule == "one_cycle":
        return recipe.lr * _one_cycle(step, count)
    return recipe.lr


def _one_cycle(step: int, count: int) -> float:
    """Return the factor of `lr`: from FIRST to 1 over the part RISING of the steps, then to LAST, along cosines."""
    top = RISING * count - 1  # both ends are steps, as in torch's OneCycleLR
    if step <= top:
        return _between(FIRST, 1, step / top)
    return _between(1, LAST, min(1.0, (step - top) / max(1, count - 1 - top)))


def _between(start: float, end: float, done: float) -> float:
    return end + (start - end) * (1 + cos(pi * done)) / 2
