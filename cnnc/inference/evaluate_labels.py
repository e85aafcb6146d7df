"""Evaluate a model that predicts several labels or numbers: `cnnc eval` of outputs `as: probabilities` or `as: vector`.

Takes a `Scorer` and a split of a data set, and returns a `LabelEvaluation` with the loss and metrics that training uses
(`cnnc.train.tasks`), and scores of each label or number.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cnnc.columns import left, widest
from cnnc.data.dataset import Part
from cnnc.diagnostics import CnncError, Code, counted
from cnnc.diagnostics.render import visible
from cnnc.inference.evaluation_batches import feed
from cnnc.inference.scorers import Scorer, require_finite, require_picture, unsuited
from cnnc.train.tasks import TASKS, Task, loss_of

if TYPE_CHECKING:
    from torch import Tensor

SHOWN = {"f1": "F1", "mae": "MAE", "rmse": "RMSE", "precision": "precision", "recall": "recall", "r2": "R²"}


@dataclass(frozen=True, eq=False)
class LabelEvaluation:
    """The result of `evaluate_labels`: `metrics` of the whole, `rows` with the scores of each label or number.

    `loss` is the mean over the examples. `skipped` counts the pictures that were left out because they cannot be read.
    """

    model: str
    loss: float
    metrics: dict[str, float]
    rows: tuple[dict[str, float | None], ...]
    names: tuple[str, ...]
    device: str
    examples: int
    notes: tuple[str, ...] = ()
    skipped: int = 0

    def as_json(self) -> dict[str, Any]:
        """The object of `cnnc eval --format json`; its keys are a stable interface for other programs."""
        each = [{"label": name, **row} for name, row in zip(self.names, self.rows, strict=True)]
        about = {"loss": self.loss, "examples": self.examples, "skipped": self.skipped}
        return {**self.metrics, **about, "labels": each}

    def as_text(self) -> str:
        """One summary line, and a table with a row for each label or number."""
        scores = ", ".join(f"{SHOWN[name]} {value:.4f}" for name, value in self.metrics.items())
        about = f"{scores}, loss {self.loss:.4f}, {counted(self.examples, 'example')} ({self.device})"
        names = [visible(name) for name in self.names]
        width = widest([*names, "label"])
        columns = [*self.rows[0]]
        heads = [SHOWN.get(each, each) for each in columns]
        lines = [f"{self.model}: {about}", "", "  ".join([left("label", width), *(f"{each:>9}" for each in heads)])]
        for name, row in zip(names, self.rows, strict=True):
            lines.append("  ".join([left(name, width), *(f"{_shown(row[each]):>9}" for each in columns)]))
        return "\n".join(lines)


def _shown(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def evaluate_labels(
    scorer: Scorer,
    kind: str,
    split: Part,
    names: Sequence[str] | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> LabelEvaluation:
    """Score every picture of `split`, whose labels are float32 (N, K); `names` are theirs.

    Raises CnncError: E502 if the model does not return K numbers, E503 to E505 for a picture, E507 if the model fails
    or its scores are not finite, E510 if the data does not fit the model.
    """
    import torch

    to = scorer.contract.input
    require_picture(scorer)
    task, loss, done = TASKS[kind], 0.0, 0
    labels, found = torch.from_numpy(split.labels), list[NDArray[np.float64]]()
    for pictures in feed(split, to, scorer.batch):
        truth = labels[done : done + len(pictures)]
        scores = _scores(scorer, task, pictures, truth.shape[1])
        loss += float(loss_of(task, None)(scores, truth.double(), 0.0))
        found.append(scores.numpy())
        done += len(pictures)
        progress(done, len(split))
    scores, truth = torch.from_numpy(np.concatenate(found)), labels.double()
    metrics = task.metrics(task.sums(scores, truth).tolist(), done)
    rows = _ROWS[kind](scores.numpy(), truth.numpy())
    given = scorer.contract.labels or names
    shown = tuple(given) if given and len(given) == len(rows) else tuple(map(str, range(len(rows))))
    return LabelEvaluation(
        scorer.path, loss / done, metrics, rows, shown, scorer.device, done, scorer.notes, len(split.skipped)
    )


def _scores(scorer: Scorer, task: Task, pictures: "Tensor", size: int) -> "Tensor":
    output = scorer.scores(pictures)
    if len(output) != len(pictures) or output[0].numel() != max(output.shape[1:], default=0):
        raise unsuited(scorer, f"its output is {list(output.shape)}, expected a vector")
    if output[0].numel() != size:
        raise CnncError.of(
            Code.DATA_MISFIT,
            f"the data has {counted(size, 'label')} per picture, but the model {scorer.path} returns "
            f"{output[0].numel()}",
            help="evaluate the model on data with the labels that it was trained for",
        )
    require_finite(scorer, output)
    return task.scores(output, scorer.contract.scores).double()


def _of_labels(scores: NDArray[np.float64], truth: NDArray[np.float64]) -> tuple[dict[str, float | None], ...]:
    """Return precision, recall, F1 and the number of examples of each label; None for a ratio of nothing."""
    yes, true = scores > 0, truth > 0.5
    rows = []
    for both, found, there in zip((yes & true).sum(0), yes.sum(0), true.sum(0), strict=True):
        ratios = {"precision": (both, found), "recall": (both, there), "f1": (2 * both, found + there)}
        row: dict[str, float | None] = {name: float(a / b) if b else None for name, (a, b) in ratios.items()}
        rows.append({**row, "examples": int(there)})
    return tuple(rows)


def _of_numbers(scores: NDArray[np.float64], truth: NDArray[np.float64]) -> tuple[dict[str, float | None], ...]:
    """Return MAE, RMSE and R² of each number; R² is None if the number is the same in all examples."""
    errors, spreads = scores - truth, ((truth - truth.mean(0)) ** 2).mean(0)
    squares = (errors**2).mean(0)
    return tuple(
        {"mae": float(size), "rmse": sqrt(square), "r2": float(1 - square / spread) if spread else None}
        for size, square, spread in zip(np.abs(errors).mean(0), squares, spreads, strict=True)
    )


_ROWS = {"probabilities": _of_labels, "vector": _of_numbers}
