"""Evaluate a model on labelled pictures: the implementation of `cnnc eval`.

Takes a `Scorer` and a split of a data set, and returns an `Evaluation`. Every kind of model gets the same arrays,
preprocessed on the CPU by the code that training uses, so that the scores of a checkpoint and its exports are
comparable.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cnnc.data.dataset import DecodedSplit, Files
from cnnc.diagnostics import CnncError, Code
from cnnc.inference import confusion
from cnnc.inference.evaluation_batches import feed
from cnnc.inference.predictions import PicturePrediction
from cnnc.inference.scorers import Scorer, require_finite, require_picture, unsuited

if TYPE_CHECKING:
    from torch import Tensor

TOP = 5


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The result of `evaluate`.

    `loss` is the mean cross-entropy in nats, `matrix` (K, K) has true classes as rows and predicted ones as columns.
    `skipped` counts the pictures that were left out because they cannot be read. `top5` is the fraction of examples
    whose class is among the five best, `predictions` has one for each picture, in their order.
    """

    model: str
    loss: float
    matrix: confusion.Matrix
    classes: tuple[str, ...]
    device: str
    notes: tuple[str, ...] = ()
    skipped: int = 0
    top5: float = 1.0
    predictions: tuple[PicturePrediction, ...] = ()

    @property
    def examples(self) -> int:
        return int(self.matrix.sum())

    @property
    def accuracy(self) -> float:
        """The fraction of examples whose best score is that of their class, 0..1."""
        return int(self.matrix.trace()) / self.examples

    @property
    def macro_f1(self) -> float:
        """The mean F1 score of the classes that occur or are predicted, 0..1."""
        both, either = self.matrix.diagonal(), self.matrix.sum(0) + self.matrix.sum(1)
        return float((2 * both[either > 0] / either[either > 0]).mean())

    @property
    def balanced_accuracy(self) -> float:
        """The mean recall of the classes that occur, 0..1."""
        recalls = [each.recall for each in self.per_class if each.recall is not None]
        return sum(recalls) / len(recalls)

    @cached_property
    def per_class(self) -> tuple[confusion.ClassScore, ...]:
        return confusion.per_class(self.matrix, self.classes)

    def as_json(self) -> dict[str, Any]:
        """The object of `cnnc eval --format json`; its keys are a stable interface for other programs."""
        return {
            "accuracy": self.accuracy,
            "loss": self.loss,
            "examples": self.examples,
            "skipped": self.skipped,
            "top5_accuracy": self.top5,
            "macro_f1": self.macro_f1,
            "balanced_accuracy": self.balanced_accuracy,
        }

    def as_text(self) -> str:
        """Two summary lines, and a table with a row for each class."""
        head = f"{self.model}: accuracy {self.accuracy:.4f}, loss {self.loss:.4f}, {self.examples:,} examples"
        more = f"macro-F1 {self.macro_f1:.4f}, balanced accuracy {self.balanced_accuracy:.4f}"
        more += f", top-5 accuracy {self.top5:.4f}" if len(self.classes) > 2 * TOP else ""
        return f"{head} ({self.device})\n{more}\n\n{confusion.table(self.per_class)}"


def evaluate(
    scorer: Scorer,
    split: DecodedSplit | Files,
    classes: Sequence[str] | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Evaluation:
    """Score every picture of `split`; `classes` are the data's class names. `progress` gets the number done and of all.

    Raises CnncError: E502 if the model does not return one score per class, E503 to E505 for a picture, E507 if the
    model fails or its scores are not finite, E510 if the data's channels, sizes or classes do not fit the model.
    """
    import torch
    from torch.nn.functional import cross_entropy

    to = scorer.contract.input
    require_picture(scorer)
    total, matrix, done, predictions, top = 0.0, None, 0, list[PicturePrediction](), 0
    labels = torch.tensor(split.labels)
    for pictures in feed(split, to, scorer.batch):
        there = labels[done : done + len(pictures)]
        scores = _scores(scorer, pictures, there)
        total += float(cross_entropy(scores, there, reduction="sum"))
        counted = confusion.count(there.numpy(), scores.argmax(1).numpy(), scores.shape[1])
        matrix = counted if matrix is None else matrix + counted
        top += int((scores.topk(min(TOP, scores.shape[1])).indices == there[:, None]).sum())
        predictions += _predictions(scores, there)
        done += len(pictures)
        progress(done, len(split))
    assert matrix is not None  # a split has at least one picture
    notes, names = _names(scorer, classes, len(matrix))
    notes = [*scorer.notes, *notes]
    skipped = len(split.skipped)
    return Evaluation(
        *(scorer.path, total / done, matrix, names, scorer.device, tuple(notes), skipped),
        top5=top / done,
        predictions=tuple(predictions),
    )


def _predictions(scores: "Tensor", labels: "Tensor") -> Iterator[PicturePrediction]:
    """Yield the prediction of each row of logits."""
    shares = scores.softmax(1)
    predicted = scores.argmax(1)
    best, own = (shares.gather(1, each[:, None])[:, 0].tolist() for each in (predicted, labels))
    yield from map(PicturePrediction, labels.tolist(), predicted.tolist(), best, own)


def _scores(scorer: Scorer, pictures: "Tensor", labels: "Tensor") -> "Tensor":
    """Return the logits of a batch, float64 (N, classes)."""
    from cnnc.train.task_losses import LEAST

    output = scorer.scores(pictures)
    if output.dim() < 2 or len(output) != len(labels) or output[0].numel() != max(output.shape[1:]):
        raise unsuited(scorer, f"its output is {list(output.shape)}, expected one score per class")
    output = output.flatten(1)
    require_finite(scorer, output)
    _require_known(scorer, int(labels.max()), output.shape[1])
    exact = output.double()
    if _kind(scorer, output) == "probabilities":
        exact = exact.clamp_min(LEAST).log()  # logarithms of probabilities are valid logits: softmax inverts them
    return exact


def _kind(scorer: Scorer, output: "Tensor") -> str:
    """Return the kind of the scores. Without one in the contract, values that look like probabilities count as such."""
    if scorer.contract.scores is not None:
        return scorer.contract.scores
    inside = bool((output >= 0).all()) and bool(((output.sum(1) - 1).abs() <= 1e-3).all())
    return "probabilities" if inside else "logits"


def _require_known(scorer: Scorer, label: int, classes: int) -> None:
    if classes < 2:
        raise unsuited(scorer, f"it returns {classes} score, expected one score for each of at least 2 classes")
    if label >= classes:
        raise CnncError.of(
            Code.DATA_MISFIT,
            f"the data has the label {label}, but the model {scorer.path} has the classes 0 to {classes - 1}",
            help="evaluate the model on data with the classes that it was trained for",
        )


def _names(scorer: Scorer, classes: Sequence[str] | None, count: int) -> tuple[list[str], tuple[str, ...]]:
    """Return a note if model and data name the classes differently, and a name for each class."""
    ours = scorer.contract.labels
    named = list(ours or classes or [])[:count]
    names = (*named, *map(str, range(len(named), count)))
    if ours is None or classes is None or tuple(classes) == tuple(ours):
        return [], names
    at = next((i for i, (a, b) in enumerate(zip(ours, classes, strict=False)) if a != b), min(len(ours), len(classes)))
    theirs = f"{classes[at]!r} in the data" if at < len(classes) else "missing in the data"
    return [f"model and data name their classes differently: class {at} is {names[at]!r} in the model, {theirs}"], names
