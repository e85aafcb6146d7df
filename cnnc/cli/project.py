"""`[tool.cnnc]`: what a project says of its specs' warnings, and which files a check of a folder leaves out.

In: the path of a spec. Out: the `Project` of the nearest pyproject.toml above it that has this table, or one that says
nothing. Raises CnncError for a table that is wrong.
"""

import os
from functools import cache
from pathlib import Path
from typing import NamedTuple

from cnnc.diagnostics import CnncError, Code
from cnnc.diagnostics.levels import Levels
from cnnc.text.globs import Globs
from cnnc.text.source import LIMIT

NAME = "pyproject.toml"


class Project(NamedTuple):
    """What a project says."""

    levels: Levels = Levels()
    exclude: Globs | None = None

    def leaves_out(self, path: str) -> bool:
        """Whether a check of a folder leaves a file out."""
        return self.exclude is not None and self.exclude.match(path)


def project_of(path: str) -> Project:
    """The project that a spec belongs to; that of standard input is the current folder's."""
    found = map(_of_folder, Path(os.path.abspath(path)).parents)
    return next((each for each in found if each is not None), Project())


@cache
def _of_folder(folder: Path) -> Project | None:
    """What the file in a folder says; None where there is none, or none with the table."""
    file = folder / NAME
    data = _read(file) if os.path.isfile(file) else b""
    spelt = data.translate(None, b" \t\"'")
    if b"tool.cnnc" not in spelt and not (b"[tool]" in spelt and b"cnnc" in spelt):
        return None
    from cnnc.cli.project_table import read_table  # takes longer to import than most checks have time for

    table = read_table(_shown(file), data)
    return None if table is None else Project(table.levels, Globs(table.exclude, str(folder)))


def _shown(file: Path) -> str:
    """A path as a person would write it here."""
    here = Path.cwd()
    return str(file.relative_to(here) if file.is_relative_to(here) else file)


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(LIMIT + 1)
    except OSError as error:
        message = f"{file} cannot be read: {error.strerror}"
        help = "it may have a table `[tool.cnnc]`, which says what a check does"
        raise CnncError.of(Code.UNREADABLE, message, help=help) from None
