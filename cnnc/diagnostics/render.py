r"""Formats diagnostics: for people (`render`), for programs (`as_json`) and for GitHub (`as_github`).

Text from a file may contain escape sequences, bidirectional marks or NULs, so these are escaped (`\x1b`, `\u202e`)
before they reach a terminal. Colours are plain ANSI codes: a library would slow down the start of `cnnc check`.
"""

import os
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cnnc.columns import width
from cnnc.diagnostics import Diagnostic, Note, Span

_RESET, _BOLD, _RED, _YELLOW, _GREEN, _BLUE = (
    "\x1b[0m",
    "\x1b[1m",
    "\x1b[1;31m",
    "\x1b[1;33m",
    "\x1b[1;32m",
    "\x1b[1;34m",
)
_TAB = 4
_LINE = 120  # characters of a source line that are shown, and how many of them are before the place
_BEFORE = 40
_MESSAGE = 2_000  # characters: a name from a file can be as long as the file
_CONTROL = ("Cc", "Cf", "Cs", "Zl", "Zp")
_PLAIN = re.compile(r"[ -~]*")


def render(diagnostic: Diagnostic, *, color: bool) -> str:
    """Format a diagnostic like a compiler: message, place, the source line with the place underlined, help.

    Returns several lines without a newline at the end. With `color`, adds ANSI codes.
    """
    paint = _paint if color else _leave
    accent = _RED if diagnostic.severity == "error" else _YELLOW
    spans = [span for span in (diagnostic.span, *(note.span for note in diagnostic.notes)) if span and not span.path]
    margin = max([len(str(span.line)) for span in spans], default=1)
    gutter = " " * margin
    severity = f"{diagnostic.severity}[{diagnostic.code}]"
    lines = [f"{paint(severity, accent)}{paint(': ' + _message(diagnostic.message, 4), _BOLD)}"]
    if diagnostic.span:
        lines += _snippet(diagnostic.span, margin, "^", diagnostic.label, accent, paint)
    for note in diagnostic.notes:
        lines += _note(note, margin, paint)
    if diagnostic.help:
        bar = paint("=", _BLUE)
        lines.append(f"{gutter} {bar} {paint('help', _GREEN)}: {_message(diagnostic.help, margin + 9)}")
    return "\n".join(lines)


def for_terminal(diagnostics: Iterable[Diagnostic]) -> list[str]:
    """Format diagnostics for standard error, in colour if it is a terminal."""
    color = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    return [f"{render(each, color=color)}\n" for each in diagnostics]


def show(diagnostics: Iterable[Diagnostic]) -> None:
    """Print diagnostics to standard error, for people."""
    for text in for_terminal(diagnostics):
        print(text, file=sys.stderr)


def as_json(diagnostic: Diagnostic) -> dict[str, Any]:
    """The diagnostic as plain data, with None for unknown fields; lines and columns count from 1.

    A place in data given as a dict has a `path` and no line; a place in a text has no `path`.
    """
    return {
        "code": diagnostic.code.value,
        "severity": diagnostic.severity,
        "message": diagnostic.message,
        **_place(diagnostic.span, ("line", "column", "end_line", "end_column")),
        "label": diagnostic.label,
        "help": diagnostic.help,
        "notes": [{"message": note.message, **_place(note.span, ("line", "column"))} for note in diagnostic.notes],
    }


def _place(span: Span | None, numbers: tuple[str, ...]) -> dict[str, Any]:
    """The keys of a place: its file, `numbers`, and its path."""
    path = span.path if span else None
    position = {key: getattr(span, key) if span and path is None else None for key in numbers}
    return {"file": span.source.name if span else None, **position, "path": path}


def as_github(diagnostic: Diagnostic) -> str:
    """The diagnostic as a GitHub workflow command; label, notes and help are part of the message."""
    properties: dict[str, object] = {}
    if (span := diagnostic.span) and span.path is None:
        properties = {"file": span.source.name, "line": span.line, "endLine": span.end_line}
        if span.line == span.end_line:  # GitHub drops the columns of a place that spans lines, with a warning
            properties |= {"col": span.column, "endColumn": span.end_column}
    properties["title"] = diagnostic.code.value
    return github_command(diagnostic.severity, properties, annotation(diagnostic))


