"""`python -m tests.bench [MEASURE …] [--networks lenet,zoo/resnet50]`; the measures are those of `MEASURES`.

Prints a row for each budget as it is measured; ends with 1 where one is over by more than noise explains, else with 0.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench import cold
from tests.bench.measure import HEADER, ROOT, Row
from tests.peers import PEERS

if TYPE_CHECKING:
    from tests.bench.nodes import Nodes
    from tests.bench.worst import Worst

MEASURES = (
    "check",
    "keys",
    "zoo",
    "scale",
    "build",
    "deep",
    "infer",
    "pictures",
    "nodes",
    "latency",
    "int8",
    "step",
    "train",
    "plain",
    "first",
    "jpegs",
    "worst",
)
ZOO = tuple(f"zoo/{path.stem}" for path in sorted((ROOT / "specs" / "zoo").glob("*.yaml")))


def rows(measure: str, folder: Path, networks: Sequence[str]) -> Iterator["Row | Nodes | Worst"]:
    """The rows of one measure; `folder` takes what it writes. The zoo is not trained: nobody wrote it by hand here."""
    if measure in ("check", "zoo"):
        return cold.check() if measure == "check" else cold.zoo()
    if measure == "nodes":
        from tests.bench.nodes import nodes

        return nodes(networks)
    by_hand = [name for name in networks if name in PEERS]
    if measure in ("latency", "step"):
        from tests.bench import warm

        return warm.latency(folder, networks) if measure == "latency" else warm.step(by_hand)
    if measure in ("train", "plain"):
        rows_of = getattr(import_module(f"tests.bench.{measure}"), measure)
        trained: Iterator[Row] = rows_of(folder, by_hand)
        return trained
    if measure in ("int8", "jpegs", "keys", "pictures", "worst"):
        found: Iterator[Row | Worst] = getattr(import_module(f"tests.bench.{measure}"), measure)(folder)
        return found
    of_processes = {each.__name__: each for each in (cold.scale, cold.build, cold.deep, cold.infer, cold.first)}
    return of_processes[measure](folder)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="The budgets, as measured ratios.")
    parser.add_argument("measures", nargs="*", metavar="measure", help=f"of {', '.join(MEASURES)} (default: all)")
    parser.add_argument(
        "--networks",
        default=",".join((*PEERS, *ZOO)),
        help="for nodes, latency, step, train and plain, with commas; zoo/NAME is one of specs/zoo (default: all)",
    )
    asked = parser.parse_args()
    measures, networks = asked.measures or MEASURES, asked.networks.split(",")
    if unknown := [*(set(measures) - set(MEASURES)), *(set(networks) - {*PEERS, *ZOO})]:
        parser.error(f"there is no {', '.join(sorted(unknown))}")

    print(HEADER)
    over = False
    for measure in measures:
        with tempfile.TemporaryDirectory(prefix="cnnc-bench-") as folder:
            for row in rows(measure, Path(folder), networks):
                print(row, flush=True)
                over |= row.over
    return int(over)


if __name__ == "__main__":
    sys.exit(main())
