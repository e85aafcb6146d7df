"""Progress of a training run: a bar or lines on the terminal, `metrics.jsonl`, TensorBoard events, `report.html`.

The loop calls the Watcher with step counts during an epoch, and with an EpochRecord at its end. Nothing here uses
tensors. Only the process of rank 0 has a Watcher.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cnnc.train.monitor import metrics
from cnnc.train.monitor.console import Display, display, line
from cnnc.train.monitor.curves import Curves
from cnnc.train.monitor.metrics import EpochRecord
from cnnc.train.monitor.pace import Pace
from cnnc.train.monitor.tensorboard import Events
from cnnc.train.monitor.tested import Tested
from cnnc.train.monitor.tested import write as write_tested

if TYPE_CHECKING:
    from types import TracebackType


class Watcher:
    """Shows one training session and records it in `folder`, which must exist. Use as a context manager.

    `on_start` takes the epochs in the checkpoint, in order, as `earlier`: metrics, events and curves continue after
    them, whatever the files of a killed session contain. Raises E405 if a file cannot be written.
    """

    def __init__(self, folder: Path, show: Display | None = None) -> None:
        self._folder, self._display = folder, show or display()
        self._records: list[EpochRecord] = []
        self._pace: Pace | None = None
        self._events: Events | None = None
        self._curves: Curves | None = None

    def __enter__(self) -> "Watcher":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        self.close()

    def on_start(
        self,
        epochs: int,
        steps: int,
        examples: int,
        earlier: Sequence[EpochRecord] = (),
        begun: tuple[int, float] = (0, 0.0),
    ) -> None:
        """Start a session: `epochs` in all, each with `steps` steps and `examples` examples over all devices.

        `begun` are the steps of the current epoch that an earlier session has trained, and their seconds.
        """
        self._records = list(earlier)
        metrics.write(self._folder, self._records)
        self._pace = Pace(epochs, steps, examples, first=len(earlier) + 1, last=earlier[-1] if earlier else None)
        self._pace.resume_epoch(*begun)
        self._events = Events(self._folder, self._pace.first)
        self._curves = Curves(self._folder, epochs)
        if earlier:
            self._curves.add(earlier)
        self._display.start(self._pace, self._records)

    def on_batch(self, step: int) -> None:
        """Record that `step` steps of this epoch have been queued on the device; costs next to nothing."""
        assert self._pace is not None  # on_start was first
        self._pace.step = step

    def on_epoch(self, record: EpochRecord, tested: Tested | None = None) -> None:
        """Show and record a completed epoch, and the test of its weights if they are the best."""
        assert self._pace is not None  # on_start was first
        assert self._events is not None
        assert self._curves is not None
        self._pace.end_epoch(record)
        self._records.append(record)
        self._display.say(line(record, self._pace))
        metrics.write(self._folder, self._records)
        if tested:
            write_tested(self._folder, tested)
        self._events.add(record, time.time())
        self._curves.add([record])

    def say(self, text: str) -> None:
        """Print a line to the terminal, above the bar if there is one."""
        self._display.say(text)

    def close(self) -> None:
        """Remove the bar and finish the files; a second call does nothing."""
        self._display.close()
        events, curves, self._events, self._curves = self._events, self._curves, None, None
        for fault in curves.close() if curves else ():
            self._display.say(f"note: {fault}")
        if events:
            events.close()
