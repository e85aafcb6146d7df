"""A time limit for a child process that runs a model, which may never finish."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Timer
from typing import Any


@contextmanager
def stopped_after(seconds: float, process: "subprocess.Popen[Any]") -> Iterator[Event]:
    """Kill the process if the body takes longer than `seconds`; the event is set if that happened."""
    stopped = Event()

    def stop() -> None:
        stopped.set()
        process.kill()

    alarm = Timer(seconds, stop)
    alarm.daemon = True
    alarm.start()
    try:
        yield stopped
    finally:
        alarm.cancel()
