"""Inlay hints: the output shape of every node and instance, at the end of its line.

A line of a block shows the shapes of all instances. A line whose shape is unknown because of an error keeps the one
from before the error, with a question mark.
"""

from collections.abc import Iterator
from itertools import takewhile
from typing import NamedTuple

from lsprotocol.types import InlayHint, InlayHintKind, Range

from cnnc.editor.positions import Positions
from cnnc.editor.sections import WrittenNode
from cnnc.editor.session import EditorSession

MOST_SHAPES = 3  # in one hint

Labels = dict[int, list[tuple[int, str]]]
"""The hints of each line: their offsets and texts."""


class _Kept(NamedTuple):
    """The hints of the last version without errors."""

    lines: list[str]
    labels: Labels


class ShapeHints:
    """The hints of all files of a session."""

    def __init__(self, session: EditorSession) -> None:
        self._session = session
        self._kept: dict[str, _Kept] = {}

    def of(self, key: str, within: Range) -> list[InlayHint]:
        """The hints of a file in the lines of a range."""
        positions = self._session.positions(key)
        labels = self._labels(key, positions)
        lines = positions.text.splitlines()
        graph = self._session.analyses.of(key).graph
        if graph and not graph.partial:
            self._kept[key] = _Kept(lines, labels)
        elif key in self._kept:
            labels = labels | _outdated(self._kept[key], lines, labels, positions)
        found = [
            InlayHint(positions.position(offset), text, InlayHintKind.Type, padding_left=True)
            for each in labels.values()
            for offset, text in each
        ]
        return [hint for hint in found if within.start.line <= hint.position.line <= within.end.line]

    def forget(self, key: str) -> None:
        """Forget a closed file."""
        self._kept.pop(key, None)

    def _labels(self, key: str, positions: Positions) -> Labels:
        contents = self._session.documents.contents(key)
        facts = list(self._session.facts(key)) if contents.section else []
        labels: Labels = {}
        for entry in _entries(self._session, key):
            place = (key, entry.span.line, entry.span.column)
            shapes = list(dict.fromkeys(shape for each in facts for shape in each.shapes(place)))
            if shapes:
                offset = _end(entry, positions)
                labels.setdefault(entry.span.line, []).append((offset, _spelled(shapes)))
        return labels


def _entries(session: EditorSession, key: str) -> Iterator[WrittenNode]:
    section = session.documents.contents(key).section
    for each in section.walk() if section else ():
        yield from each.entries


def _end(entry: WrittenNode, positions: Positions) -> int:
    """The end of an entry of one line, or of the line with the op of a longer one."""
    start, end = positions.extent(entry.whole)
    if "\n" in positions.text[start:end].strip():
        return positions.line_end(entry.span.line)
    return start + len(positions.text[start:end].rstrip())


def _spelled(shapes: list[str]) -> str:
    more = len(shapes) - MOST_SHAPES
    return ", ".join(shapes[:MOST_SHAPES]) + (f" and {more} more" if more > 0 else "")


def _outdated(kept: _Kept, lines: list[str], labels: Labels, positions: Positions) -> Labels:
    """The earlier hints of lines that have none now; equal lines before and after the edited ones keep theirs."""
    above = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(kept.lines, lines, strict=False))))
    backwards = zip(reversed(kept.lines[above:]), reversed(lines[above:]), strict=False)
    below = len(list(takewhile(lambda pair: pair[0] == pair[1], backwards)))
    added = len(lines) - len(kept.lines)
    found: Labels = {}
    for line, old in kept.labels.items():
        now = line + added if line > len(kept.lines) - below else line
        is_there = now <= above or now > len(lines) - below or added == 0
        if is_there and now not in labels and 0 < now <= len(lines) and lines[now - 1].strip():
            end = positions.line_end(now)
            found[now] = [(end, f"{', '.join(text for _, text in old)} ?")]
    return found
