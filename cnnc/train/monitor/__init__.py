"""What one sees of a training: a bar or lines on the terminal, `metrics.jsonl`, TensorBoard events, `curves.png`.

In: calls of the loop, with counts while an epoch runs and an EpochRecord when it has ended. Nothing here touches a
tensor. One process of a run has a Watcher, the one of rank 0.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cnnc.train.monitor import metrics
from cnnc.train.monitor.console import Display, display, line
from cnnc.train.monitor.curves import Curves
from cnnc.train.monitor.epoch import EpochRecord
from cnnc.train.monitor.pace import Pace
from cnnc.train.monitor.tensorboard import Events

if TYPE_CHECKING:
    from types import TracebackType


class Watcher:
    """Shows and records one training session in `folder`, which exists. Use as a context manager.

    `earlier` at the start are the epochs that the checkpoint holds, in order: metrics, events and curves go on behind
    these, whatever the files of a killed session say. What cannot be written is E405.
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

    def on_start(self, epochs: int, steps: int, examples: int, earlier: Sequence[EpochRecord] = ()) -> None:
        """Begin: `epochs` in all, each of `steps` steps over `examples` examples on all devices together."""
        self._records = list(earlier)
        metrics.write(self._folder, self._records)
        self._pace = Pace(epochs, steps, examples, first=len(earlier) + 1, last=earlier[-1] if earlier else None)
        self._events = Events(self._folder, self._pace.first)
        self._curves = Curves(self._folder, epochs)
        if earlier:
            self._curves.add(earlier)
        self._display.start(self._pace)

    def on_batch(self, step: int) -> None:
        """So many steps of this epoch have been given to the device; costs next to nothing."""
        assert self._pace is not None  # on_start was first
        self._pace.step = step

    def on_epoch(self, record: EpochRecord) -> None:
        """Write an epoch down and show it."""
        assert self._pace is not None  # on_start was first
        assert self._events is not None
        assert self._curves is not None
        self._pace.end_epoch(record)
        self._records.append(record)
        self._display.say(line(record, self._pace))
        metrics.write(self._folder, self._records)
        self._events.add(record, time.time())
        self._curves.add([record])

    def say(self, text: str) -> None:
        """Leave a line on the terminal, above the bar where there is one."""
        self._display.say(text)

    def close(self) -> None:
        """Take the bar away and see the files finished; called again it does nothing."""
        self._display.close()
        events, curves, self._events, self._curves = self._events, self._curves, None, None
        fault = curves.close() if curves else None
        if fault:
            self._display.say(f"note: {fault}")
        if events:
            events.close()
