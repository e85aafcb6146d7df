"""`python -m tests.train.two_ranks FOLDER DATA…`: one rank of a run, for each spec in FOLDER/sources.json in turn.

One pair of processes for all specs, as most of the time of a small run is the start of its processes.
"""

import json
import sys
from pathlib import Path
from unittest.mock import patch

import cnnc
from cnnc.processes import end
from cnnc.train import run
from cnnc.train.run import train
from tests.train.conftest import Quiet


def main() -> None:
    """Train each spec into FOLDER/twoN, on each data set in turn."""
    folder, data = Path(sys.argv[1]), sys.argv[2:]
    with patch.object(run, "Watcher", Quiet):  # draws no curves
        for number, source in enumerate(json.loads((folder / "sources.json").read_text())):
            train(cnnc.load(source), {"data": data[number % len(data)]}, folder / f"two{number}", device="cpu")


if __name__ == "__main__":
    main()
    end(0)  # as the command does: threads of torch may abort a process that ends in another way
