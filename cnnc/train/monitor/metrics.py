"""The metrics of an epoch, and `metrics.jsonl`: one line of JSON per epoch, in order.

The whole file is written and renamed into place. So it never ends in half a line, and a run that resumes from an
earlier epoch leaves no lines of later epochs.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from cnnc.diagnostics import CnncError, Code
from cnnc.files.write import write_file

NAME = "metrics.jsonl"
LOSS = "loss"


class Metric(NamedTuple):
    """How a metric is shown, and whether a lower value is better."""

    label: str
    lower: bool = False


METRICS = {
    LOSS: Metric("loss", lower=True),
    "accuracy": Metric("acc"),
    "macro_f1": Metric("macro-F1"),
    "f1": Metric("F1"),
    "mean_iou": Metric("mean IoU"),
    "pixel_accuracy": Metric("pixel acc"),
    "mae": Metric("MAE", lower=True),
    "rmse": Metric("RMSE", lower=True),
}
"""The metrics of the tasks; see `cnnc.train.tasks`."""


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """The metrics of an epoch, counted from 1.

    `train` and `test` map `loss`, a mean over the examples, and the names of the task's metrics to values; `test` is
    None if the epoch was not tested. The first metric after `loss` is the one that decides the best epoch. `seconds`
    is the training time without the test, `examples_per_second` is the speed over that time, and `lr` is the learning
    rate of the last step.
    """

    epoch: int
    train: Mapping[str, float]
    test: Mapping[str, float] | None
    lr: float
    seconds: float
    examples_per_second: float

    @classmethod
    def of_json(cls, data: Mapping[str, Any]) -> "EpochRecord":
        """Return the record of an object of `as_json`; raises TypeError or KeyError if it is none."""
        parts: dict[str, dict[str, Any]] = {"train": {}, "test": {}}
        rest = {}
        for key, value in data.items():
            part, _, name = key.partition("_")
            if part in parts and name:
                parts[part][name] = value
            else:
                rest[key] = value
        tested = parts["test"][LOSS] is not None
        return cls(train=parts["train"], test=parts["test"] if tested else None, **rest)

    def as_json(self) -> dict[str, Any]:
        """Return the line of `metrics.jsonl`: `train_loss`, `train_accuracy`, `test_loss` …, null if not tested."""
        parts = {"train": self.train, "test": self.test or dict.fromkeys(self.train)}
        scores = {f"{part}_{name}": value for part, values in parts.items() for name, value in values.items()}
        rest = {name: getattr(self, name) for name in ("lr", "seconds", "examples_per_second")}
        return {"epoch": self.epoch, **scores, **rest}

    @property
    def metric(self) -> str:
        """The name of the metric that decides the best epoch."""
        return next(name for name in self.train if name != LOSS)

    @property
    def train_loss(self) -> float:
        return self.train[LOSS]

    @property
    def test_loss(self) -> float | None:
        return self.test[LOSS] if self.test else None

    @property
    def train_accuracy(self) -> float | None:
        """The accuracy of a network that predicts classes, 0..1."""
        return self.train.get("accuracy")

    @property
    def test_accuracy(self) -> float | None:
        return self.test.get("accuracy") if self.test else None

    def merit(self, by: str | None = None) -> tuple[float, float]:
        """Return what is higher for a better epoch: the test metric `by`, by default `metric`, then a lower loss.

        Without a test, the training loss alone decides.
        """
        if self.test is None:
            return (-self.train_loss, 0.0)
        name = by or self.metric
        return (-self.test[name] if METRICS[name].lower else self.test[name], -self.test[LOSS])


def write(folder: Path, records: Iterable[EpochRecord]) -> None:
    """Replace the folder's metrics by the records; raises E405."""
    lines = [json.dumps(record.as_json()) + "\n" for record in records]
    write_file(folder / NAME, "".join(lines).encode())


def read(folder: Path, until: int | None = None) -> tuple[EpochRecord, ...]:
    """Return the folder's records up to epoch `until`, none without a file; raises E512 if the file is damaged."""
    path = folder / NAME
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        records = tuple(EpochRecord.of_json(json.loads(line)) for line in lines)
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CnncError.of(
            Code.CANNOT_RESUME,
            f"cannot read {path}: {error}",
            help="remove the file: the run can continue without it, with new curves",
        ) from error
    return tuple(record for record in records if until is None or record.epoch <= until)
