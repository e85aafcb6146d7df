"""Results of a benchmark: what was run, the samples of its child processes, and the figures computed from them.

Times are in milliseconds unless a name says otherwise, memory is in bytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

BUSY = 0.9  # CPU time / wall time, below which other programs have slowed a measurement
NOISY = 0.1  # spread of the medians of the rounds, above which they differ too much


@dataclass(frozen=True, slots=True)
class Configuration:
    """A file and how it runs. `size` is the height and width for inputs whose own are open.

    `ours` is whether cnnc wrote the file, so that the names of its nodes are paths of a spec.
    """

    model: str
    precision: str
    provider: str
    threads: int
    batch: int
    size: tuple[int, int] | None = None
    ours: bool = False
    allow_external: bool = False

    def __str__(self) -> str:
        threads = f", {self.threads} thread{'s' * (self.threads > 1)}" if self.provider == "cpu" else ""
        return f"{self.model}, batch {self.batch}{threads}, {self.provider}"


@dataclass(frozen=True, slots=True)
class Sample:
    """One child process: how long the file took to load, the latency of each run, CPU and wall seconds of all runs."""

    provider: str
    load: float
    latencies: Sequence[float]
    cpu_seconds: float
    wall_seconds: float
    memory: int | None


@dataclass(frozen=True, slots=True)
class Peak:
    """The machine's GEMM peak on a number of threads: the highest GFLOP/s, and CPU time / (wall time × threads)."""

    threads: int
    gflops: float
    busy: float


@dataclass(frozen=True, slots=True)
class Macs:
    """The multiply-adds of a file for a batch of pictures, by path; `uncounted` operators are left out.

    `fault` is the reason why there are none.
    """

    by_path: Mapping[str, int] = field(default_factory=dict)
    uncounted: Mapping[str, int] = field(default_factory=dict)
    fault: str | None = None

    @property
    def total(self) -> int | None:
        return sum(self.by_path.values()) if self.fault is None else None


@dataclass(frozen=True, slots=True)
class BlockTime:
    """The time of a block, a node, or of work outside of the file's nodes, in one run; its MACs for the whole batch."""

    path: str
    milliseconds: float
    share: float
    macs: int | None
    in_file: bool = True

    @property
    def gflops(self) -> float | None:
        return 2 * self.macs / self.milliseconds / 1e6 if self.macs and self.milliseconds else None


@dataclass(frozen=True)
class Measurement:
    """The figures of a configuration, from a sample for each round."""

    configuration: Configuration
    samples: Sequence[Sample]
    macs: Macs
    peak: Peak | None = None
    blocks: Sequence[BlockTime] = field(default_factory=tuple)

    @property
    def latencies(self) -> list[float]:
        return sorted(each for sample in self.samples for each in sample.latencies)

    def percentile(self, percent: int) -> float:
        """Return the smallest latency that `percent` per cent of the runs do not exceed."""
        found = self.latencies
        return found[max(0, -(-len(found) * percent // 100) - 1)]

    @property
    def load(self) -> float:
        return median(each.load for each in self.samples)

    @property
    def pictures_per_second(self) -> float:
        return self.configuration.batch * 1000 * len(self.latencies) / sum(self.latencies)

    @property
    def memory(self) -> int | None:
        found = [each.memory for each in self.samples if each.memory is not None]
        return max(found) if found else None

    @property
    def busy(self) -> float:
        """CPU time / wall time: under 1, the process had to wait for a processor."""
        return sum(each.cpu_seconds for each in self.samples) / sum(each.wall_seconds for each in self.samples)

    @property
    def spread(self) -> float:
        """The difference of the slowest and the fastest round, relative to the median round."""
        middles = [median(each.latencies) for each in self.samples]
        return (max(middles) - min(middles)) / median(middles)

    @property
    def gflops(self) -> float | None:
        """Achieved GFLOP/s at the median latency, 2 per MAC; None if the MACs could not be counted."""
        return None if self.macs.total is None else 2 * self.macs.total / self.percentile(50) / 1e6

    @property
    def disturbed(self) -> bool:
        """Whether the processor was not fully available, during the runs or during the measurement of the peak."""
        on_cpu = self.configuration.provider == "cpu"
        return on_cpu and min(self.busy, self.peak.busy if self.peak else 1) < BUSY

    @property
    def of_peak(self) -> float | None:
        """Achieved share of the machine's GEMM peak; None on a GPU, without MACs, or if `disturbed`."""
        if self.gflops is None or self.peak is None or self.disturbed:
            return None
        return self.gflops / self.peak.gflops

    def as_json(self) -> dict[str, Any]:
        about = self.configuration
        return {
            "model": about.model,
            "precision": about.precision,
            "provider": about.provider,
            "threads": about.threads,
            "batch": about.batch,
            "size": about.size,
            "runs": len(self.latencies),
            "rounds": len(self.samples),
            "load_ms": self.load,
            "latency_ms": {f"p{percent}": self.percentile(percent) for percent in (50, 95, 99)},
            "pictures_per_second": self.pictures_per_second,
            "memory_bytes": self.memory,
            "cpu_share": self.busy,
            "spread": self.spread,
            "macs": None if self.macs.total is None else self.macs.total // about.batch,
            "uncounted": self.macs.uncounted,
            "gflops": self.gflops,
            "peak_share": self.of_peak,
            "blocks": [
                {
                    "path": each.path,
                    "ms": each.milliseconds,
                    "share": each.share,
                    "macs": each.macs,
                    "gflops": each.gflops,
                    "in_file": each.in_file,
                }
                for each in self.blocks
            ],
        }
