"""Progress of a download on standard error: a bar per file on a terminal, one line per file elsewhere."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from cnnc.data.download import Progress


@contextmanager
def shown() -> Iterator[Progress]:
    """Yield the callable that `load` takes as `progress`. It draws nothing until a download starts."""
    if not sys.stderr.isatty():
        yield _line
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    name, rate = TextColumn("{task.description}"), TransferSpeedColumn()
    with Bars(name, BarColumn(), DownloadColumn(), rate, TimeRemainingColumn(), console=Console(stderr=True)) as bars:
        tasks: dict[str, int] = {}

        def draw(file: str, done: int, total: int | None) -> None:
            if file not in tasks:
                tasks[file] = bars.add_task(file, total=total)
            bars.update(tasks[file], completed=done, total=total)  # type: ignore[arg-type]

        yield draw


def _line(file: str, done: int, total: int | None) -> None:
    if done == 0:
        size = f" ({total:,} bytes)" if total else ""
        print(f"downloading {file}{size}", file=sys.stderr, flush=True)
