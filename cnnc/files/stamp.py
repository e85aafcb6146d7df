"""Whether a file on the disk has changed since it was read."""

import os
from typing import NamedTuple


class Stamp(NamedTuple):
    """What changes when a file does."""

    modified: int
    size: int

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> "Stamp | None":
        """The stamp of a file; None without one."""
        try:
            status = os.stat(path)
        except (OSError, ValueError):
            return None
        return cls(status.st_mtime_ns, status.st_size)
