"""All measures, and the rows of each: a budget a row."""

import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench import cold
from tests.bench.measure import ROOT, Row
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


def show(measure: str, networks: Sequence[str]) -> None:
    """Print the rows of a measure; exit with 1 if one is over."""
    over = False
    with tempfile.TemporaryDirectory(prefix="cnnc-bench-") as folder:
        for row in rows(measure, Path(folder), networks):
            print(row, flush=True)
            over |= row.over
    sys.exit(int(over))
