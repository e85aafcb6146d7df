"""Handle Ctrl-C and SIGTERM as a request to stop, which the training loop checks between steps.

A second Ctrl-C raises KeyboardInterrupt at once. One within a second counts as the first one, forwarded by a launcher.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SUPERVISOR = "CNNC_SUPERVISOR"  # the id of the process that started this rank; the rank stops if that process ends


class StopRequest:
    """Whether the run must stop."""

    def __init__(self) -> None:
        self._signal, self._since = 0, 0.0
        self._supervisor = int(os.environ.get(SUPERVISOR, "0"))

    def note(self, number: int, frame: FrameType | None) -> None:
        """Record a signal: the signal handler."""
        if self._signal and number == signal.SIGINT and monotonic() - self._since > 1:
            raise KeyboardInterrupt
        if not self._signal:
            self._signal, self._since = number, monotonic()

    @property
    def signal(self) -> int:
        """The number of the received signal, SIGTERM if the supervisor has ended, or 0."""
        if self._supervisor and os.getppid() != self._supervisor:
            return int(signal.SIGTERM)
        return self._signal


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Record signals during the context. Only the main thread can do so; on others no signal is recorded."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {each: signal.signal(each, request.note) for each in SIGNALS}
    try:
        yield request
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
