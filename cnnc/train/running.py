"""Whether a training runs in a folder: a lock that its process holds and that the system frees, however it ends.

On Windows there is no lock, and no run counts as running.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

if sys.platform != "win32":
    import fcntl

NAME = ".cnnc-running"


@contextmanager
def running(folder: Path) -> Iterator[None]:
    """Hold the folder's lock. A file system without locks is no reason not to train."""
    if sys.platform == "win32":
        yield
        return
    with (folder / NAME).open("ab") as file:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            yield
        finally:
            (folder / NAME).unlink(missing_ok=True)


def is_running(folder: Path) -> bool:
    """Return whether a process holds the folder's lock."""
    if sys.platform == "win32":
        return False
    try:
        file = os.open(folder / NAME, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(file)
    return False
