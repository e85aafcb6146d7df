"""How well a model does on labelled pictures: what `cnnc eval` does.

In: a `Scorer` and a split of a data set. Out: an `Evaluation`. Every kind of model gets the very same arrays, made on
the CPU by what made them in training, so that the numbers of a checkpoint and of its exports can be compared.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cnnc.data.dataset import Files, Split
from cnnc.diagnostics import CnncError, Code
from cnnc.inference import confusion
from cnnc.inference.evaluation_batches import feed
from cnnc.inference.scorers import Scorer

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Evaluation:
    """`loss` is the mean cross-entropy in nats, `matrix` (K, K) has true classes as rows and predicted as columns.

    `skipped` counts the pictures that were left out because they cannot be read.
    """

    model: str
    loss: float
    matrix: confusion.Matrix
    classes: tuple[str, ...]
    device: str
    notes: tuple[str, ...] = ()
    skipped: int = 0

    @property
    def examples(self) -> int:
        return int(self.matrix.sum())

    @property
    def accuracy(self) -> float:
        """The share of examples whose best score is their class's, 0..1."""
        return int(self.matrix.trace()) / self.examples

    @cached_property
    def per_class(self) -> tuple[confusion.ClassScore, ...]:
        return confusion.per_class(self.matrix, self.classes)

    def as_json(self) -> dict[str, Any]:
        """The line of `cnnc eval --format json`: a promise to other programs."""
        return {
            "accuracy": self.accuracy,
            "loss": self.loss,
            "examples": self.examples,
            "skipped": self.skipped,
        }

    def as_text(self) -> str:
        """A line in all, and a table a class a row."""
        head = f"{self.model}: accuracy {self.accuracy:.4f}, loss {self.loss:.4f}, {self.examples:,} examples"
        return f"{head} ({self.device})\n\n{confusion.table(self.per_class)}"


def evaluate(
    scorer: Scorer,
    split: Split | Files,
    classes: Sequence[str] | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Evaluation:
    """Score every picture of `split`; `classes` are the data's own names. `progress` is told how many are done.

    Raises CnncError: E502 where the model gives no score a class, E503 to E505 for a picture, E507 where the model
    fails or its scores are not finite, E510 where the data's channels, sizes or classes are not the model's.
    """
    import torch

    to = scorer.contract.input
    if to.mode is None:
        raise _unsuited(scorer, f"its input {to.name!r} {list(to.shape)} is not a picture")
    total, matrix, done = 0.0, None, 0
    labels = torch.tensor(split.labels)
    for pictures in feed(split, to, scorer.batch):
        loss, counted = _score(scorer, pictures, labels[done : done + len(pictures)])
        total += loss
        matrix = counted if matrix is None else matrix + counted
        done += len(pictures)
        progress(done, len(split))
    assert matrix is not None  # a split has at least one picture
    notes, names = _names(scorer, classes, len(matrix))
    told = (*scorer.notes, *notes)
    return Evaluation(scorer.path, total / done, matrix, names, scorer.device, told, len(split.skipped))


def _score(scorer: Scorer, pictures: "Tensor", labels: "Tensor") -> tuple[float, confusion.Matrix]:
    """The sum of the losses, and the matrix, of a batch."""
    from torch.nn.functional import cross_entropy

    from cnnc.train.loss import LEAST

    output = scorer.scores(pictures)
    if output.dim() < 2 or len(output) != len(labels) or output[0].numel() != max(output.shape[1:]):
        raise _unsuited(scorer, f"its output came as {list(output.shape)}, which is not one score a class")
    output = output.flatten(1)
    if not output.isfinite().all():
        bad = int((~output.isfinite()).sum())
        raise CnncError.of(
            Code.MODEL_FAILED,
            f"{scorer.path}: {bad} of a batch's {output.numel()} scores are not finite",
            help="the weights are damaged or the training diverged: take an earlier checkpoint",
        )
    _require_known(scorer, int(labels.max()), output.shape[1])
    exact = output.double()
    if _kind(scorer, output) == "probabilities":
        exact = exact.clamp_min(LEAST).log()  # their logarithms are logits, as softmax would give them back
    loss = cross_entropy(exact, labels, reduction="sum")
    counted = confusion.count(labels.numpy(), output.argmax(1).numpy(), output.shape[1])
    return float(loss), counted


def _kind(scorer: Scorer, output: "Tensor") -> str:
    """What the scores are. Where nobody said, what looks like probabilities is taken for them."""
    if scorer.contract.scores is not None:
        return scorer.contract.scores
    inside = bool((output >= 0).all()) and bool(((output.sum(1) - 1).abs() <= 1e-3).all())
    return "probabilities" if inside else "logits"


def _require_known(scorer: Scorer, label: int, classes: int) -> None:
    if classes < 2:
        raise _unsuited(scorer, f"it gives {classes} score, where classes are told apart by one score each")
    if label >= classes:
        raise CnncError.of(
            Code.DATA_MISFIT,
            f"the data has a label {label}, and the model {scorer.path} knows the classes 0 to {classes - 1}",
            help="evaluate it on the data that it was trained for",
        )


def _names(scorer: Scorer, classes: Sequence[str] | None, count: int) -> tuple[list[str], tuple[str, ...]]:
    """A note where model and data call the classes differently, and a name for each class."""
    ours = scorer.contract.labels
    named = list(ours or classes or [])[:count]
    names = (*named, *map(str, range(len(named), count)))
    if ours is None or classes is None or tuple(classes) == tuple(ours):
        return [], names
    at = next((i for i, (a, b) in enumerate(zip(ours, classes, strict=False)) if a != b), min(len(ours), len(classes)))
    theirs = f"{classes[at]!r} in the data" if at < len(classes) else "missing in the data"
    return [f"model and data name their classes differently: class {at} is {names[at]!r}, {theirs}"], names


def _unsuited(scorer: Scorer, reason: str) -> CnncError:
    return CnncError.of(Code.MODEL_UNSUITED, f"eval cannot use the model {scorer.path}: {reason}")
