"""Check that the fields of a recipe suit the task of the network: some are only for classes, or not for masks."""

from cnnc.diagnostics import CnncError, Code, listed
from cnnc.language.recipe import Train
from cnnc.train.monitor.metrics import LOSS
from cnnc.train.tasks import Task

POLICIES = ("randaugment", "trivialaugment")


def require_suited(recipe: Train, task: Task) -> None:
    """Raise E203 for a field that the task has no use for."""
    metrics = [LOSS, *task.metrics([0.0] * task.size(1), 1)]
    if recipe.best is not None and recipe.best not in metrics:
        raise _unsuited(f"`best` of the recipe is `{recipe.best}`", task, f"its metrics are {listed(metrics)}")
    if task.kind != "classes":
        for name in ("class_weights", "sampler"):
            if getattr(recipe, name) not in (None, "shuffle"):
                raise _unsuited(f"the recipe has `{name}`", task, f"`{name}` is for outputs with `as: classes`")
    if task.masks:
        names = [name for name in ("mixup", "cutmix") if getattr(recipe, name)]
        names += [name for name in POLICIES if name in recipe.augment]
        if names:
            raise _unsuited(f"the recipe has `{names[0]}`", task, "masks can be flipped, cropped and rotated")


def _unsuited(message: str, task: Task, help: str) -> CnncError:
    return CnncError.of(Code.BAD_VALUE, f"{message}, but the output is trained as `{task.kind}`", help=help)
