"""Inlay hints: the output shape of every node and instance, at the end of its line.

A line of a block shows the shapes of all instances. A line whose shape is unknown because of an error keeps the one
from before the error, with a question mark.
"""

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
    """The lines of a version and their hints, with those from before an error."""

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
        earlier: Labels = {}
        if key in self._kept and (graph is None or graph.partial):
            earlier = _moved(self._kept[key], lines, labels, positions)
        self._kept[key] = _Kept(lines, labels | earlier)
        labels |= {line: [(end, f"{text} ?") for end, text in each] for line, each in earlier.items()}
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
        labels: Labels = {}
        if contents.section is None:
            return labels
        facts = list(self._session.facts(key))
        for entry in contents.section.all_entries():
            place = (key, entry.span.line, entry.span.column)
            shapes = list(dict.fromkeys(shape for each in facts for shape in each.shapes(place)))
            if shapes:
                offset = _end(entry, positions)
                labels.setdefault(entry.span.line, []).append((offset, _spelled(shapes)))
        return labels


def _end(entry: WrittenNode, positions: Positions) -> int:
    """The end of an entry of one line, or of the line with the op of a longer one."""
    start, end = positions.extent(entry.whole)
    if "\n" in positions.text[start:end].strip():
        return positions.line_end(entry.span.line)
    return start + len(positions.text[start:end].rstrip())


def _spelled(shapes: list[str]) -> str:
    more = len(shapes) - MOST_SHAPES
    return ", ".join(shapes[:MOST_SHAPES]) + (f" and {more} more" if more > 0 else "")


def _moved(kept: _Kept, lines: list[str], labels: Labels, positions: Positions) -> Labels:
    """The earlier hints of lines that have none now; equal lines before and after the edited ones keep theirs."""
    above = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(kept.lines, lines, strict=False))))
    backwards = zip(reversed(kept.lines[above:]), reversed(lines[above:]), strict=False)
    below = len(list(takewhile(lambda pair: pair[0] == pair[1], backwards)))
    added = len(lines) - len(kept.lines)
    found: Labels = {}
    for line, earlier in kept.labels.items():
        now = line + added if line > len(kept.lines) - below else line
        edited = above < now <= len(lines) - below
        if now not in labels and 0 < now <= len(lines) and lines[now - 1].strip() and not (edited and added):
            found[now] = [(positions.line_end(now), ", ".join(text for _, text in earlier))]
    return found
