"""What stands on the terminal while a network trains: a bar for the epoch that runs, and a line for each that ended.

Where nobody looks (a pipe, a log, a dumb terminal) there are the lines alone. The bar shows counts, and the numbers of
the last epoch: those of the present one are on the device, and stay there until its end.
"""

import sys
from typing import TYPE_CHECKING, Protocol, TextIO

from cnnc.train.monitor.epoch import EpochRecord
from cnnc.train.monitor.pace import Pace, seconds

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

PER_SECOND = 4  # how often the bar is drawn: each time takes a millisecond of the thread that feeds the device
SHORTEST = 10  # columns of the bar itself


class Display(Protocol):
    """Shows the progress of a training."""

    def start(self, pace: Pace) -> None:
        """Begin to show `pace`, which goes on changing."""

    def say(self, line: str) -> None:
        """Leave a line on the terminal."""

    def close(self) -> None:
        """Take away what is not meant to stay."""


def display(stream: TextIO | None = None) -> Display:
    """A bar where `stream` (standard output unless given) is a terminal that can show one, else lines."""
    stream = stream or sys.stdout
    if not stream.isatty():
        return Lines(stream)
    from rich.console import Console

    return Lines(stream) if Console(file=stream).is_dumb_terminal else Bar(stream)


class Lines:
    """A Display for logs."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def start(self, pace: Pace) -> None:
        """Show nothing: each line stands for itself."""

    def say(self, line: str) -> None:
        print(line, file=self._stream, flush=True)

    def close(self) -> None:
        """Leave all as it is."""


class Bar:
    """A Display for terminals. A thread draws it from the pace, which costs whoever counts the steps nothing."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console

        self._console = Console(file=stream, highlight=False)
        self._live: Live | None = None

    def start(self, pace: Pace) -> None:
        from rich.live import Live

        self._live = Live(
            console=self._console,
            refresh_per_second=PER_SECOND,
            transient=True,
            get_renderable=lambda: bar(pace, self._console.width),
        )
        self._live.start()

    def say(self, line: str) -> None:
        self._console.print(line, markup=False, soft_wrap=True)

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()


def bar(pace: Pace, width: int) -> "Table":
    """One line: the epoch, how much of it is done, what the last one came to, examples a second, the time left.

    What a terminal of `width` columns has no room for is left out, the numbers of the last epoch first.
    """
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    rate = pace.examples_per_second()
    what = "testing" if pace.step >= pace.steps else f"{rate:,.0f} examples/s" if rate else ""
    head = f"epoch {pace.epoch:>{len(str(pace.epochs))}}/{pace.epochs}"
    parts = [*(numbers(pace.last) if pace.last else ()), *([what] if what else ()), f"{seconds(pace.left())} left"]
    while parts and len(head) + 2 + SHORTEST + 2 + len("  ".join(parts)) > width:
        del parts[0]
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    table.add_column(no_wrap=True)
    table.add_row(head, ProgressBar(total=pace.steps, completed=pace.step), "  ".join(parts))
    return table


def line(record: EpochRecord, pace: Pace) -> str:
    """What an ended epoch came to, with the time that the rest will take."""
    parts = [
        f"epoch {record.epoch:>{len(str(pace.epochs))}}/{pace.epochs}",
        *numbers(record),
        f"{record.examples_per_second:,.0f} examples/s",
        seconds(record.seconds),
        *([f"{seconds(pace.left())} left"] if record.epoch < pace.epochs else []),
    ]
    return "  ".join(parts)


def numbers(record: EpochRecord) -> list[str]:
    """Loss and accuracies, as the course prints them."""
    shown = [f"loss {record.train_loss:.3f}", f"train acc {record.train_accuracy:.3f}"]
    return shown if record.test_accuracy is None else [*shown, f"test acc {record.test_accuracy:.3f}"]
