"""Download a named data set (`mnist`, `fashion-mnist`, `cifar10`) into the cache, once.

Takes a `NamedSet` and returns the cache folder with its files, whose sizes and SHA-256 are the published ones. A file
is checked before it is renamed into the cache, so a failed download leaves the earlier files. If two processes need the
same set, one downloads and the other waits. `$CNNC_MIRROR` replaces the published addresses: a file is then downloaded
from `$CNNC_MIRROR/SET/FILE`.
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
from cnnc.data.named_sets import NamedSet, Remote
from cnnc.diagnostics import CnncError, Code, Note
from cnnc.files.write import write_file

if sys.platform != "win32":  # without locks, two processes both download, and the later file stays
    import fcntl

Progress = Callable[[str, int, int | None], None]  # a file's name, bytes so far, bytes in all if known

TIMEOUT = 30.0  # seconds that a server may be silent


def cache_folder() -> Path:
    """Return `$CNNC_CACHE`, `$XDG_CACHE_HOME/cnnc` or `~/.cache/cnnc`; raises E509 without a home folder."""
    if own := os.environ.get("CNNC_CACHE"):
        return Path(own)
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared) / "cnnc"
    try:
        return Path.home() / ".cache" / "cnnc"
    except RuntimeError as error:
        raise _failed("this user has no home folder for downloads", _ELSEWHERE) from error


def fetch(known: NamedSet, cache: Path, progress: Progress | None = None, timeout: float = TIMEOUT) -> Path:
    """Return the folder with the set's files, after downloading those that are missing or damaged.

    Raises CnncError (E509), with a note about each address that was tried.
    """
    folder = cache / known.name
    missing = [file for file in known.files if not _is_right(folder / file.name, file)]
    if missing:
        with _locked(folder):
            for file in missing:
                if not _is_right(folder / file.name, file):  # another process may have downloaded it meanwhile
                    _fetch_file(known, file, folder, progress or _silent, timeout)
    return folder


def _fetch_file(known: NamedSet, file: Remote, folder: Path, progress: Progress, timeout: float) -> None:
    notes = []
    for url in _addresses(known, file):
        try:
            _keep(folder / file.name, partial(_copy, url, file, progress, timeout))
        except Unfetched as error:
            notes.append(Note(f"{url}: {error.reason}"))
        else:
            return
    help = f"try again later, or download the files by hand and pass their folder to --data; the cache is {folder}"
    raise CnncError.of(
        Code.DOWNLOAD_FAILED, f"cannot download {file.name} of {known.name}", notes=tuple(notes), help=help
    )


def _addresses(known: NamedSet, file: Remote) -> list[str]:
    mirror = os.environ.get("CNNC_MIRROR")
    bases = (f"{mirror.rstrip('/')}/{known.name}/",) if mirror else known.bases
    return [base + file.name for base in bases]


def _copy(url: str, file: Remote, progress: Progress, timeout: float, into: BinaryIO) -> None:
    """Write the content of `url` to `into`; raises Unfetched if it is not `file`, and the caller then discards it."""
    digest, size = hashlib.sha256(), 0
    progress(file.name, 0, file.size)
    for chunk in chunks(url, timeout):
        digest.update(chunk)
        size += len(chunk)
        if size > file.size:
            raise Unfetched(f"the file is larger than the published one, which has {file.size:,} bytes")
        into.write(chunk)
        progress(file.name, size, file.size)
    if size < file.size:
        raise Unfetched(f"the download ended after {size:,} of {file.size:,} bytes")
    if digest.hexdigest() != file.sha256:
        raise Unfetched(f"expected the SHA-256 {file.sha256}, got {digest.hexdigest()}")


def _keep(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Write a file of the cache atomically."""
    try:
        write_file(path, write)
    except Unfetched:
        raise
    except CnncError as error:
        raise _failed(error.diagnostics[0].message, _ELSEWHERE) from error


def _is_right(path: Path, file: Remote) -> bool:
    """Return whether the file exists and is the published one; a damaged file is downloaded again."""
    try:
        with path.open("rb") as content:
            right = os.fstat(content.fileno()).st_size == file.size
            return right and hashlib.file_digest(content, "sha256").hexdigest() == file.sha256
    except OSError:
        return False


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which the system releases when the process ends, however it ends."""
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


_ELSEWHERE = "set CNNC_CACHE to a writable folder with enough space"


def _failed(message: str, help: str) -> CnncError:
    return CnncError.of(Code.DOWNLOAD_FAILED, message, help=help)


@contextmanager
def shown() -> Iterator[Progress]:
    """Yield the callable that `load` takes as `progress`. It draws nothing until a download starts."""
    if not sys.stderr.isatty():
        yield _line
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    name, rate = TextColumn("{task.description}"), TransferSpeedColumn()
    with Bars(name, BarColumn(), DownloadColumn(), rate, TimeRemainingColumn(), console=Console(stderr=True)) as bars:
        tasks: dict[str, int] = {}

        def draw(file: str, done: int, total: int | None) -> None:
            if file not in tasks:
                tasks[file] = bars.add_task(file, total=total)
            bars.update(tasks[file], completed=done, total=total)  # type: ignore[arg-type]

        yield draw


def _line(file: str, done: int, total: int | None) -> None:
    if done == 0:
        size = f" ({total:,} bytes)" if total else ""
        print(f"downloading {file}{size}", file=sys.stderr, flush=True)
