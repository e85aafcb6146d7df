"""The tasks that a network can be trained for: one row a task, by the kind of its prediction (`outputs … as`).

A row holds the losses, how outputs become scores, the sums over batches from which the metrics are computed, and
whether targets are masks, which are augmented with their pictures. Losses and sums add up over examples, so that
batches may be split among processes. Targets of a batch of N are

    classes        int64 (N,)
    probabilities  float32 (N, labels), 0 or 1
    segmentation   uint8 (N, H, W), class indices; IGNORED pixels do not count
    vector         float32 (N, numbers)
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

from cnnc.data.dataset import IGNORED
from cnnc.diagnostics import CnncError, Code, listed
from cnnc.graph.graph import Graph, Output
from cnnc.graph.output_kinds import class_count
from cnnc.train import task_losses as losses

if TYPE_CHECKING:
    from torch import Tensor


SMOOTHED = ("cross_entropy",)  # the losses with label smoothing


@dataclass(frozen=True)
class Task:
    """A row of TASKS. The first loss is the default, the first metric decides the best epoch.

    `scores` maps an output and its form (`logits`, `probabilities`, `log_probabilities` or None) to the scores that the
    losses take. `sums` returns `size(classes)` numbers of a batch, `metrics` takes their sums over all examples.
    """

    kind: str
    losses: Mapping[str, losses.Loss]
    scores: "Callable[[Tensor, str | None], Tensor]"
    size: Callable[[int], int]
    sums: "Callable[[Tensor, Tensor], Tensor]"
    metrics: Callable[[Sequence[float], int], dict[str, float]]
    masks: bool = False


def prediction(graph: Graph) -> Output:
    """Return the output that is trained and tested: the first that is not `only: train`."""
    return next(each for each in graph.outputs if not each.train_only)


def task_of(graph: Graph) -> Task:
    """Return the task of a network, by the kind of its prediction; raises E510 if it cannot be trained for that."""
    output = prediction(graph)
    kind = graph.kind_of(output)
    if kind not in TASKS:
        raise CnncError.of(
            Code.DATA_MISFIT,
            f"`cnnc train` cannot train the output `{output.name}` of `{graph.name}`, a {kind} output of "
            f"{graph.type_of(output.ref)}",
            help=f"it trains outputs with `as: {'`, `as: '.join(TASKS)}`",
        )
    return TASKS[kind]


def width(graph: Graph, output: Output) -> int:
    """Return the number of classes, labels or numbers of an output of a task."""
    shape = graph.type_of(output.ref).shape
    return class_count(graph.kind_of(prediction(graph)), shape) or max(each or 1 for each in shape)


def loss_of(task: Task, name: str | None, smoothing: float = 0.0) -> losses.Loss:
    """Return the loss of the recipe, or the task's default; raises E203 if the task has no such loss or smoothing."""
    if name is not None and name not in task.losses:
        message = f"`loss` of the recipe is `{name}`, but the output is trained as `{task.kind}`"
        raise CnncError.of(Code.BAD_VALUE, message, help=f"the losses of {task.kind} are {listed(list(task.losses))}")
    name = name or next(iter(task.losses))
    if smoothing and name not in SMOOTHED:
        message = f"`label_smoothing` of the recipe is {smoothing:g}, but the output is trained by `{name}`"
        raise CnncError.of(Code.BAD_VALUE, message, help=f"it needs the loss {listed(SMOOTHED)}")
    return task.losses[name]


def _class_counts(scores: "Tensor", targets: "Tensor") -> "Tensor":
    """Count examples as `_counts`; the class of a mixed example is that with the highest probability."""
    true = targets.argmax(1) if targets.is_floating_point() else targets
    return _counts(scores, true, true.new_ones(len(true)))


def _label_counts(scores: "Tensor", targets: "Tensor") -> "Tensor":
    import torch

    yes, true = scores > 0, targets > 0.5
    return torch.cat([(yes & true).sum(0), true.sum(0), yes.sum(0)])


def _pixel_counts(scores: "Tensor", targets: "Tensor") -> "Tensor":
    """Count pixels as `_counts`."""
    import torch

    counts = (targets != IGNORED).flatten().to(torch.int64)
    return _counts(scores, targets.flatten().to(torch.int64) * counts, counts)


def _counts(scores: "Tensor", true: "Tensor", counts: "Tensor") -> "Tensor":
    """Count, for each class, what is of it and predicted as it, what is of it, and what is predicted as it."""
    import torch

    found = scores.argmax(1).flatten()
    none = counts.new_zeros(scores.shape[1])
    both = none.index_add(0, true, counts * (true == found))
    return torch.cat([both, none.index_add(0, true, counts), none.index_add(0, found, counts)])


def _errors(scores: "Tensor", targets: "Tensor") -> "Tensor":
    import torch

    differences = scores - targets
    return torch.stack([differences.abs().mean(1).sum(), differences.square().mean(1).sum()])


def _thirds(sums: Sequence[float]) -> list[tuple[float, float, float]]:
    """Return for each class: both true and predicted, true, predicted."""
    size = len(sums) // 3
    return list(zip(sums[:size], sums[size : 2 * size], sums[2 * size :], strict=True))


def _overlap(sums: Sequence[float], _: int) -> dict[str, float]:
    ious = [both / (true + found - both) for both, true, found in _thirds(sums) if true + found]
    true = sum(each[1] for each in _thirds(sums))
    accuracy = sum(each[0] for each in _thirds(sums)) / true if true else 0.0
    return {"mean_iou": _mean(ious), "pixel_accuracy": accuracy}


def _accuracy(sums: Sequence[float], count: int) -> dict[str, float]:
    return {"accuracy": sum(each[0] for each in _thirds(sums)) / count, "macro_f1": _f1(sums, count)["f1"]}


def _f1(sums: Sequence[float], _: int) -> dict[str, float]:
    return {"f1": _mean([2 * both / (true + found) for both, true, found in _thirds(sums) if true + found])}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


TASKS = {
    task.kind: task
    for task in (
        Task(
            "classes",
            {"cross_entropy": losses.cross_entropy},
            scores=losses.log_scores,
            size=lambda classes: 3 * classes,
            sums=_class_counts,
            metrics=_accuracy,
        ),
        Task(
            "probabilities",
            {"binary_cross_entropy": losses.binary_cross_entropy},
            scores=losses.logits,
            size=lambda classes: 3 * classes,
            sums=_label_counts,
            metrics=_f1,
        ),
        Task(
            "segmentation",
            {"cross_entropy": losses.pixel_cross_entropy, "dice": losses.dice},
            scores=losses.pixel_scores,
            size=lambda classes: 3 * classes,
            sums=_pixel_counts,
            metrics=_overlap,
            masks=True,
        ),
        Task(
            "vector",
            {"mse": losses.mse, "l1": losses.l1, "huber": losses.huber},
            scores=losses.numbers,
            size=lambda classes: 2,
            sums=_errors,
            metrics=lambda sums, count: {"mae": sums[0] / count, "rmse": sqrt(sums[1] / count)},
        ),
    )
}