def github_command(name: str, properties: Mapping[str, object], message: str) -> str:
    """Return a workflow command of GitHub, such as `error` or `notice`."""
    order = ("file", "line", "col", "endLine", "endColumn", "title")
    written = ",".join(f"{key}={_escape_property(str(properties[key]))}" for key in order if key in properties)
    return f"::{name} {written}::{_escape_data(message)}"


def annotation(diagnostic: Diagnostic) -> str:
    """Return the message with its label, notes and help, a line each: for tools that show the place themselves."""
    path = diagnostic.span.path if diagnostic.span else None
    lines = [f"{path}: {diagnostic.message}" if path else diagnostic.message]
    if diagnostic.label:
        lines.append(diagnostic.label)
    lines += [f"note: {note.message}" + (f" ({note.span})" if note.span else "") for note in diagnostic.notes]
    if diagnostic.help:
        lines.append(f"help: {diagnostic.help}")
    return "\n".join(visible(part) for line in lines for part in line.split("\n"))


def _escape_data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape_data(visible(text)).replace(":", "%3A").replace(",", "%2C")


def visible(text: str) -> str:
    """`text` on one line, with control, format and line-separator characters written as escapes."""
    if _PLAIN.fullmatch(text):
        return text
    return "".join(map(_glyph, text))


def _glyph(character: str) -> str:
    if unicodedata.category(character) not in _CONTROL:
        return character
    if character in "\t\n\r":
        return {"\t": r"\t", "\n": r"\n", "\r": r"\r"}[character]
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _message(text: str, indent: int) -> str:
    """A message with its lines indented, so that no line can look like a new diagnostic."""
    if len(text) > _MESSAGE:
        text = text[:_MESSAGE] + "…"
    return ("\n" + " " * indent).join(map(visible, text.split("\n")))


def _paint(text: str, code: str) -> str:
    return f"{code}{text}{_RESET}"


def _leave(text: str, code: str) -> str:
    return text


def _note(note: Note, margin: int, paint: Callable[[str, str], str]) -> list[str]:
    if note.span is None:
        return [f"{' ' * margin} {paint('=', _BLUE)} {paint('note', _BOLD)}: {_message(note.message, margin + 9)}"]
    head = f"{paint('note', _BOLD)}: {_message(note.message, 6)}"
    return [head, *_snippet(note.span, margin, "-", None, _BLUE, paint)]


def _snippet(
    span: Span, margin: int, mark: str, label: str | None, accent: str, paint: Callable[[str, str], str]
) -> list[str]:
    """The place, its source line, and the marks under it; only the first line of a place of several lines."""
    arrow = f"{' ' * margin}{paint('-->', _BLUE)} {visible(str(span))}"
    if span.path is not None:  # there is no text to show
        return [f"{arrow}: {visible(label)}" if label else arrow]
    before, marked, after = _cut(span)
    bar = paint("|", _BLUE)
    if not (before + marked + after).strip():  # nothing to show: an empty file, or a place past its end
        return [arrow]
    under = mark * max(1, width(marked)) + (f" {visible(label)}" if label else "")
    return [
        arrow,
        f"{' ' * margin} {bar}",
        f"{paint(f'{span.line:>{margin}}', _BLUE)} {bar} {before}{marked}{after}".rstrip(),
        f"{' ' * margin} {bar} {' ' * width(before)}{paint(under, accent)}",
    ]


def _cut(span: Span) -> tuple[str, str, str]:
    """The source line before, at and after the place, as shown: clipped, tabs expanded, controls escaped."""
    line = span.source.line(span.line)
    start = span.column - 1
    end = span.end_column - 1 if span.end_line == span.line else len(line.rstrip())
    first = max(0, start - _BEFORE) if len(line) > _LINE else 0
    last = min(len(line), first + _LINE)
    end = max(start, min(end, last))
    before = ("…" if first else "") + _shown(line[first:start], 1 if first else 0)
    before += " " * (start - len(line))  # a place after the end of the line
    marked = _shown(line[start:end], width(before))
    after = _shown(line[end:last], width(before + marked)) + ("…" if last < len(line) else "")
    return before, marked, after


def _shown(text: str, column: int) -> str:
    """`text` beginning in `column`, with tabs expanded and the rest as in `visible`."""
    parts = []
    for character in text:
        glyph = " " * (_TAB - column % _TAB) if character == "\t" else _glyph(character)
        parts.append(glyph)
        column += width(glyph)
    return "".join(parts)
