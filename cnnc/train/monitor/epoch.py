"""The metrics of one epoch: a line of `metrics.jsonl`, the points of the curves. Imports only dataclasses."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """The metrics of an epoch, counted from 1. Losses are means over examples, accuracies are 0..1; None if not tested.

    `seconds` is the training time without the test, `examples_per_second` is the speed over that time, and `lr` is the
    learning rate of the last step.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    test_loss: float | None
    test_accuracy: float | None
    lr: float
    seconds: float
    examples_per_second: float
