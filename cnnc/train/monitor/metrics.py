"""`metrics.jsonl`: a line of JSON an epoch, in order, each epoch once.

The file is written whole and renamed into place, so it never ends in half a line, and a run that goes on from an
earlier epoch leaves no line of what it forgot.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from cnnc.diagnostics import CnncError, Code
from cnnc.files.write import write_file
from cnnc.train.monitor.epoch import EpochRecord

NAME = "metrics.jsonl"


def write(folder: Path, records: Iterable[EpochRecord]) -> None:
    """Write the records as the whole of the folder's metrics; raises E405."""
    lines = [json.dumps(asdict(record)) + "\n" for record in records]
    write_file(folder / NAME, "".join(lines).encode())


def read(folder: Path, until: int | None = None) -> tuple[EpochRecord, ...]:
    """The folder's records up to epoch `until`, none where there is no file; raises E512 where it is damaged."""
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
            help="remove the file: the run can go on without it, and its curves begin anew",
        ) from error
    return tuple(record for record in records if until is None or record.epoch <= until)
