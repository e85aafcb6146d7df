"""Whether a training runs in a folder: a lock that its process holds and that the system frees, however it ends.

The file is beside the folder, so a training can lock it before the folder exists, and an earlier run can be renamed
meanwhile. On Windows there is no lock, and no run counts as running.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cnnc.diagnostics import CnncError, Code
from cnnc.files.write import make_folder, missing_folders, remove_empty, reported

if sys.platform != "win32":
    import fcntl


def lock_of(folder: Path) -> Path:
    """Return the path of the folder's lock, by whatever path the folder is reached."""
    folder = Path(os.path.realpath(folder))
    return folder.with_name(f".{folder.name}.cnnc-running")


@contextmanager
def running(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; raises E405 if another process does: two would overwrite each other's files.

    Creates the folder's parents, and removes those that stay empty. A file system without locks is no reason not to
    train.
    """
    if sys.platform == "win32":
        yield
        return
    path = lock_of(folder)
    new = missing_folders(path.parent)
    make_folder(path.parent)
    with reported(path):
        file = path.open("ab")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = True
        except BlockingIOError:
            raise _busy(folder) from None
        except OSError:  # no locks
            held = False
        try:
            yield
        finally:
            if held:
                path.unlink(missing_ok=True)
                remove_empty(new)


def _busy(folder: Path) -> CnncError:
    message = f"cannot write {folder}: another training is running in it"
    return CnncError.of(Code.NOT_WRITTEN, message, help="wait until it ends, or use `--out` with another folder")


def is_running(folder: Path) -> bool:
    """Return whether a process holds the folder's lock."""
    if sys.platform == "win32":
        return False
    try:
        file = os.open(lock_of(folder), os.O_RDONLY)
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
