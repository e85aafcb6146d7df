"""Lists the runs in a folder side by side: state, epochs, best epoch, time, and how their recipes differ.

Takes a folder; returns the runs in it, and the errors of those that are damaged. Formats runs as a table or as data.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from cnnc.columns import left, right, width
from cnnc.diagnostics import CnncError, Code
from cnnc.diagnostics.render import visible
from cnnc.train.monitor import metrics
from cnnc.train.monitor.metrics import LOSS
from cnnc.train.monitor.pace import seconds
from cnnc.train.report.run_folder import Run, read, title_of
from cnnc.train.run_file import RUN

STATE = "state.pt"
NUMBERS = range(2, 6)  # the columns of the table that hold numbers
LONGEST = 40  # columns of a value in the table


def _by_score(run: Run) -> tuple[bool, str, bool, float]:
    score = run.score or 0.0
    known = metrics.METRICS.get(run.metric or LOSS)
    better = score if known is None or known.lower else -score
    return run.score is None, run.metric or "", not run.is_tested, better


SORTS: dict[str, Callable[[Run], Any]] = {
    "name": lambda run: [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", str(run.folder))],
    "best": _by_score,
    "epochs": lambda run: -run.about["epochs_done"],
    "time": lambda run: -run.seconds,
    "state": lambda run: run.state,
    "updated": lambda run: -os.stat(run.folder / RUN).st_mtime,
}
"""The orders of a list: the best, longest and latest first."""


def find(folder: Path) -> tuple[list[Run], list[CnncError]]:
    """Return the runs in a folder and its subfolders, and the errors of damaged ones; raises E518 without the folder.

    Links to folders are not followed.
    """
    if not os.path.isdir(folder):
        raise CnncError.of(
            Code.RUN_UNREADABLE,
            f"cannot list the runs in {folder}: there is no such folder",
            help="`cnnc train` writes runs to runs/, or to the folder of `--out`",
        )
    found, damaged = [], list[CnncError]()

    def refused(error: OSError) -> None:
        message = f"cannot list {error.filename}: {(error.strerror or str(error)).lower()}"
        damaged.append(CnncError.of(Code.RUN_UNREADABLE, message))

    for path, folders, files in os.walk(folder, onerror=refused):
        folders.sort()
        if {RUN, metrics.NAME, STATE} & {*files}:
            try:
                found.append(read(Path(path)))
            except CnncError as error:
                damaged.append(error)
    return found, damaged


def differing(runs: Sequence[Run]) -> list[str]:
    """Return the names of the settings whose values are not the same in all runs."""
    names = dict.fromkeys(name for run in runs for name in _settings(run))
    return [name for name in names if len({json.dumps(_settings(run).get(name)) for run in runs}) > 1]


def _settings(run: Run) -> dict[str, Any]:
    """Return the settings of a run: its recipe, its network, its initial weights."""
    network = f"{run.about['name']} {str(run.about.get('network'))[:8]}"
    return {"network": network, "weights": run.about.get("weights"), **run.recipe, "epochs": None}


def as_json(folder: Path, runs: Sequence[Run], damaged: Sequence[CnncError]) -> dict[str, Any]:
    """Return the runs as plain data; `differing` are the names of the settings that differ."""
    return {
        "runs": [_as_json(folder, run) for run in runs],
        "differing": differing(runs),
        "damaged": [each.diagnostics[0].message for each in damaged],
    }


def _as_json(folder: Path, run: Run) -> dict[str, Any]:
    return {
        "run": _name(folder, run),
        "state": run.state,
        "epochs_done": run.about["epochs_done"],
        "epochs": run.epochs,
        "metric": run.metric,
        "best": run.score,
        "tested": run.is_tested,
        "best_epoch": run.best["epoch"] if run.best else None,
        "seconds": run.seconds,
        **{name: value for name, value in _settings(run).items() if name in ("network", "weights")},
        "recipe": dict(run.recipe),
    }


def as_text(folder: Path, runs: Sequence[Run]) -> str:
    """Return a table with a row for each run; the last columns are the settings that differ."""
    settings = differing(runs)
    metric = {run.metric for run in runs if run.metric}
    best = f"best {title_of(*metric)}" if len(metric) == 1 else "best"
    head = ["run", "state", "epochs", best, "in epoch", "time", *settings]
    rows = [[*_row(folder, run, alone=len(metric) == 1), *_values(run, settings)] for run in runs]
    columns = list(zip(head, *rows, strict=True))
    widths = [max(map(width, column)) for column in columns]
    return "\n".join(_line(row, widths) for row in zip(*columns, strict=True))


def _row(folder: Path, run: Run, *, alone: bool) -> Iterator[str]:
    yield _name(folder, run)
    yield run.state
    yield f"{run.about['epochs_done']:,}/{run.epochs:,}"
    score = "–" if run.score is None else f"{'' if run.is_tested else 'train '}{run.score:.4f}"
    yield score if alone or run.metric is None else f"{title_of(run.metric)} {score}"
    yield f"{run.best['epoch']:,}" if run.best else "–"
    yield seconds(run.seconds) if run.records else "–"


def _values(run: Run, settings: Sequence[str]) -> Iterator[str]:
    for name in settings:
        value = _settings(run).get(name)
        shown = value if isinstance(value, str) else "–" if value in (None, [], {}) else json.dumps(value)
        yield visible(shown if len(shown) <= LONGEST else f"…{shown[1 - LONGEST :]}")


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    pairs = enumerate(zip(row, widths, strict=True))
    cells = [right(*pair) if at in NUMBERS else left(*pair) for at, pair in pairs]
    return "  ".join(cells).rstrip()


def _name(folder: Path, run: Run) -> str:
    """Return the path of a run in the folder, or the folder's own."""
    return visible(str(run.folder) if run.folder == folder else run.folder.relative_to(folder).as_posix())
