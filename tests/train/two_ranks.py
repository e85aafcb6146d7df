"""`python -m tests.train.two_ranks FOLDER`: one rank of a run, for each spec and its data in FOLDER/runs.json in turn.

One pair of processes for all runs, as most of the time of a small run is the start of its processes.
"""

import json
import sys
from pathlib import Path
from unittest.mock import patch

import cnnc
from cnnc.processes import end
from cnnc.train import run
from cnnc.train.monitor import metrics
from cnnc.train.run import train
from tests.train.conftest import Quiet


def main() -> None:
    """Train each spec into FOLDER/twoN."""
    folder = Path(sys.argv[1])
    with patch.object(run, "Watcher", Quiet):  # draws no curves
        for number, (source, _, data) in enumerate(json.loads((folder / "runs.json").read_text())):
            trained = train(cnnc.load(source), {"data": data}, folder / f"two{number}", device="cpu")
            if trained.first:
                metrics.write(trained.folder, trained.records)


if __name__ == "__main__":
    main()
    end(0)  # as the command does: threads of torch may abort a process that ends in another way
