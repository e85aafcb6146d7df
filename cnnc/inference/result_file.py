"""Write results to a file as they come, and continue a file that a kill has cut off.

Takes a path and a format of `cnnc.inference.rows`. Each row reaches the system before the next one, so that a kill cuts
off at most the last row; `resume` drops that row, and counts the pictures of all others, which need not run again. Only
one process writes to a file. Errors of the system are E405.
"""

import errno
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from cnnc.diagnostics import CnncError, Code
from cnnc.files.checks import kind_of
from cnnc.files.write import reported
from cnnc.inference.results import Failed, Result
from cnnc.inference.rows import Rows, spelled

if sys.platform != "win32":
    import fcntl


class ResultFile:
    """A file of results that grows by a row for each picture. Use as a context manager.

    `held` is the number of pictures that the file held before, and `failed` how many of them failed.
    """

    def __init__(self, path: Path, rows: Rows, *, resume: bool = False, overwrite: bool = False) -> None:
        """Open the file; raises E405, also if it holds results and neither `resume` nor `overwrite` is set."""
        self._path, self._rows = path, rows
        self._written: Counter[str] = Counter()
        self.held = self.failed = 0
        with reported(path):
            if holds_bytes(path) and not (resume or overwrite):
                raise exists(path)
            self._file = _open(path)
        try:
            self._begin(resume)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "ResultFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, each: Result | Failed) -> None:
        """Add the row of a picture; raises E405."""
        self._write(self._rows.write(each))

    def finish(self) -> None:
        """Flush the complete file to the disk; raises E405."""
        with reported(self._path):
            os.fsync(self._file.fileno())

    def missing(self, pictures: Iterable[str | Failed]) -> Iterator[str | Failed]:
        """Yield the pictures that the file does not hold; one that comes several times counts as often."""
        for each in pictures:
            name = spelled(each.image if isinstance(each, Failed) else each)
            if self._written[name] > 0:
                self._written[name] -= 1
            else:
                yield each

    def _begin(self, resume: bool) -> None:
        end = self._read() if resume else 0
        with reported(self._path):
            self._file.truncate(end)
            self._file.seek(end)
        if not end:
            self._write(self._rows.header)

    def _write(self, text: str) -> None:
        with reported(self._path):
            self._file.write(text.encode())
            self._file.flush()

    def _read(self) -> int:
        """Count the pictures of the file; return the position after the last complete row."""
        end = 0
        with reported(self._path):
            for number, (row, after) in enumerate(split(self._file, quoted=self._rows.quoted), 1):
                try:
                    self._count(row, number, complete=after is not None)
                except ValueError as error:
                    raise CnncError.of(
                        Code.NOT_WRITTEN,
                        f"cannot continue {self._path}: row {number:,} is not one of this run: {row.strip()[:60]!r}",
                        help="resume with the options of the run that wrote the file, or write to another file",
                    ) from error
                end = after or end
        return end

    def _count(self, row: str, number: int, *, complete: bool) -> None:
        """Count the picture of a row; raises ValueError if this run would not write such a row."""
        header = self._rows.header if number == 1 else ""
        if header and not (row == header if complete else header.startswith(row)):
            raise ValueError("another header")
        if not complete and not header and not self._rows.may_begin(row):
            raise ValueError("not the beginning of a row")
        if complete and not header:
            image, failed = self._rows.read(row)
            self._written[image] += 1
            self.held += 1
            self.failed += failed


def split(file: IO[bytes], *, quoted: bool) -> Iterator[tuple[str, int | None]]:
    """Yield each row and the position after it; None for a last row that has no end.

    With `quoted`, a line end between quotes does not end a row.
    """
    file.seek(0)
    position, row = 0, b""
    for line in file:
        position += len(line)
        row += line
        if line.endswith(b"\n") and not (quoted and row.count(b'"') % 2):
            yield row.decode(errors="replace"), position
            row = b""
    if row:
        yield row.decode(errors="replace"), None


def holds_bytes(path: Path) -> bool:
    """Return whether there is a file that is not empty; raises E405 if it is not a regular file."""
    if not os.path.exists(path):
        return False
    status = path.stat()
    if kind := kind_of(status.st_mode):
        raise CnncError.of(
            Code.NOT_WRITTEN,
            f"cannot write {path}: it is {kind}, not a file",
            help="without --output, results go to standard output",
        )
    return status.st_size > 0


def exists(path: Path) -> CnncError:
    """Return the error E405 for a file with results that neither option allows to change."""
    return CnncError.of(
        Code.NOT_WRITTEN,
        f"cannot write {path}: the file exists",
        help="--resume continues it, --overwrite replaces it",
    )


def _open(path: Path) -> IO[bytes]:
    """Open a file to read and write, and lock it."""
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
    if sys.platform != "win32":
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            raise CnncError.of(Code.NOT_WRITTEN, f"cannot write {path}: another process is writing it") from error
    return file
