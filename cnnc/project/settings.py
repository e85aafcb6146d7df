"""Project settings, `[tool.cnnc]` in pyproject.toml: warnings to allow or deny, files to leave out of folder checks.

Takes the path of a spec and returns the `Project` of the nearest pyproject.toml above it that has this table, or an
empty one. Raises CnncError for a wrong table. A file is read again when it has changed.
"""

import os
from functools import cache
from pathlib import Path
from typing import NamedTuple

from cnnc.diagnostics import CnncError, Code
from cnnc.diagnostics.levels import Levels
from cnnc.files.stamp import Stamp
from cnnc.text.globs import Globs
from cnnc.text.source import LIMIT

NAME = "pyproject.toml"


class Project(NamedTuple):
    """The settings of a project."""

    levels: Levels = Levels()
    exclude: Globs | None = None

    def leaves_out(self, path: str) -> bool:
        """Return whether a check of a folder leaves a file out."""
        return self.exclude is not None and self.exclude.match(path)


def project_of(path: str) -> Project:
    """Return the project that a spec belongs to; for standard input, that of the current folder."""
    found = map(_of_folder, Path(os.path.abspath(path)).parents)
    return next((each for each in found if each is not None), Project())


def _of_folder(folder: Path) -> Project | None:
    """Return the project of the pyproject.toml in `folder`; None without the file or without the table in it."""
    stamp = Stamp.of(folder / NAME)
    found = None if stamp is None else _in_version(folder, stamp)
    if isinstance(found, CnncError):
        raise CnncError(found.diagnostics)
    return found


@cache
def _in_version(folder: Path, stamp: Stamp) -> Project | CnncError | None:
    """Return what `_of_folder` does, or the error of the table: it is read once for all files of the project."""
    try:
        return _in_file(folder)
    except CnncError as error:
        return error


def _in_file(folder: Path) -> Project | None:
    file = folder / NAME
    data = _read(file) if os.path.isfile(file) else b""
    spelt = data.translate(None, b" \t\"'")
    if b"tool.cnnc" not in spelt and not (b"[tool]" in spelt and b"cnnc" in spelt):
        return None
    from cnnc.project.table import read_table  # a slow import, which most checks do not need

    table = read_table(_shown(file), data)
    return None if table is None else Project(table.levels, Globs(table.exclude, str(folder)))


def _shown(file: Path) -> str:
    """Return the path relative to the current folder, if it is inside."""
    here = Path.cwd()
    return str(file.relative_to(here) if file.is_relative_to(here) else file)


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(LIMIT + 1)
    except OSError as error:
        message = f"cannot read {file}: {error.strerror}"
        help = "make it readable: it may have a table `[tool.cnnc]`, with settings for `cnnc check`"
        raise CnncError.of(Code.UNREADABLE, message, help=help) from None
