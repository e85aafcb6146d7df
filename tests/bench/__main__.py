"""`python -m tests.bench [MEASURE …] [--networks lenet,zoo/resnet50]`; the measures are those of `MEASURES`.

Prints a row for each budget as it is measured; ends with 1 where one is over by more than noise explains, else with 0.
"""

import argparse
import sys
from collections.abc import Sequence
from multiprocessing import get_context

from tests.bench.measure import HEADER
from tests.bench.measures import MEASURES, ZOO, show
from tests.peers import PEERS


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

    print(HEADER, flush=True)
    codes = [in_a_process(measure, networks) for measure in measures]
    return int(any(codes))


def in_a_process(measure: str, networks: Sequence[str]) -> int | None:
    """Show one measure from a process of its own, and return its exit code.

    One process for all would hold 13 GB by the time that others train vgg11 in 9 GB.
    """
    child = get_context("spawn").Process(target=show, args=(measure, networks))
    child.start()
    child.join()
    if child.exitcode not in (0, 1):
        print(f"{measure} ended with exit code {child.exitcode}", flush=True)
    return child.exitcode


if __name__ == "__main__":
    sys.exit(main())
