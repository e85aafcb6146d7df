"""The summary at the end of a training run: accuracy, speed, memory, and the next command."""

import shlex
from pathlib import Path

from cnnc.train.monitor.epoch import EpochRecord


def summary(
    spec: str, weights: Path, best: EpochRecord, last: EpochRecord, examples_per_second: float, peak_memory: int
) -> str:
    """Return the lines; `weights` is the file of the epoch `best`, `peak_memory` is in bytes.

    There is no line about speed and memory if `examples_per_second` is 0: the run had nothing left to do.
    """
    has_trained = examples_per_second > 0
    command = shlex.join(["cnnc", "build", spec, "--weights", str(weights)])
    return "\n".join(
        [
            f"best  {_accuracy(best)} in epoch {best.epoch}",
            f"last  {_accuracy(last)} in epoch {last.epoch}",
            *(
                [f"{examples_per_second:,.0f} examples/s, at most {_size(peak_memory)} of memory"]
                if has_trained
                else []
            ),
            f"next: {command}",
        ]
    )


def _accuracy(record: EpochRecord) -> str:
    if record.test_accuracy is None:
        return f"train acc {record.train_accuracy:.4f}"
    return f"test acc {record.test_accuracy:.4f}"


def _size(count: int) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.0f} MB"
