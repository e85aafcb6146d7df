"""Ctrl-C and SIGTERM as a wish to stop, which the loop asks for when it can.

A second Ctrl-C acts at once, as it always does; one within a second is the same one, sent on by a launcher.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SUPERVISOR = "CNNC_SUPERVISOR"  # the process that started this rank; a rank without it has nobody to stop it


class Wish:
    """Whether somebody wants the run to stop."""

    def __init__(self) -> None:
        self._signal, self._since = 0, 0.0
        self._supervisor = int(os.environ.get(SUPERVISOR, "0"))

    def note(self, number: int, frame: FrameType | None) -> None:
        """The handler of the signals."""
        if self._signal and number == signal.SIGINT and monotonic() - self._since > 1:
            raise KeyboardInterrupt
        if not self._signal:
            self._signal, self._since = number, monotonic()

    @property
    def signal(self) -> int:
        """The number of the signal that came, 0 before."""
        if self._supervisor and os.getppid() != self._supervisor:
            return int(signal.SIGTERM)
        return self._signal


@contextmanager
def wishes() -> Iterator[Wish]:
    """Take note of signals while the context lasts; a thread other than the main one cannot, and gets none."""
    wish = Wish()
    if threading.current_thread() is not threading.main_thread():
        yield wish
        return
    before = {each: signal.signal(each, wish.note) for each in SIGNALS}
    try:
        yield wish
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
