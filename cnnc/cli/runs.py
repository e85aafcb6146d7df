"""`cnnc runs`: list training runs side by side, with their best epochs and how their recipes differ."""

import json
from argparse import Namespace

from cnnc.cli.options import note
from cnnc.cli.parser import OneOf, Parser

SORTS = ("name", "best", "epochs", "time", "state", "updated")


def add_options(parser: Parser) -> None:
    """Add the arguments and options of `cnnc runs`."""
    parser.argument("folder", "The folder of the runs, or of one run; runs if left out.", required=False)
    sorts = "Order of the runs: the best, longest and latest come first."
    parser.option("--sort", type=OneOf(SORTS), default="name", help=sorts)
    parser.flag("--reverse", help="Reverse the order.")
    parser.flag("--report", help="Draw report.html of each run again, and print the paths.")
    parser.option("--format", type=OneOf(("text", "json")), default="text", help="A table, or one JSON line.")


def run(given: Namespace) -> int:
    """Print the list, and return the exit code; damaged runs are only notes, unless there are no others."""
    from pathlib import Path

    from cnnc.train.report import runs

    folder = Path(given.folder or "runs")
    found, damaged = runs.find(folder)
    found.sort(key=runs.SORTS[given.sort], reverse=given.reverse)
    if damaged and not found:
        raise damaged[0]
    if given.report:
        from cnnc.train.report.page import write

        for each in found:
            print(write(each.folder))
    elif given.format == "json":
        print(json.dumps(runs.as_json(folder, found, damaged)))
    elif found:
        print(runs.as_text(folder, found))
    if not found:
        note(f"there is no run in {folder}; `cnnc train SPEC` makes one")
    for error in damaged:
        note(error.diagnostics[0].message)
    return 0
