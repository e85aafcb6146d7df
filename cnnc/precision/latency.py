"""The time that two models take for one input, on one thread of the CPU.

Takes two models and an input; they run in turns, so that a machine that slows down for a while slows down both.
"""

import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from cnnc.precision.onnxruntime_tools import open_session

if TYPE_CHECKING:
    import numpy as np
    import onnx
    import onnxruntime

    Feed = Mapping[str, np.ndarray[Any, np.dtype[Any]]]

LASTING = 1.0  # seconds
PAIRS = (5, 50)  # at least, at most


@dataclass(frozen=True, slots=True)
class Latency:
    """Medians of the times in milliseconds, and of the ratio of the two times of each pair."""

    milliseconds: float
    float_milliseconds: float
    speedup: float

    def as_json(self) -> dict[str, float]:
        """The numbers as plain values."""
        return {name.replace("float_", "float32_"): round(each, 4) for name, each in asdict(self).items()}

    def __str__(self) -> str:
        ours, theirs = (f"{each:.3g}" for each in (self.milliseconds, self.float_milliseconds))
        ratio = f"{self.speedup:.1f} × as fast" if self.speedup >= 0.95 else f"{1 / self.speedup:.1f} × slower"
        return f"{ratio} ({ours} ms, float32 {theirs} ms)"


def latency(reference: Path, other: "Path | onnx.ModelProto", feed: "Feed") -> Latency:
    """Return the latencies of `other` and `reference` for one batch."""
    both = [open_session(other, threads=1), open_session(reference, threads=1)]
    until = perf_counter() + LASTING
    for session in both:
        _seconds(session, feed)
    times: list[tuple[float, float]] = []
    while len(times) < PAIRS[0] or (perf_counter() < until and len(times) < PAIRS[1]):
        first, second = both[:: -1 if len(times) % 2 else 1]
        pair = _seconds(first, feed), _seconds(second, feed)
        times.append(pair[:: -1 if len(times) % 2 else 1])  # type: ignore[arg-type]
    ours, theirs = (statistics.median(each) * 1000 for each in zip(*times, strict=True))
    return Latency(ours, theirs, statistics.median(b / a for a, b in times))


def _seconds(session: "onnxruntime.InferenceSession", feed: "Feed") -> float:
    start = perf_counter()
    session.run(None, feed)
    return perf_counter() - start
