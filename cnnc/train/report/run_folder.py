"""Read what a run has written: its summary, metrics, last test and network; and find whether it still runs.

Takes a folder and returns a `Run`; raises CnncError (E518) if the folder's files are damaged. Imports no torch.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from cnnc.diagnostics import CnncError, Code
from cnnc.train.monitor import metrics, tested
from cnnc.train.monitor.metrics import LOSS
from cnnc.train.monitor.tested import Tested
from cnnc.train.run_file import RUN, RunChanged, read_run
from cnnc.train.running import is_running

SPEC, PICTURE = "spec.yaml", "network.svg"  # the network of the run, and its drawing
AGAIN = "`cnnc train … --resume` writes it again from state.pt, if that is whole"
Record = Mapping[str, Any]
"""A line of `metrics.jsonl`."""


@dataclass(frozen=True)
class Run:
    """A run: `about` is the content of `run.json`, `records` has the metrics of each epoch."""

    folder: Path
    about: Mapping[str, Any]
    records: Sequence[Record]
    tested: Tested | None

    @property
    def recipe(self) -> Mapping[str, Any]:
        """The recipe, all its fields."""
        found: Mapping[str, Any] = self.about["recipe"]
        return found

    @property
    def epochs(self) -> int:
        """The number of epochs that the recipe asks for."""
        return int(self.recipe["epochs"])

    @property
    def best(self) -> Record | None:
        """The record of the best epoch."""
        found: Record | None = self.about["best"]
        return found

    @cached_property
    def metric(self) -> str | None:
        """The name of the metric that decides the best epoch, such as `accuracy`; None before the first epoch."""
        if self.best is None:
            return None
        names = [key.removeprefix("train_") for key in self.best if key.startswith("train_")]
        chosen = self.recipe.get("best")
        return chosen if chosen in names else next((name for name in names if name != LOSS), LOSS)

    @property
    def is_tested(self) -> bool:
        """Whether the score is of a held-out part, and not of the pictures that were trained on."""
        return self.best is not None and self.best.get(f"test_{self.metric}") is not None

    @property
    def score(self) -> float | None:
        """The best epoch's value of `metric`, on the test part if there is one."""
        if self.best is None:
            return None
        return float(self.best[f"{'test' if self.is_tested else 'train'}_{self.metric}"])

    @property
    def seconds(self) -> float:
        """The training time of all epochs, without their tests."""
        return float(sum(each["seconds"] for each in self.records))

    @property
    def state(self) -> str:
        """`running`, `finished` or `stopped`."""
        if is_running(self.folder):
            return "running"
        return "finished" if self._has_ended else "stopped"

    @property
    def _has_ended(self) -> bool:
        done, patience = self.about["epochs_done"], self.recipe.get("patience")
        if patience is not None and self.best and done - self.best["epoch"] >= patience:
            return True
        return bool(done >= self.epochs)


def title_of(metric: str) -> str:
    """Return the name of a metric for people: `accuracy`, `mean IoU`."""
    known = metrics.METRICS.get(metric)
    return known.label if known and metric != "accuracy" else metric.replace("_", " ")


def read(folder: Path) -> Run:
    """Return the run in a folder; raises E518 if a file of it is missing or damaged."""
    about = _about(folder / RUN)
    try:
        lines = [json.loads(line) for line in _lines(folder / metrics.NAME)]
        records = [each for each in lines if each["epoch"] <= about["epochs_done"]]
        run = Run(folder, about, records, tested.read(folder))
        _ = run.epochs, run.score, run.seconds, about["name"]
        if not all(isinstance(value, float | int | None) for each in records for value in each.values()):
            raise ValueError("a metric is no number")
    except (ValueError, TypeError, LookupError) as error:
        raise _damaged(folder / metrics.NAME, "it is not what cnnc wrote") from error
    return run


def _about(path: Path) -> dict[str, Any]:
    try:
        about = read_run(path)
    except OSError as error:
        raise _damaged(path, (error.strerror or str(error)).lower()) from error
    except RunChanged as error:
        raise _damaged(path, str(error), f"remove this file; {AGAIN}") from None
    if about is None:
        raise _damaged(path, "it is missing")
    return about


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _damaged(path, (error.strerror or str(error)).lower()) from error


def _damaged(path: Path, reason: str, help: str = AGAIN) -> CnncError:
    return CnncError.of(Code.RUN_UNREADABLE, f"cannot read {path}: {reason}", help=help)
