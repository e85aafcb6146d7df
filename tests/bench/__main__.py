"""`python -m tests.bench [check scale build infer latency step train] [--networks lenet,resnet18]`.

Prints a row for each budget as it is measured; ends with 1 where one is over by more than noise explains, else with 0.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.bench import cold
from tests.bench.measure import HEADER, Row
from tests.peers import PEERS

MEASURES = ("check", "scale", "build", "infer", "latency", "step", "train")


def rows(measure: str, folder: Path, networks: Sequence[str]) -> Iterator[Row]:
    """The rows of one measure; `folder` takes what it writes."""
    if measure == "check":
        return cold.check()
    if measure in ("latency", "step"):
        from tests.bench import warm

        return warm.latency(folder, networks) if measure == "latency" else warm.step(networks)
    if measure == "train":
        from tests.bench.train import train

        return train(folder, networks)
    return {"scale": cold.scale, "build": cold.build, "infer": cold.infer}[measure](folder)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="The budgets, as measured ratios.")
    parser.add_argument("measures", nargs="*", metavar="measure", help=f"of {', '.join(MEASURES)} (default: all)")
    parser.add_argument(
        "--networks", default=",".join(PEERS), help="for latency, step and train, with commas (default: all)"
    )
    asked = parser.parse_args()
    measures, networks = asked.measures or MEASURES, asked.networks.split(",")
    if unknown := [*(set(measures) - set(MEASURES)), *(set(networks) - set(PEERS))]:
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
