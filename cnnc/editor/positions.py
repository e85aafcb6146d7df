"""Positions of the Language Server Protocol for spans and offsets of a text.

A `Span` counts lines and characters from 1. The protocol counts from 0, ends lines only at CR, LF and CRLF, and counts
characters in the units of an encoding that client and server agree on, by default UTF-16.
"""

import re
from bisect import bisect_right
from itertools import accumulate

from lsprotocol.types import Position, PositionEncodingKind, Range

from cnnc.diagnostics import Span

_LINE = re.compile("[^\r\n]*")
_END = re.compile("\r\n|\r|\n")


class Positions:
    """Converts the spans, offsets and positions of one text. Places outside the text move to its nearest end."""

    def __init__(self, text: str, encoding: PositionEncodingKind | str = PositionEncodingKind.Utf16) -> None:
        self.text = text
        self._bytes = {PositionEncodingKind.Utf8.value: 1, PositionEncodingKind.Utf32.value: 4}.get(encoding, 2)
        self._codec = f"utf-{8 * self._bytes}" + "-le" * (self._bytes > 1)
        self._starts = [0, *(match.end() for match in _END.finditer(text))]
        self._own_starts = [0, *accumulate(map(len, text.splitlines(keepends=True)))]

    def offset_of(self, line: int, column: int) -> int:
        """The offset of a line and a column of a span."""
        if line > len(self._own_starts):
            return len(self.text)
        return min(self._own_starts[line - 1] + column - 1, len(self.text))

    def extent(self, span: Span) -> tuple[int, int]:
        """The offsets of a span's start and end."""
        start = self.offset_of(span.line, span.column)
        return start, max(start, self.offset_of(span.end_line, span.end_column))

    def position(self, offset: int) -> Position:
        """The position of an offset."""
        line = bisect_right(self._starts, offset) - 1
        before = self.text[self._starts[line] : offset]
        units = len(before) if before.isascii() else len(before.encode(self._codec, "replace")) // self._bytes
        return Position(line, units)

    def offset(self, position: Position) -> int:
        """The offset of a position."""
        if position.line >= len(self._starts):
            return len(self.text)
        line = _LINE.match(self.text, self._starts[position.line])
        assert line
        written = line[0]
        if not written.isascii():
            units = written.encode(self._codec, "replace")[: position.character * self._bytes]
            return line.start() + len(units.decode(self._codec, "ignore"))
        return line.start() + min(position.character, len(written))

    def range(self, span: Span) -> Range:
        """The range of a span."""
        return self.between(*self.extent(span))

    def between(self, start: int, end: int) -> Range:
        """The range between two offsets."""
        return Range(self.position(start), self.position(end))

    def line_end(self, line: int) -> int:
        """The offset of the last visible character of a span's line."""
        start = self.offset_of(line, 1)
        end = self.offset_of(line + 1, 1)
        return start + len(self.text[start:end].rstrip())
