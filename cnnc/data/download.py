"""The files of a data set that has a name, fetched once.

In: a `Known`. Out: the folder in the cache that holds its files, whole and with the published SHA-256. A file comes
into the cache by being renamed there after it was checked, so that whatever goes wrong leaves what was there before. Of
two processes that want the same set, one fetches and the other waits. `$CNNC_MIRROR` replaces the published addresses:
a file is then looked for at `$CNNC_MIRROR/SET/FILE`.
"""

import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

from cnnc.data.http import Unfetched, chunks
from cnnc.data.named_sets import Known, Remote
from cnnc.diagnostics import CnncError, Code, Note
from cnnc.files.write import write_file

if sys.platform != "win32":  # there, two processes both fetch, and the later one's file stays
    import fcntl

Progress = Callable[[str, int, int | None], None]  # a file's name, bytes so far, bytes in all where they are known

TIMEOUT = 30.0  # seconds in which a server must say something


def cache_folder() -> Path:
    """`$CNNC_CACHE`, or `$XDG_CACHE_HOME/cnnc`, or `~/.cache/cnnc`; raises CnncError, E509, without a home."""
    if own := os.environ.get("CNNC_CACHE"):
        return Path(own)
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared) / "cnnc"
    try:
        return Path.home() / ".cache" / "cnnc"
    except RuntimeError as error:
        raise _failed("there is no home folder to keep downloads in", _ELSEWHERE) from error


def fetch(known: Known, cache: Path, progress: Progress | None = None, timeout: float = TIMEOUT) -> Path:
    """The folder with the set's files, which are fetched where they are missing or damaged.

    Raises CnncError, E509, that says for each address that was tried what went wrong there.
    """
    folder = cache / known.name
    missing = [file for file in known.files if not _is_right(folder / file.name, file)]
    if missing:
        with _alone(folder):
            for file in missing:
                if not _is_right(folder / file.name, file):  # another process may have been quicker
                    _fetch_file(known, file, folder, progress or _silent, timeout)
    return folder


def _fetch_file(known: Known, file: Remote, folder: Path, progress: Progress, timeout: float) -> None:
    notes = []
    for url in _addresses(known, file):
        try:
            _keep(folder / file.name, partial(_copy, url, file, progress, timeout))
        except Unfetched as error:
            notes.append(Note(f"{url}: {error.reason}"))
        else:
            return
    help = f"try again later, or get the files in another way and give their folder to --data; the cache is {folder}"
    raise CnncError.of(
        Code.DOWNLOAD_FAILED, f"cannot download {file.name} of {known.name}", notes=tuple(notes), help=help
    )


def _addresses(known: Known, file: Remote) -> list[str]:
    mirror = os.environ.get("CNNC_MIRROR")
    bases = (f"{mirror.rstrip('/')}/{known.name}/",) if mirror else known.bases
    return [base + file.name for base in bases]


def _copy(url: str, file: Remote, progress: Progress, timeout: float, into: BinaryIO) -> None:
    """Write what is at `url`; raises Unfetched where it is not `file`, and then the caller keeps nothing of it."""
    digest, size = hashlib.sha256(), 0
    progress(file.name, 0, file.size)
    for chunk in chunks(url, timeout):
        digest.update(chunk)
        size += len(chunk)
        if size > file.size:
            raise Unfetched(f"the file there is larger than the published one, which has {file.size:,} bytes")
        into.write(chunk)
        progress(file.name, size, file.size)
    if size < file.size:
        raise Unfetched(f"the download ended after {size:,} of {file.size:,} bytes")
    if digest.hexdigest() != file.sha256:
        raise Unfetched(f"its SHA-256 is {digest.hexdigest()}, that of the published file is {file.sha256}")


def _keep(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Write a file of the cache, whole or not at all."""
    try:
        write_file(path, write)
    except Unfetched:
        raise
    except CnncError as error:
        raise _failed(error.diagnostics[0].message, _ELSEWHERE) from error


def _is_right(path: Path, file: Remote) -> bool:
    """Whether the file is there and is the published one, so that one that was damaged since is fetched again."""
    try:
        with path.open("rb") as content:
            right = os.fstat(content.fileno()).st_size == file.size
            return right and hashlib.file_digest(content, "sha256").hexdigest() == file.sha256
    except OSError:
        return False


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; it goes with the process that holds it, however that ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("ab")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise _failed(f"cannot write to the cache {folder}: {reason}", _ELSEWHERE) from error
    with lock:
        if sys.platform != "win32":
            with suppress(OSError):  # a file system without locks
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _silent(_: str, __: int, ___: int | None) -> None:
    """Show no progress."""


_ELSEWHERE = "set CNNC_CACHE to a folder that can be written and has room"


def _failed(message: str, help: str) -> CnncError:
    return CnncError.of(Code.DOWNLOAD_FAILED, message, help=help)
