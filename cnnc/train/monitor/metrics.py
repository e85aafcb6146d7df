"""The metrics of an epoch, and `metrics.jsonl`: one line of JSON per epoch, in order.

The whole file is written and renamed into place. So it never ends in half a line, and a run that resumes from an
earlier epoch leaves no lines of later epochs.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from cnnc.diagnostics import CnncError, Code
from cnnc.files.write import write_file

NAME = "metrics.jsonl"


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """The metrics of an epoch, counted from 1. Losses are means over examples, accuracies are 0..1; None if not tested.

    `seconds` is the training time without the test, `examples_per_second` is the speed over that time, and `lr` is the
    learning rate of the last step.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    test_loss: float | None
    test_accuracy: float | None
    lr: float
    seconds: float
    examples_per_second: float


def write(folder: Path, records: Iterable[EpochRecord]) -> None:
    """Replace the folder's metrics by the records; raises E405."""
    lines = [json.dumps(asdict(record)) + "\n" for record in records]
    write_file(folder / NAME, "".join(lines).encode())


def read(folder: Path, until: int | None = None) -> tuple[EpochRecord, ...]:
    """Return the folder's records up to epoch `until`, none without a file; raises E512 if the file is damaged."""
    path = folder / NAME
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        records = tuple(EpochRecord(**json.loads(line)) for line in lines)
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, TypeError) as error:
        raise CnncError.of(
            Code.CANNOT_RESUME,
            f"cannot read {path}: {error}",
            help="remove the file: the run can continue without it, with new curves",
        ) from error
    return tuple(record for record in records if until is None or record.epoch <= until)
