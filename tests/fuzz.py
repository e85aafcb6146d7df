"""Random networks that are to agree, and what they covered: `python -m tests.fuzz 10000 [--kind free] [--seed 7]`.

Two kinds are drawn: `right` ones, whose attributes and types somebody has thought of (`tests.strategies`), in every
form that a network has, and `free` ones (`tests.free`), of which the compiler says what is right, and whose built files
are held to what the spec promises. Ends with 1 at the first that does not agree, made as small as it can be; it is
printed as a spec to keep.
"""

import argparse
import random
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any

import torch
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from cnnc.compiler import load
from tests.agreement.whole import agree
from tests.covered import Coverage
from tests.free.covered import FREE_CONSTRUCTS, constructs
from tests.free.shrink import fault_of, shrunk
from tests.free.specs import Drawn, as_yaml, drawn
from tests.free.trial import trial
from tests.strategies import specs

ROUND = 500  # networks drawn at a time: hypothesis looks for what is new among those that it knows
ROUNDS = 4  # of a process: torch keeps something of every TorchScript module


class Found(Exception):
    """A network that does not agree, told."""


def right(count: int, first: int, coverage: Coverage) -> None:
    """Try `count` networks, drawn from the seed `first`; raises Found at the first that disagrees."""

    @seed(first)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=False,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
        report_multiple_bugs=False,
    )
    @given(specs(), st.integers(0, 99))
    def try_one(spec: dict[str, Any], drawn: int) -> None:
        try:
            graph = load(spec)
            coverage.add(spec, graph)
            agree(graph, drawn)
        except Exception as error:
            error.add_note(f"{as_yaml(spec)}# seed {drawn}")
            raise

    try:
        try_one()
    except Exception as error:
        raise Found("".join(traceback.format_exception(error))) from None


def free(count: int, first: int, coverage: Coverage) -> None:
    """Try the networks of `count` numbers from `first` on; raises Found at the first that is not as promised."""
    for number in range(first, first + count):
        spec = drawn(number)
        try:
            tried = trial(spec)
        except Exception as error:
            raise Found(_failure_text(spec, error)) from None
        if tried.graph is None:
            coverage.refused += 1
        else:
            coverage.add(spec.spec, tried.graph, constructs(spec, tried.graph))
            coverage.targets.update(tried.targets)


def _failure_text(found: Drawn, error: Exception) -> str:
    """The fault, and the smallest spec that has it."""

    def fault(of: Drawn) -> str | None:
        try:
            trial(of, apart=apart)
        except Exception as other:
            return fault_of(other)
        return None

    wanted = fault_of(error)
    apart = False
    apart = fault(found) != wanted  # it takes several files
    small = shrunk(found, fault)
    lines = [*traceback.format_exception(error), as_yaml(small.spec)]
    lines += [f"# --set {name}={value}\n" for name, value in small.settings.items()]
    return "".join([*lines, f"# python -m tests.fuzz 1 --kind free --seed {found.seed}"])


KINDS: dict[str, tuple[Callable[[int, int, Coverage], None], tuple[str, ...] | None]] = {
    "right": (right, None),
    "free": (free, FREE_CONSTRUCTS),
}


def _coverage(kind: str) -> Coverage:
    wanted = KINDS[kind][1]
    return Coverage() if wanted is None else Coverage(wanted)


def _round(kind: str, count: int, first: int) -> tuple[Coverage, str | None]:
    """One round in a process of its own: what was covered, and the fault that was found."""
    torch.set_num_threads(1)
    coverage = _coverage(kind)
    try:
        KINDS[kind][0](count, first, coverage)
    except Found as found:
        return coverage, str(found)
    return coverage, None


def fuzz(kind: str, count: int, first: int, jobs: int) -> bool:
    """Try so many networks of a kind in so many processes, and tell; False where one does not agree."""
    whole, fault = _coverage(kind), None
    starts = range(first, first + count, ROUND)
    for at in range(0, len(starts), jobs * ROUNDS):  # with max_tasks_per_child, Python's pools can wait for ever
        rounds = {start: min(ROUND, first + count - start) for start in starts[at : at + jobs * ROUNDS]}
        fault = _rounds(kind, rounds, jobs, whole)
        if fault is not None:
            break
        print(f"{len(whole.sizes) + whole.refused} of {count} {kind} networks are as they should be", file=sys.stderr)
    print(f"{kind}: {whole.as_text()}", flush=True)
    if fault is not None:
        print(fault, flush=True)
    return fault is None


def _rounds(kind: str, rounds: dict[int, int], jobs: int, whole: Coverage) -> str | None:
    """The rounds that begin at these numbers, in fresh processes: adds what they cover; returns the fault found."""
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        running = {pool.submit(_round, kind, count, start): start for start, count in rounds.items()}
        for each in as_completed(running):
            try:
                coverage, fault = each.result()
            except BrokenProcessPool:
                left = min(start for other, start in running.items() if not other.done() or other.exception())
                return f"a process died: seek among the seeds from {left} on"
            whole.merge(coverage)
            if fault is not None:
                for other in running:
                    other.cancel()
                return fault
    return None


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Random networks that are to agree.")
    parser.add_argument("count", nargs="?", type=int, default=1000, help="how many of each kind (default: 1000)")
    parser.add_argument("--kind", choices=(*KINDS, "both"), default="both", help="which networks (default: both kinds)")
    parser.add_argument(
        "--seed", type=int, default=random.randrange(10**9), help="draws them (default: another each time)"
    )
    parser.add_argument("-j", "--jobs", type=int, default=2, help="in how many processes (default: 2)")
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    fine = [fuzz(kind, asked.count, asked.seed, asked.jobs) for kind in KINDS if asked.kind in (kind, "both")]
    sys.exit(not all(fine))


if __name__ == "__main__":
    main()
