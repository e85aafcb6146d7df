"""Progress, speed and remaining time of a training run, from step counts alone, without waiting for the device."""

from dataclasses import dataclass, field
from time import monotonic

from cnnc.train.monitor.metrics import EpochRecord


@dataclass(slots=True)
class Pace:
    """The progress of a session: epochs `first` to `epochs`, each with `steps` steps and `examples` examples.

    `step` is the number of completed steps of the current epoch; the Watcher sets it, and the display reads it.
    """

    epochs: int
    steps: int
    examples: int
    first: int = 1
    last: EpochRecord | None = None
    step: int = 0
    started: float = field(default_factory=monotonic)
    epoch_started: float = field(default_factory=monotonic)

    @property
    def epoch(self) -> int:
        """The current epoch, counted from 1."""
        return self.first if self.last is None else min(self.last.epoch + 1, self.epochs)

    def resume_epoch(self, step: int, seconds: float) -> None:
        """Count the steps and the time of an earlier session that stopped within the current epoch."""
        self.step = step
        self.started -= seconds
        self.epoch_started -= seconds

    def end_epoch(self, record: EpochRecord) -> None:
        """Start the next epoch."""
        self.last, self.step, self.epoch_started = record, 0, monotonic()

    def examples_per_second(self) -> float | None:
        """Return the speed of the current epoch, or of the last one if the current one has only started."""
        seconds = monotonic() - self.epoch_started
        if self.step < 2 or seconds <= 0:
            return self.last.examples_per_second if self.last else None
        return self.examples * self.step / self.steps / seconds

    def left(self) -> float | None:
        """Return the remaining seconds of the session; None before the second step, when no estimate is possible."""
        ended = self.last.epoch + 1 - self.first if self.last and self.last.epoch >= self.first else 0
        done = ended + self.step / self.steps
        if ended == 0 and self.step < 2:
            return None
        return (monotonic() - self.started) * (self.epochs + 1 - self.first - done) / done


def seconds(value: float | None) -> str:
    """Format a duration: `0.42 s`, `12 s`, `3:05`, `1:02:03`; `–` for None."""
    if value is None:
        return "–"
    if value < 59.5:
        return f"{value:.2f} s" if value < 0.995 else f"{value:.1f} s" if value < 9.95 else f"{value:.0f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
