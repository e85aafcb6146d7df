"""Write TensorBoard events: one file per session in the run's folder, with a point per epoch for each metric.

Uses the writer of `tensorboard`: torch's writer wraps it, and adds nothing that these scalars need.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cnnc.diagnostics import CnncError, Code
from cnnc.train.monitor.metrics import EpochRecord

TAGS = {"learning_rate": "lr", "examples_per_second": "examples_per_second"}


class Events:
    """The events of one session. `first` is its first epoch: TensorBoard drops older points from that epoch on."""

    def __init__(self, folder: Path, first: int) -> None:
        """Open a new file in `folder`; raises E405."""
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._folder = folder
        with self._reported():
            self._writer = EventFileWriter(str(folder))
            if first > 1:  # a purge, in TensorBoard's words: the resumed run's points replace the later ones
                self._writer.add_event(Event(step=first, session_log=SessionLog(status=SessionLog.START)))
            self._writer.flush()

    def add(self, record: EpochRecord, now: float) -> None:
        """Add the points of an epoch that ended at `now`, a Unix time in seconds; raises E405."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        parts = {"train": record.train, "test": record.test or {}}
        scores = {f"{name}/{part}": value for part, values in parts.items() for name, value in values.items()}
        points = {**scores, **{tag: getattr(record, name) for tag, name in TAGS.items()}}
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in points.items()]
        with self._reported():
            self._writer.add_event(Event(step=record.epoch, wall_time=now, summary=Summary(value=values)))
            self._writer.flush()

    def close(self) -> None:
        """Flush and close the file; raises E405."""
        with self._reported():
            self._writer.close()

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            message = f"cannot write TensorBoard events to {self._folder}: {(error.strerror or str(error)).lower()}"
            raise CnncError.of(Code.NOT_WRITTEN, message) from error
