"""`run.json`, the summary of a run for people and other programs, with a hash that detects damage."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from cnnc.files.write import write_file

RUN = "run.json"
HASH = "sha256"


class RunChanged(Exception):
    """A `run.json` is damaged or was changed."""


def write_run(path: Path, about: Mapping[str, Any]) -> None:
    """Write a summary and its hash; raises E405."""
    stamped = {**about, HASH: json_hash(about)}
    write_file(path, (json.dumps(stamped, indent=2, ensure_ascii=False) + "\n").encode())


def read_run(path: Path) -> dict[str, Any] | None:
    """Return a summary; None without the file. Raises RunChanged if cnnc did not write it so, and OSError."""
    try:
        about: dict[str, Any] = json.loads(path.read_bytes())
        whole = about.pop(HASH, None) in (json_hash(about), None)
    except FileNotFoundError:
        return None
    except (ValueError, AttributeError, TypeError, RecursionError):
        whole = False
    if not whole:
        raise RunChanged("it is damaged or was changed: it is not what cnnc wrote")
    return about


def json_hash(data: Mapping[str, Any]) -> str:
    """Return the SHA-256 of plain data, whatever the order of its keys."""
    return sha256(json.dumps(data, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
