"""Turns the errors of PyYAML's parsers into diagnostics in the user's terms.

The messages of its two parsers (Python and libyaml) differ, so an error is recognized by parts of its context and
problem.
"""

import re
from typing import NamedTuple

import yaml

from cnnc.diagnostics import Code, Diagnostic, Note, Source, Span
from cnnc.text.yaml_events import refused_tab


class _Wording(NamedTuple):
    """The message and help for a PyYAML error that matches `pattern`."""

    pattern: str
    message: str
    help: str
    note: str | None = None
    """A note for the error's context, if it is worth showing."""
    at_context: bool = False
    """Whether the diagnostic points at the context instead of the problem."""
    code: Code = Code.SYNTAX


_QUOTE = 'quote a string that contains ": " or begins with a special character of YAML'
_ALIGN = (
    "indent it like its neighbours, with `- ` before an item and `key: ` before a value; or end the value before it"
)
_COLON = f"put each key on its own line, indented like its neighbours, with a space after its ':'; {_QUOTE}"
_WORDINGS = (
    _Wording("simple key.*find expected ':'", "a ':' is missing after this key", "write `key: value`", at_context=True),
    _Wording("mapping values are not allowed", "a ':' is not allowed here", _COLON),
    _Wording(
        "sequence entries are not allowed", "a list item is not allowed here", "start the list on a line of its own"
    ),
    _Wording(
        "parsing a block mapping", "this does not belong to the mapping around it", _ALIGN, "the mapping begins here"
    ),
    _Wording(
        "parsing a block collection", "this does not belong to the list around it", _ALIGN, "the list begins here"
    ),
    _Wording(
        "parsing a flow sequence", "a ',' or a ']' is missing here", "close the list with ]", "the list opens here"
    ),
    _Wording(
        "parsing a flow mapping", "a ',' or a '}' is missing here", "close the mapping with }", "the mapping opens here"
    ),
    _Wording("node content", "a value is missing here", f"write a value, or null; {_QUOTE}"),
    _Wording(
        "quoted scalar.*(end of stream|document)",
        "the quoted string is never closed",
        "close it with the quote that it begins with",
        at_context=True,
    ),
    _Wording(
        "escape (character|code|sequence)|scanning a double-quoted|parsing a quoted",
        "this is not a valid escape sequence",
        r"in double quotes \ begins an escape such as \n or \u00e9: write \\, or use single quotes",
    ),
    _Wording("(an alias|an anchor)", "a string cannot begin with * or & unless it is quoted", "put it in quotes"),
    _Wording(
        "tag", "tags are not part of the spec language", "put a string that begins with ! in quotes", code=Code.NOT_DATA
    ),
    _Wording("block scalar", "only a line break may follow | or >", "start the text on the next line, indented"),
    _Wording("cannot start any token", "a string cannot begin with this character", "put the string in quotes"),
    _Wording(
        "document start", "this comes after the end of the data", "remove it, or the mark before it that ends the data"
    ),
    _Wording("multiline plain|unexpected ':'", "a ':' is not allowed here", _QUOTE),
)
_TAB = re.compile("tab character|cannot start any token")
_COMPILED = [(re.compile(wording.pattern, re.DOTALL), wording) for wording in _WORDINGS]


def diagnose(error: yaml.YAMLError, source: Source) -> Diagnostic:
    """The diagnostic (E104; E106 for tags) for an error of either of PyYAML's parsers in `source`."""
    context, problem = getattr(error, "context", None), getattr(error, "problem", None)
    description = f"{context or ''}: {problem or error}"
    opened = _span(source, getattr(error, "context_mark", None))
    place = _span(source, getattr(error, "problem_mark", None)) or opened or Span(source, 1, 1, 1, 1)
    if _TAB.search(description) and _character(place) == "\t":
        return refused_tab(place).diagnostics[0]
    wording = next((wording for pattern, wording in _COMPILED if pattern.search(description)), None)
    if wording is None:
        return Diagnostic(Code.SYNTAX, f"the text is not valid YAML: {problem or error}", place)
    if wording.at_context and opened:
        place = opened
    notes = (Note(wording.note, opened),) if wording.note and opened else ()
    way_out = _spelt_out(source.line(place.line)) if wording.help == _COLON else None
    return Diagnostic(wording.code, wording.message, place, None, notes, way_out or wording.help)


def _spelt_out(line: str) -> str | None:
    """The correction of a node whose attributes follow the op without a colon or braces; None for other lines."""
    if found := re.fullmatch(r"\s*- (\w+) ?(\{.{,100})", line.rstrip()):
        return f"write a colon and a space: `- {found[1]}: {found[2]}`"
    if found := re.fullmatch(r"\s*- (\w+): +(\w+: [^#{}]{,100})", line.rstrip()):
        return f"put attributes on the op's own line in braces: `- {found[1]}: {{{found[2]}}}`"
    return None


def _character(span: Span) -> str:
    return span.source.line(span.line)[span.column - 1 : span.column]


def _span(source: Source, mark: yaml.Mark | None) -> Span | None:
    """The span of the character at `mark`; a mark after the last text is moved to the end of the text."""
    if mark is None:
        return None
    line, column = mark.line + 1, mark.column + 1
    if not source.text[mark.index :].strip():
        lines = source.text.rstrip().splitlines() or [""]
        line, column = len(lines), len(lines[-1]) + 1
    return Span(source, line, column, line, column + 1)
