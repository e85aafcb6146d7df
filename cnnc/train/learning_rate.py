"""The learning rate schedule, as a pure function of the step, so that checkpoints need no schedule state."""

from math import cos, pi

from cnnc.language.model import Train


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
