"""Train a spec with each combination of some values: `cnnc train --sweep`, through Optuna.

Takes the values by name and a function that trains with one value of each. The folder holds `study.log`, Optuna's
journal, which optuna-dashboard reads too; `results.json`; and a folder for each run, by its number. A sweep that was
stopped or killed at any moment goes on: complete runs are not repeated, and a run that had begun resumes.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnc.columns import left, widest
from cnnc.diagnostics import CnncError, Code
from cnnc.files.write import make_folder, write_file
from cnnc.language.validate import show
from cnnc.train.monitor.metrics import METRICS, EpochRecord

if TYPE_CHECKING:
    from optuna import Study, Trial

    from cnnc.train.run import Trained

JOURNAL, RESULTS = "study.log", "results.json"
Values = Mapping[str, Sequence[Any]]


class Interrupted(BaseException):
    """A signal stops the sweep. Not an Exception, which Optuna would record as the result of the run."""

    def __init__(self, number: int) -> None:
        self.number = number


@dataclass(frozen=True)
class SweepResult:
    """A run of a sweep: its number, its values, and its best epoch, or the message of the error that ended it."""

    number: int
    values: dict[str, Any]
    best: EpochRecord | None
    error: str | None

    def as_json(self) -> dict[str, Any]:
        """Return the run's object in `results.json`."""
        best = self.best.as_json() if self.best else None
        return {"number": self.number, "values": self.values, "best": best, "error": self.error}


class Sweep:
    """The runs of all combinations of `values`, in `folder`; the metric `by` (default: the task's) ranks them."""

    def __init__(self, folder: Path, values: Values, by: str | None) -> None:
        """Open the sweep, or begin it; raises E512 if the folder holds one of other values."""
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        self._folder, self._by = folder, by
        self._grid = [dict(zip(values, each, strict=True)) for each in product(*values.values())]
        self._values = {name: list(each) for name, each in values.items()}
        self._choices = {name: [*map(_choice, each)] for name, each in values.items()}
        make_folder(folder)
        optuna.logging.set_verbosity(optuna.logging.CRITICAL)  # the runs print their own progress and errors
        self._sampler = optuna.samplers.GridSampler(self._choices, seed=0)
        self._study: Study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(folder / JOURNAL))),
            sampler=self._sampler,
            study_name=folder.name,
            direction="maximize",
            load_if_exists=True,
        )
        begun = self._study.user_attrs.get("values")
        if begun is None:
            self._study.set_user_attr("values", self._values)
        elif begun != self._values:
            shown = " ".join(f"{name}={','.join(map(spelt, each))}" for name, each in begun.items())
            raise CnncError.of(
                Code.CANNOT_RESUME,
                f"cannot resume the sweep in {folder}: its values are {shown}",
                help="sweep over these values, or leave out `--resume` to start again",
            )

    @property
    def count(self) -> int:
        """The number of combinations."""
        return len(self._grid)

    @property
    def done(self) -> int:
        """The number of combinations that are complete or have failed."""
        return len(self._results())

    def run(self, train: "Callable[[int, dict[str, Any]], Trained]") -> list[SweepResult]:
        """Train the combinations that are not complete, and return the results of all, the best first.

        `train` takes the number of a run and its values. Raises Interrupted, and the error of the last run if all fail.
        """
        failed: list[CnncError] = []

        def trial(trial: "Trial") -> float:
            chosen = [trial.suggest_categorical(name, each) for name, each in self._choices.items()]
            number = [*product(*self._choices.values())].index(tuple(chosen))
            trial.set_user_attr("number", number)
            try:
                trained = train(number, self._grid[number])
            except CnncError as error:
                trial.set_user_attr("error", error.diagnostics[0].message)
                failed.append(error)
                raise
            if trained.signal:
                raise Interrupted(trained.signal)
            assert trained.best is not None  # a run has at least one epoch
            trial.set_user_attr("best", trained.best.as_json())
            return trained.best.merit(self._by)[0]

        if not self._sampler.is_exhausted(self._study):
            self._study.optimize(trial, catch=(CnncError,), callbacks=[lambda *_: self._write()])
        self._write()
        results = self._results()
        if all(each.best is None for each in results):
            raise failed[-1] if failed else _all_failed(results[-1])
        return results

    def _results(self) -> list[SweepResult]:
        found: dict[int, SweepResult] = {}
        for trial in self._study.trials:
            about = trial.user_attrs
            if trial.state.is_finished() and "number" in about:
                best = EpochRecord.of_json(about["best"]) if "best" in about else None
                number = about["number"]
                found[number] = SweepResult(number, self._grid[number], best, about.get("error"))
        return sorted(found.values(), key=self._rank)

    def _rank(self, result: SweepResult) -> tuple[float, float, int]:
        if result.best is None:
            return (float("inf"), 0.0, result.number)
        merit, loss = result.best.merit(self._by)
        return (-merit, -loss, result.number)

    def _write(self) -> None:
        about = {"values": dict(self._values), "runs": [each.as_json() for each in self._results()]}
        write_file(self._folder / RESULTS, (json.dumps(about, indent=2) + "\n").encode())


def spelt(value: Any) -> str:
    """Return a value as in a spec, without quotes."""
    if isinstance(value, list):
        return f"[{', '.join(map(spelt, value))}]"
    return value if isinstance(value, str) else show(value)


def _choice(value: Any) -> Any:
    """Return a value as Optuna takes it, which takes no lists."""
    return json.dumps(value) if isinstance(value, list) else value


def _all_failed(last: SweepResult) -> CnncError:
    """Return E203 for a sweep that was complete before, without a run that has not failed."""
    message = f"all runs of the sweep have failed, the last: {last.error}"
    return CnncError.of(Code.BAD_VALUE, message, help="change the values, or leave out `--resume` to train them again")


def table(results: Sequence[SweepResult], by: str | None, folder: Path) -> str:
    """Return a table with a row for each run, the best first."""
    names = list(results[0].values)
    first = next(each.best for each in results if each.best)
    name = by or first.metric
    head = [*names, METRICS[name].label, "loss", "epoch", "folder"]
    rows = [head]
    for each in results:
        chosen = [spelt(each.values[key]) for key in names]
        if each.best is None:
            rows.append([*chosen, "failed", "", "", each.error or ""])
            continue
        scores = each.best.test or each.best.train
        numbers = [f"{scores[name]:.4f}", f"{scores['loss']:.4f}", str(each.best.epoch)]
        rows.append([*chosen, *numbers, str(folder / str(each.number))])
    widths = [widest(column) for column in zip(*(row[:-1] for row in rows), strict=True)]
    return "\n".join(
        "  ".join([*(left(cell, width) for cell, width in zip(row, widths, strict=False)), row[-1]]) for row in rows
    )
