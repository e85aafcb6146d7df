"""Reads a text as the tree to lay out: its values, and each comment and blank line at the entry it belongs to.

A comment on a line of its own belongs to the entry below it; one at the end of a line to the entry that ends, or whose
key stands, on that line. Comments after the last entry of a collection belong to that collection, if they are indented
like it.
"""

import re
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from typing import NamedTuple

from cnnc.diagnostics import Source, Span
from cnnc.formatting.pieces import Collection, Comment, Entry, Leaf, Style
from cnnc.text.value import Value

_HEADER_COMMENT = re.compile(r"[|>][-+0-9]*[ \t]+(#.*)")

Position = tuple[int, int]
_END: Position = (1 << 62, 0)


class _Found(NamedTuple):
    """A comment in the text; lines and columns count from 1."""

    line: int
    column: int
    text: str
    gap: int
    alone: bool
    """Whether it is on a line of its own."""

    @property
    def place(self) -> Position:
        return self.line, self.column


class Layout(NamedTuple):
    """A text as a tree; `head` are the lines above it that belong to the whole text, such as a licence."""

    root: Collection
    head: list[str]


def read_layout(source: Source, root: Value) -> Layout:
    """Return the tree of `root`, which is the value of the text `source`."""
    reader = _Walk(source, root)
    tree = reader.collection(root, 0, 0, _END)
    tree.closing += reader.lines_before(_END)
    head: list[str] = []
    if tree.entries:
        above = tree.entries[0].above
        first = int(above[:1] == [""])
        cut = len(above) - above[::-1].index("") if "" in above else 0
        head, tree.entries[0].above = above[first:cut], above[cut:]
    return Layout(tree, head)


class _Walk:
    """Walks the values of a text in order, and takes the comments as it passes them."""

    def __init__(self, source: Source, root: Value) -> None:
        self._source = source
        found = list(_comments(source, root))
        self._left = deque(found)
        self._columns = Counter(each.column for each in found if not each.alone)

    def collection(self, value: Value, line: int, outer: int, limit: Position) -> Collection:
        """Return a list or mapping whose key or dash is on `line`.

        `outer` is the column of the collection around it, and `limit` where the next value after it begins.
        """
        flow = self._source.line(value.span.line)[value.span.column - 1 : value.span.column] in ("{", "[")
        limit = min(limit, _end(value)) if flow else limit
        tree = Collection(isinstance(value.data, dict))
        if not flow and _has_mappings(value):
            tree.style = Style.BLOCK  # the author's choice: one line would be hard to read
        children = list(_children(value))
        for at, (key, span, child) in enumerate(children):
            following = _start(*children[at + 1][1:]) if at + 1 < len(children) else limit
            tree.entries.append(self._entry((key, span, child), line, value.span.column, min(following, limit)))
            line = child.span.end_line
        if flow:
            tree.closing = self.lines_before(limit)
        else:
            while self._left and (each := self._left[0]).alone and each.place < limit and outer < each.column:
                tree.closing += self._line(self._left.popleft())
        return tree

    def lines_before(self, limit: Position) -> list[str]:
        """Take the comments before a place, as lines; an empty one for blank lines."""
        lines: list[str] = []
        while self._left and self._left[0].place < limit:
            lines += self._line(self._left.popleft())
        return lines

    def _line(self, comment: _Found) -> list[str]:
        return [""] * (comment.alone and self._is_after_blank(comment.line)) + [comment.text]

    def _is_after_blank(self, line: int) -> bool:
        return line > 1 and not self._source.line(line - 1).strip()

    def _entry(self, parts: "_Child", line: int, outer: int, limit: Position) -> Entry:
        """Return an entry; `line` is the one where the value before it ends."""
        key, span, value = parts
        start = _start(span, value)
        above = self.lines_before(start)
        if start[0] > line and self._is_after_blank(start[0]) and (above or line):
            above.append("")
        entry = Entry(Leaf(None), key, above)
        begin = span or value.span
        self._take_beside(entry, begin.line, (value.span.line, value.span.column))
        if isinstance(value.data, dict | tuple):
            entry.value = self.collection(value, begin.line, outer, limit)
            if not entry.value.entries:
                entry.above += entry.value.closing
                entry.value.closing = []
        else:
            entry.above += self.lines_before((value.span.line, value.span.column))
            entry.value = self._text(value, entry)
        self._take_beside(entry, value.span.end_line, limit)
        return entry

    def _take_beside(self, entry: Entry, line: int, limit: Position) -> None:
        """Take the comment at the end of a line, if it comes before `limit`; an earlier one moves above the entry."""
        if self._left and self._left[0].line == line and self._left[0].place < limit:
            self._put_beside(entry, self._comment(self._left.popleft()))

    def _put_beside(self, entry: Entry, comment: Comment) -> None:
        if entry.beside:
            entry.above.append(entry.beside.text)
        entry.beside = comment

    def _comment(self, found: _Found) -> Comment:
        aligned = found.gap > 0 and self._columns[found.column] > 1
        return Comment(found.text, found.column - 1, found.gap, aligned)

    def _text(self, value: Value, entry: Entry) -> Leaf:
        span = value.span
        assert not isinstance(value.data, dict | tuple)
        if isinstance(value.data, str):
            header = _HEADER_COMMENT.match(self._source.line(span.line), span.column - 1)
            if header and span.end_line > span.line:
                column = header.start(1)
                gap = column - len(self._source.line(span.line)[:column].rstrip())
                self._put_beside(entry, self._comment(_Found(span.line, column + 1, header[1].rstrip(), gap, False)))
            return Leaf(value.data, spread=span.end_line > span.line)
        return Leaf(value.data, self._source.line(span.line)[span.column - 1 : span.end_column - 1] or "null")


_Child = tuple[str | None, Span | None, Value]


def _children(value: Value) -> Iterator[_Child]:
    if isinstance(value.data, dict):
        yield from ((key, value.keys[key], child) for key, child in value.data.items())
    elif isinstance(value.data, tuple):
        yield from ((None, None, child) for child in value.data)


def _has_mappings(value: Value) -> bool:
    """Return whether a mapping has mappings as values."""
    return isinstance(value.data, dict) and any(
        isinstance(each.data, dict) and each.data for each in value.data.values()
    )


def _start(key: Span | None, value: Value) -> Position:
    span = key or value.span
    return span.line, span.column


def _end(value: Value) -> Position:
    return value.span.end_line, value.span.end_column


def _comments(source: Source, root: Value) -> Iterator[_Found]:
    """Yield the comments of a text: each begins at the first `#` of a line that is not in a scalar."""
    if "#" not in source.text:
        return
    covered: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for span in _scalars(root):
        for line in range(span.line, span.end_line + 1):
            first = span.column if line == span.line else 1
            last = span.end_column if line == span.end_line else len(source.line(line)) + 1
            covered[line].append((first - 1, last - 1))
    for number, text in enumerate(source.lines, start=1):
        at = text.find("#")
        for first, last in covered[number] if at >= 0 else ():
            at = text.find("#", last) if first <= at < last else at
        if at >= 0:
            code = text[:at].rstrip()
            yield _Found(number, at + 1, text[at:].rstrip(), at - len(code), not code)


def _scalars(root: Value) -> Iterator[Span]:
    """Yield the spans of all keys and scalars, in the order of the text."""
    stack = [root]
    while stack:
        value = stack.pop()
        if not isinstance(value.data, dict | tuple):
            yield value.span
        for key, span, child in reversed(list(_children(value))):
            stack.append(child)
            if span:
                stack.append(Value(key, span))
