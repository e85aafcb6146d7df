"""What one epoch came to: the line of `metrics.jsonl`, the points of the curves. Light: it imports nothing."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """An epoch, counted from 1. Losses are means over examples, accuracies lie in 0..1; None where nothing was tested.

    `seconds` is the time of the epoch's training without its test, `examples_per_second` is over that time, `lr` is
    the learning rate of the epoch's last step.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    test_loss: float | None
    test_accuracy: float | None
    lr: float
    seconds: float
    examples_per_second: float
