"""A line on the terminal that shows the progress of long work: number done, rate, time left.

Standard error gets the line only if it is a terminal. It needs no package, so every installation has it.
"""

import sys
from collections.abc import Callable
from threading import Thread
from time import monotonic

EVERY = 0.1  # seconds
WIDTH = 24


class ProgressLine:
    """The progress of `what`, such as `pictures`. Use as a context manager."""

    def __init__(self, what: str, count: Callable[[], int] | None = None, *, shown: bool = True) -> None:
        """`count` returns the number of all; it runs on a thread, and without it or before it ends, none is shown."""
        self._what, self._shown = what, shown and sys.stderr.isatty()
        self._done, self._of, self._start, self._drawn = 0, 0, monotonic(), 0.0
        if self._shown and count is not None:
            Thread(target=self._count, args=[count], daemon=True).start()

    def __enter__(self) -> "ProgressLine":
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def add(self) -> None:
        """Count one more as done."""
        self._done += 1
        now = monotonic()
        if self._shown and now - self._drawn >= EVERY:
            self._drawn = now
            print(f"\r\x1b[K{self.line(now)}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Remove the line, so that something else can be printed; the next `add` draws it again."""
        if self._shown and self._drawn:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._drawn = 0.0

    def line(self, now: float) -> str:
        """Return the line to show at time `now`."""
        rate = self._done / max(now - self._start, 1e-9)
        if not self._of:
            return f"{self._done:,} {self._what}, {_shown(rate)}/s"
        share = min(1.0, self._done / self._of)
        bar = "━" * round(share * WIDTH) + "─" * (WIDTH - round(share * WIDTH))
        left = _time(max(0, self._of - self._done) / rate)
        return f"{bar} {self._done:,} of {self._of:,} {self._what}, {_shown(rate)}/s, {left} left"

    def _count(self, count: Callable[[], int]) -> None:
        self._of = count()


def _shown(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}"


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
