"""Timing two things against each other: in turns, in pairs, by medians.

In go two actions, out comes a `Comparison`. A machine that slows down for a while slows both halves of a pair, so the
ratio is taken pair by pair and the median of those ratios is what counts.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from time import perf_counter
from typing import Any

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Comparison:
    """Seconds of ours and of theirs, the n-th of one measured next to the n-th of the other."""

    ours: tuple[float, ...]
    theirs: tuple[float, ...]

    @property
    def ratios(self) -> list[float]:
        return [a / b for a, b in zip(self.ours, self.theirs, strict=True)]

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)

    @property
    def noise(self) -> float:
        """Half the width of the median's 95 % interval (McGill, Tukey and Larsen, Variations of Box Plots, 1978)."""
        low, _, high = statistics.quantiles(self.ratios, n=4, method="inclusive")
        return 1.57 * (high - low) / len(self.ratios) ** 0.5


def pooled(comparisons: Iterable[Comparison]) -> Comparison:
    """All pairs of several comparisons in one."""
    ours, theirs = zip(*((each.ours, each.theirs) for each in comparisons), strict=True)
    return Comparison(tuple(chain.from_iterable(ours)), tuple(chain.from_iterable(theirs)))


@dataclass(frozen=True)
class Row:
    """A line of the table: a comparison and the ratio that it may reach; with `limit`, also seconds of ours.

    `shown` turns a value of the comparison into text.
    """

    what: str
    comparison: Comparison
    budget: float
    limit: float | None = None
    shown: Callable[[float], str] = field(default_factory=lambda: seconds)

    @property
    def over(self) -> bool:
        """Whether the budget is exceeded by more than noise explains.

        Two copies of one model differ by up to 2 % for as long as they live: their memory lies in different places.
        """
        late = self.limit is not None and statistics.median(self.comparison.ours) > self.limit
        return late or self.comparison.ratio - max(self.comparison.noise, 0.02) > self.budget

    def __str__(self) -> str:
        ours, theirs = (self.shown(statistics.median(half)) for half in (self.comparison.ours, self.comparison.theirs))
        ratio = f"{self.comparison.ratio:.3f} ± {self.comparison.noise:.3f}"
        budget = f"{self.budget:.2f}" + (f", {self.limit:g} s" if self.limit is not None else "")
        verdict = "over" if self.over else "ok"
        return f"{self.what:<28}{ours:>10}{theirs:>12}{ratio:>17}{len(self.comparison.ours):>7}{budget:>12}  {verdict}"


HEADER = f"{'what':<28}{'ours':>10}{'reference':>12}{'ratio':>17}{'pairs':>7}{'at most':>12}"


def seconds(value: float) -> str:
    """A duration with a unit in which it is a number between 1 and 1000."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{value / size:.3g} {unit}" if value < 100 * size else f"{value / size:.0f} {unit}"
    return f"{value / 1e-6:.0f} µs"


def megabytes(value: float) -> str:
    return f"{value / 1e6:.0f} MB"


def timed(action: Callable[[], object], times: int = 1, clock: Callable[[], float] = perf_counter) -> float:
    """Seconds that one of `times` calls takes, by `clock`."""
    start = clock()
    for _ in range(times):
        action()
    return (clock() - start) / times


def interleave(
    ours: Callable[[], object],
    theirs: Callable[[], object],
    *,
    lasting: float,
    at_least: int = 5,
    clock: Callable[[], float] = perf_counter,
) -> Comparison:
    """Time both in turns for about `lasting` seconds, but `at_least` pairs and at most 60.

    A first call of each is thrown away: it pays for caches. Calls so short that the clock would blur them are timed
    by the bundle. Every other pair goes in the opposite order, so that none always runs behind the other.
    """
    ours()
    theirs()
    once = max(timed(ours), timed(theirs))
    times = max(1, round(0.02 / once))
    pairs = min(60, max(at_least, int(lasting / (2 * once * times))))
    result: list[tuple[float, float]] = []
    for pair in range(pairs):
        if pair % 2:
            second = timed(theirs, times, clock)
            result.append((timed(ours, times, clock), second))
        else:
            result.append((timed(ours, times, clock), timed(theirs, times, clock)))
    return Comparison(tuple(a for a, _ in result), tuple(b for _, b in result))


def process(*arguments: str | Path, cwd: Path = ROOT) -> Callable[[], None]:
    """An action that runs a fresh Python with `arguments` to its end; what it prints is shown only if it fails."""
    command = [sys.executable, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def run() -> None:
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")

    return run


@contextmanager
def serving(log: Path, *arguments: str | Path) -> Iterator[Callable[[], Any]]:
    """An action that asks a Python process for its next answer, a line of JSON on stdout; its stderr goes to `log`."""
    command = [sys.executable, *map(str, arguments)]
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as child,
    ):
        assert child.stdin is not None  # both are pipes
        assert child.stdout is not None
        source, answers = child.stdin, child.stdout

        def ask() -> Any:
            print(file=source, flush=True)
            if not (answer := answers.readline()):
                raise RuntimeError(f"{' '.join(command)} ended:\n{log.read_text()}")
            return json.loads(answer)

        try:
            yield ask
        finally:
            source.close()
