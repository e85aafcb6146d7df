"""`[tool.cnnc]`: what a project says of its specs' warnings, and which files a check of a folder leaves out.

In: a folder. Out: the `Project` of the nearest pyproject.toml above it that has this table, or one that says nothing.
Raises CnncError for a table that is wrong. tomllib tells no places, so keys and values are looked for in the text.
"""

import os
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import Field

from cnnc.diagnostics import CnncError, Code, Diagnostic, Source, Span
from cnnc.levels import ALL, Levels, objection
from cnnc.spec.events import place
from cnnc.spec.globs import Globs
from cnnc.spec.model import Part
from cnnc.spec.source import LIMIT, decode
from cnnc.spec.validate import validate
from cnnc.spec.value import Value

NAME = "pyproject.toml"
TABLE = "`[tool.cnnc]`"

_MENTIONED = re.compile(rb"tool[\"']?\s*\.\s*[\"']?cnnc|\[\s*[\"']?tool[\"']?\s*\]")
_HEADER = re.compile(r"^[ \t]*\[[ \t]*[\"']?tool[\"']?[ \t]*\.[ \t]*[\"']?cnnc[\"']?[ \t]*\]", re.MULTILINE)
_NEXT = re.compile(r"^[ \t]*\[", re.MULTILINE)
_PLACE = re.compile(r"\(at line (\d+), column (\d+)\)")


class Tool(Part):
    """The table."""

    allow: list[str] = Field([], description="warnings that are not told")
    deny: list[str] = Field([], description="warnings that are errors")
    exclude: list[str] = Field([], description="globs of files that a check of a folder leaves out")


@dataclass(frozen=True, slots=True)
class Project:
    """What a project says."""

    levels: Levels = field(default_factory=Levels)
    exclude: Globs | None = None

    def leaves_out(self, path: str) -> bool:
        """Whether a check of a folder leaves a file out."""
        return self.exclude is not None and self.exclude.match(path)


def project_of(path: str) -> Project:
    """The project that a spec belongs to; that of standard input is the current folder's."""
    return next(filter(None, map(_of_folder, Path(os.path.abspath(path)).parents)), Project())


@cache
def _of_folder(folder: Path) -> Project | None:
    """What the file in a folder says; None where there is none, or none with the table."""
    file = folder / NAME
    data = _read(file) if os.path.isfile(file) else b""
    return _project(decode(_shown(file), data), folder) if _MENTIONED.search(data) else None


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
        help = f"it may have a table {TABLE}, which says what a check does"
        raise CnncError.of(Code.UNREADABLE, message, help=help) from None


def _project(source: Source, folder: Path) -> Project | None:
    """What the file says; None where it has no such table."""
    table = _table(source)
    if table is None:
        return None
    faults: list[Diagnostic] = []
    tool = validate(Tool, table, TABLE, faults.append)
    if tool is not None:
        for key in ("allow", "deny"):
            for at, word in enumerate(getattr(tool, key)):
                reason = None if key == "deny" and word == ALL else objection(word)
                if reason is None and key == "deny" and word in tool.allow:
                    reason = f"{word} is allowed and denied"
                if reason:
                    faults.append(Diagnostic(Code.BAD_VALUE, reason, table.at(key, at).span))
    if faults or tool is None:
        raise CnncError(faults)
    return Project(Levels.of(tool.allow, tool.deny), Globs(tool.exclude, str(folder)))


def _table(source: Source) -> Value | None:
    """The table as values with places."""
    import tomllib  # takes longer to import than most checks have time for

    try:
        tool = tomllib.loads(source.text).get("tool", {})
    except (ValueError, RecursionError) as error:
        raise CnncError.of(Code.SYNTAX, f"{source.name} is not valid TOML: {error}", _where(source, error)) from None
    if not isinstance(tool, dict) or "cnnc" not in tool:
        return None
    header = _HEADER.search(source.text)
    start = header.end() if header else 0
    behind = _NEXT.search(source.text, start) if header else None
    span = place(source, header.start(), len(header[0])) if header else Span(source, 1, 1, 1, 1)
    return _value(tool["cnnc"], source, span, start, behind.start() if behind else len(source.text))


def _where(source: Source, error: Exception) -> Span:
    """Where a text is no TOML: tomllib says it in words."""
    found = _PLACE.search(str(error))
    line, column = (int(found[1]), int(found[2])) if found else (len(source.lines), 1)
    return Span(source, line, column, line, column + 1)


def _value(data: Any, source: Source, span: Span, start: int, end: int) -> Value:
    """Data with the places of its keys and texts, as far as they are found between `start` and `end`."""
    if isinstance(data, dict):
        keys, values = {}, {}
        for key, each in data.items():
            found = re.compile(rf"[\"']?\b{re.escape(key)}\b[\"']?(?=\s*=)").search(source.text, start, end)
            keys[key] = place(source, found.start(), len(found[0])) if found else span
            values[key] = _value(each, source, keys[key], found.end() if found else start, end)
        return Value(values, span, keys)
    if isinstance(data, list):
        return Value(tuple(_value(each, source, span, start, end) for each in data), span)
    spelt = re.escape(data) if isinstance(data, str) else re.escape(str(data).lower())
    found = re.compile(rf"[\"']{spelt}[\"']" if isinstance(data, str) else spelt).search(source.text, start, end)
    return Value(data, place(source, found.start(), len(found[0])) if found else span)
