"""The losses of the tasks, and how outputs become the scores that the losses take.

A loss takes the scores and targets of a batch, described in `cnnc.train.tasks`, and the label smoothing. It returns the
sum over the examples; the loss of an example is a mean over its labels, pixels or numbers.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from cnnc.data.dataset import IGNORED

if TYPE_CHECKING:
    from torch import Tensor

Loss = Callable[["Tensor", "Tensor", float], "Tensor"]
LEAST = 1e-30  # smaller probabilities are clamped, because the logarithm of 0 is infinite
CLOSEST = 1e-7  # probabilities that become logits are this far from 0 and 1, the precision of float32


def log_scores(values: "Tensor", form: str | None) -> "Tensor":
    """Return (N, classes): logits, or logarithms of probabilities, which are valid logits."""
    values = values.float().flatten(1)
    return values.clamp_min(LEAST).log() if form == "probabilities" else values


def logits(values: "Tensor", form: str | None) -> "Tensor":
    """Return (N, labels): the logit of each label."""
    return _logits(values.float().flatten(1), form)


def pixel_scores(values: "Tensor", form: str | None) -> "Tensor":
    """Return (N, classes, H, W) as `log_scores`; a single channel, whether a pixel is of class 1, becomes two."""
    import torch

    values = values.float()
    if values.shape[1] == 1:
        values = _logits(values, form)
        return torch.cat([torch.zeros_like(values), values], 1)
    return values.clamp_min(LEAST).log() if form == "probabilities" else values


def numbers(values: "Tensor", form: str | None) -> "Tensor":
    """Return (N, numbers)."""
    return values.float().flatten(1)


def _logits(values: "Tensor", form: str | None) -> "Tensor":
    import torch

    if form not in ("probabilities", "log_probabilities"):
        return values
    return torch.logit(values.exp() if form == "log_probabilities" else values, CLOSEST)


def cross_entropy(
    scores: "Tensor", targets: "Tensor", smoothing: float, weights: Sequence[float] | None = None
) -> "Tensor":
    """The targets are class indices, or their probabilities if examples are mixed; `weights` are those of classes."""
    from torch.nn import functional

    of_classes = None if weights is None else scores.new_tensor(weights)
    return functional.cross_entropy(scores, targets, of_classes, reduction="sum", label_smoothing=smoothing)


def binary_cross_entropy(scores: "Tensor", targets: "Tensor", smoothing: float) -> "Tensor":
    """The cross-entropy of the sigmoid of each label, as a mean over the labels."""
    from torch.nn import functional

    return functional.binary_cross_entropy_with_logits(scores, targets, reduction="none").mean(1).sum()


def pixel_cross_entropy(scores: "Tensor", targets: "Tensor", smoothing: float) -> "Tensor":
    """The cross-entropy of a picture is the mean over its pixels that count."""
    from torch.nn import functional

    each = functional.cross_entropy(
        scores, targets.long(), ignore_index=IGNORED, reduction="none", label_smoothing=smoothing
    )
    counts = (targets != IGNORED).sum((1, 2)).clamp_min(1)
    return (each.sum((1, 2)) / counts).sum()


def dice(scores: "Tensor", targets: "Tensor", smoothing: float) -> "Tensor":
    """Return 1 - the mean over classes of 2 |A ∩ B| / (|A| + |B|) for each picture (Milletari et al., 2016), plus 1.

    A and B are the predicted probabilities and the true pixels of a class; 1 is added above and below the line, so that
    a class that is nowhere counts as right.
    """
    from torch.nn.functional import one_hot

    counts = (targets != IGNORED)[:, None]
    classes = scores.shape[1]
    truth = one_hot(targets.long() * counts[:, 0], classes).movedim(-1, 1) * counts
    found = scores.softmax(1) * counts
    both = (found * truth).sum((2, 3))
    each = (2 * both + 1) / (found.sum((2, 3)) + truth.sum((2, 3)) + 1)
    return (1 - each.mean(1)).sum()


def mse(scores: "Tensor", targets: "Tensor", smoothing: float) -> "Tensor":
    """The mean of the squares of the differences."""
    return (scores - targets).square().mean(1).sum()


def l1(scores: "Tensor", targets: "Tensor", smoothing: float) -> "Tensor":
    """The mean of the absolute differences."""
    return (scores - targets).abs().mean(1).sum()


def huber(scores: "Tensor", targets: "Tensor", smoothing: float) -> "Tensor":
    """Half the square of a difference up to 1, and the difference less a half beyond (Huber, 1964)."""
    from torch.nn import functional

    return functional.huber_loss(scores, targets, reduction="none").mean(1).sum()
