"""`python -m tests.mutants [FILE …] [--n 120] [--seed 0]`: plant faults, and print those that no test finds.

Ends with 1 where there are any but those that `equivalent.py` lists, which change nothing.
"""

import argparse
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.mutants.draw import draw
from tests.mutants.equivalent import reason
from tests.mutants.plant import Fault
from tests.mutants.reach import survey
from tests.mutants.sandbox import sandbox
from tests.mutants.search import Search

ROOT = Path(__file__).parents[2]
ROOMS = ("ops", "graph", "analysis", "diff", "expand", "causes", "passes", "targets", "weights", "verification")
SCOPE = tuple(f"cnnc/{room}" for room in ROOMS)
FOUND, IDLE, LOST = "found", "nothing", "NOT FOUND"


def main(arguments: Sequence[str]) -> int:
    """Plant what is asked for; 1 where something was not found."""
    given = _arguments(arguments)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs would go on
    sources = _sources(given.files or SCOPE)
    reach = survey(ROOT, print)
    counts = Counter[str]()
    lost = []
    with sandbox(ROOT) as box:
        search = Search(box, reach, given.seconds)
        for number, fault in enumerate(draw(sources, given.n, given.seed), 1):
            line, before, after = fault.lines(sources[fault.path])
            told = f"{fault.path}:{line}: {before}  →  {after}"
            outcome, why = _tried(search, fault, sources[fault.path])
            print(f"{number:>4}  {outcome:<9}  {told}\n{'':17}{why}", flush=True)
            counts[outcome] += 1
            lost += [told] if outcome == LOST else []
    print(f"\n{counts.total()} faults: {counts[FOUND]} found, {counts[IDLE]} change nothing, {len(lost)} not found")
    print("\n".join(lost))
    return 1 if lost else 0


def _tried(search: Search, fault: Fault, source: bytes) -> tuple[str, str]:
    """What became of a fault, and the reason or the test that says so."""
    _, before, after = fault.lines(source)
    if known := reason(fault.path, before, after):
        return IDLE, known
    start = time.monotonic()
    result = search.look(fault, source)
    took = f"{time.monotonic() - start:.1f} s"
    if result.outcome == "found":
        return FOUND, " ".join(filter(None, (f"by {result.by}", result.how, f"in {took}")))
    return LOST, f"{'no test fails' if result.outcome == 'passed' else 'not in the time given'}, {took}"


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("files", nargs="*", help="modules or folders of cnnc; left out: the compiler's")
    parser.add_argument("--n", type=int, default=120, help="how many faults (default: 120)")
    parser.add_argument("--seed", type=int, default=0, help="another seed draws others")
    parser.add_argument("--seconds", type=float, default=180, help="of tests for one fault (default: 180)")
    return parser.parse_args(arguments)


def _sources(names: Sequence[str]) -> dict[str, bytes]:
    paths: list[Path] = []
    for name in names:
        path = ROOT / name
        paths += sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return {path.resolve().relative_to(ROOT).as_posix(): path.read_bytes() for path in paths}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
