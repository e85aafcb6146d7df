"""Read and validate the table `[tool.cnnc]` of a pyproject.toml, with the place of each error.

Takes the file's bytes and returns its `Table`, or None if it has none; raises CnncError. tomllib reports no places, so
this module searches the text for keys and values.
"""

import re
import tomllib
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator, Field

from cnnc.diagnostics import CnncError, Code, Diagnostic, Source, Span
from cnnc.diagnostics.levels import ALL, Levels, objection
from cnnc.language.part import Part
from cnnc.language.validate import salvage
from cnnc.text.source import decode
from cnnc.text.value import Value
from cnnc.text.yaml_events import place

TABLE = "`[tool.cnnc]`"

_HEADER = re.compile(r"^[ \t]*\[[ \t]*[\"']?tool[\"']?[ \t]*\.[ \t]*[\"']?cnnc[\"']?[ \t]*\]", re.MULTILINE)
_NEXT = re.compile(r"^[ \t]*\[", re.MULTILINE)
_PLACE = re.compile(r"\(at line (\d+), column (\d+)\)")


def _list(given: Any) -> Any:
    """A single text as a list of it, as `allow` of a spec takes it."""
    return [given] if isinstance(given, str) else given


Texts = Annotated[list[str], BeforeValidator(_list)]


class Tool(Part):
    """The fields of `[tool.cnnc]`, for validation."""

    allow: Texts = Field([], description="warnings that are not reported")
    deny: Texts = Field([], description="warnings that are errors")
    exclude: Texts = Field([], description="globs of files that a check of a folder leaves out")


class Table(NamedTuple):
    """The warning levels of a table, and the globs of files to leave out."""

    levels: Levels
    exclude: tuple[str, ...]


def read_table(name: str, data: bytes) -> Table | None:
    """Return the table in the file called `name`; None if it has none. Raises CnncError with all errors in it."""
    table = _table(decode(name, data))
    if table is None:
        return None
    faults: list[Diagnostic] = []
    tool = salvage(Tool, table, TABLE, faults.append)
    if tool is not None:
        for key in ("allow", "deny"):
            for at, word in enumerate(getattr(tool, key)):
                reason = None if key == "deny" and word == ALL else objection(word)
                if reason is None and key == "deny" and word in tool.allow:
                    reason = f"{word} is both allowed and denied"
                if reason:
                    faults.append(Diagnostic(Code.BAD_VALUE, reason, table.at(key, at).span))
    if faults or tool is None:
        raise CnncError(faults)
    return Table(Levels.of(tool.allow, tool.deny), tuple(tool.exclude))


def _table(source: Source) -> Value | None:
    """Return the table as values with places, None without one; raises CnncError for a syntax error."""
    try:
        tool = tomllib.loads(source.text).get("tool", {})
    except (ValueError, RecursionError) as error:
        raise CnncError.of(Code.SYNTAX, f"{source.name} is not valid TOML: {error}", _where(source, error)) from None
    if not isinstance(tool, dict) or "cnnc" not in tool:
        return None
    header = _HEADER.search(source.text)
    start = header.end() if header else 0
    following = _NEXT.search(source.text, start) if header else None
    span = place(source, header.start(), len(header[0])) if header else Span(source, 1, 1, 1, 1)
    return _value(tool["cnnc"], source, span, start, following.start() if following else len(source.text))


def _where(source: Source, error: Exception) -> Span:
    """Return the place of a TOML syntax error, which tomllib has in its message."""
    found = _PLACE.search(str(error))
    line, column = (int(found[1]), int(found[2])) if found else (len(source.lines), 1)
    return Span(source, line, column, line, column + 1)


def _value(data: Any, source: Source, span: Span, start: int, end: int) -> Value:
    """Return data with the places of its keys and texts, as far as the search from `start` to `end` finds them."""
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
