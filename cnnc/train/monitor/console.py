"""Training progress on the terminal: a bar for the current epoch, a line for each completed one, and a summary.

A pipe, a log file or a dumb terminal gets only the lines. The bar shows step counts and the metrics of the last epoch:
those of the current epoch stay on the device until its end.
"""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TextIO

from cnnc.train.monitor.metrics import METRICS, EpochRecord
from cnnc.train.monitor.pace import Pace, seconds

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live
    from rich.table import Table

PER_SECOND = 4  # redraws of the bar: each takes a millisecond from the thread that feeds the device
SHORTEST = 10  # the fewest columns of the bar itself


class Display(Protocol):
    """Shows the progress of a training run."""

    def start(self, pace: Pace, records: Sequence[EpochRecord]) -> None:
        """Start to show `pace` and the records of all epochs, which are updated during the run."""

    def say(self, line: str) -> None:
        """Print a line."""

    def close(self) -> None:
        """Remove the bar, if any."""


def display(stream: TextIO | None = None, *, live: bool = False) -> Display:
    """Return a bar if `stream` (default: standard output) is a terminal that can show one, else lines.

    With `live`, there are curves above the bar.
    """
    stream = stream or sys.stdout
    if not stream.isatty():
        return Lines(stream)
    from rich.console import Console

    if Console(file=stream).is_dumb_terminal:
        return Lines(stream)
    return LiveCurves(stream) if live else Bar(stream)


class Lines:
    """A Display for logs."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def start(self, pace: Pace, records: Sequence[EpochRecord]) -> None:
        """Do nothing: there is no bar."""

    def say(self, line: str) -> None:
        print(line, file=self._stream, flush=True)

    def close(self) -> None:
        """Do nothing: all lines stay."""


class Bar:
    """A Display for terminals. A thread draws the bar from `pace`, so updating the step count costs nothing."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console

        self._console = Console(file=stream, highlight=False)
        self._live: Live | None = None
        self._pace: Pace | None = None
        self._records: Sequence[EpochRecord] = ()

    def start(self, pace: Pace, records: Sequence[EpochRecord]) -> None:
        from rich.live import Live

        self._pace, self._records = pace, records
        self._live = Live(
            console=self._console,
            refresh_per_second=PER_SECOND,
            transient=True,
            get_renderable=self.shown,
        )
        self._live.start()

    def shown(self) -> "RenderableType":
        """Return what the terminal shows now."""
        assert self._pace is not None  # start was first
        return bar(self._pace, self._console.width)

    def say(self, line: str) -> None:
        self._console.print(line, markup=False, soft_wrap=True)

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()


class LiveCurves(Bar):
    """A Display with curves. They are drawn once for each epoch and width, not each time that the bar moves."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._drawn: tuple[tuple[int, int], RenderableType] | None = None

    def shown(self) -> "RenderableType":
        """Return the curves and the bar."""
        from rich.console import Group

        assert self._pace is not None  # start was first
        lines = bar(self._pace, self._console.width)
        return Group(self._curves(self._pace), lines) if self._records else lines

    def close(self) -> None:
        """Remove the bar, and leave the last curves."""
        super().close()
        if self._records and self._pace:
            self._console.print(self._curves(self._pace))
            self._records = ()  # a second call prints nothing

    def _curves(self, pace: Pace) -> "RenderableType":
        from cnnc.train.monitor.live import curves

        key = len(self._records), self._console.width
        if self._drawn is None or self._drawn[0] != key:
            self._drawn = key, curves(self._records, pace.epochs, self._console.width)
        return self._drawn[1]


def bar(pace: Pace, width: int) -> "Table":
    """Return one line: the epoch, its progress bar, the last epoch's metrics, examples per second, the time left.

    Parts that do not fit `width` columns are left out, beginning with the metrics of the last epoch.
    """
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    rate = pace.examples_per_second()
    speed = "testing" if pace.step >= pace.steps else f"{rate:,.0f} examples/s" if rate else ""
    head = f"epoch {pace.epoch:>{len(str(pace.epochs))}}/{pace.epochs}"
    parts = [*(numbers(pace.last) if pace.last else ()), *([speed] if speed else ()), f"{seconds(pace.left())} left"]
    while parts and len(head) + 2 + SHORTEST + 2 + len("  ".join(parts)) > width:
        del parts[0]
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    table.add_column(no_wrap=True)
    table.add_row(head, ProgressBar(total=pace.steps, completed=pace.step), "  ".join(parts))
    return table


def line(record: EpochRecord, pace: Pace) -> str:
    """Return the line of a completed epoch: its metrics, its time, and the time left."""
    parts = [
        f"epoch {record.epoch:>{len(str(pace.epochs))}}/{pace.epochs}",
        *numbers(record),
        f"{record.examples_per_second:,.0f} examples/s",
        seconds(record.seconds),
        *([f"{seconds(pace.left())} left"] if record.epoch < pace.epochs else []),
    ]
    return "  ".join(parts)


def numbers(record: EpochRecord) -> list[str]:
    """Return loss and metrics as text, in the format of *Dive into Deep Learning*: `train acc 0.912`."""
    label = METRICS[record.metric].label
    shown = [f"loss {record.train_loss:.3f}", f"train {label} {record.train[record.metric]:.3f}"]
    return [*shown, f"test {label} {record.test[record.metric]:.3f}"] if record.test else shown


def summary(
    spec: str,
    weights: Path,
    best: EpochRecord,
    last: EpochRecord,
    examples_per_second: float,
    peak_memory: int,
    settings: Sequence[str] = (),
) -> str:
    """Return the lines; `weights` is the file of the epoch `best`, `peak_memory` is in bytes.

    `settings` are the values of `--set`, without which the weights would not fit the spec.

    There is no line about speed and memory if `examples_per_second` is 0: the run had nothing left to do.
    """
    has_trained = examples_per_second > 0
    chosen = [word for each in settings for word in ("--set", each)]
    command = shlex.join(["cnnc", "build", spec, *chosen, "--weights", str(weights)])
    return "\n".join(
        [
            f"best  {_score(best)} in epoch {best.epoch}",
            f"last  {_score(last)} in epoch {last.epoch}",
            *(
                [f"{examples_per_second:,.0f} examples/s, at most {_size(peak_memory)} of memory"]
                if has_trained
                else []
            ),
            f"next: {command}",
        ]
    )


def _score(record: EpochRecord) -> str:
    part, values = ("test", record.test) if record.test else ("train", record.train)
    return f"{part} {METRICS[record.metric].label} {values[record.metric]:.4f}"


def _size(count: int) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.0f} MB"
