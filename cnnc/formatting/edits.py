"""Turns the fix of a diagnostic into replacements of text, and applies fixes to a text.

Only the places that a fix names are changed, so comments, order and layout stay. JSON stays JSON. A fix without a text
form, such as one for data given as a dict, has no edits.
"""

import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

from cnnc.diagnostics import Change, CnncError, Diagnostic, Fix, Insert, Put, Remove, Source, Span, Write, render
from cnnc.diagnostics.json_help import in_braces
from cnnc.formatting.pieces import Leaf
from cnnc.formatting.spelling import quoted, spell, spell_key
from cnnc.text.reader import parse_text
from cnnc.text.value import Value

_COMMA = re.compile(r"(?:\s+#[^\r\n]*|\s)*,")


class TextEdit(NamedTuple):
    """A place in a text and the text to put there; an empty place is an insertion."""

    span: Span
    text: str


class _Range(NamedTuple):
    """A `TextEdit` by offsets."""

    start: int
    end: int
    text: str


class _NoTextError(Exception):
    """A change cannot be made in the text."""


def text_edits(fix: Fix) -> tuple[TextEdit, ...]:
    """Return the edits of a fix, in one file; () if it cannot be made in the text."""
    page = _page(fix.source)
    return tuple(TextEdit(page.span(each.start, each.end), each.text) for each in _ranges(fix, page))


def as_json(diagnostic: Diagnostic) -> dict[str, Any]:
    """Return the diagnostic with its fix as plain data; `fix` is None if there is none, or it has no text form."""
    fix = diagnostic.fix
    edits = text_edits(fix) if fix else ()
    keys = ("line", "column", "end_line", "end_column")
    found = [{"file": at.source.name, **{key: getattr(at, key) for key in keys}, "text": text} for at, text in edits]
    return {**render.as_json(diagnostic), "fix": {"certain": fix.certain, "edits": found} if fix and edits else None}


def apply(source: Source, fixes: Iterable[Fix]) -> tuple[str, int]:
    """Return the text with the fixes applied, and their number; a fix that overlaps an earlier one is left out."""
    page, done, applied = _page(source), list[_Range](), 0
    for fix in fixes:
        ranges = _ranges(fix, page)
        both = sorted([*done, *ranges])
        if ranges and all(a.end <= b.start and a.start < b.start for a, b in pairwise(both)):
            done, applied = both, applied + 1
    text = source.text
    for each in reversed(done):
        text = text[: each.start] + each.text + text[each.end :]
    return text, applied


def _ranges(fix: Fix, page: "_Page") -> list[_Range]:
    if any(change[0].source is not page.source or change[0].path is not None for change in fix.changes):
        return []
    try:
        return sorted(each for change in fix.changes for each in page.ranges(change))
    except (_NoTextError, CnncError):  # the text itself has errors
        return []


class _Entry(NamedTuple):
    """A key and its value, with the mapping that they are in."""

    mapping: Value
    key: str

    @property
    def value(self) -> Value:
        assert isinstance(self.mapping.data, dict)
        return self.mapping.data[self.key]

    def neighbour(self, step: int) -> "_Entry | None":
        """The entry before (-1) or after (1) this one."""
        keys = list(self.mapping.keys)
        at = keys.index(self.key) + step
        return _Entry(self.mapping, keys[at]) if 0 <= at < len(keys) else None


class _Page:
    """A source with the offsets of its lines and, once needed, the entries of its mappings."""

    def __init__(self, source: Source) -> None:
        self.source, self.text = source, source.text
        self.json = in_braces(source)
        self.starts = [0, *accumulate(map(len, source.text.splitlines(keepends=True)))]
        self._entries: dict[tuple[int, int], _Entry | Value] | None = None

    def start(self, span: Span) -> int:
        return self.starts[min(span.line, len(self.starts)) - 1] + span.column - 1

    def end(self, span: Span) -> int:
        return self.starts[min(span.end_line, len(self.starts)) - 1] + span.end_column - 1

    def span(self, start: int, end: int) -> Span:
        lines = [bisect_right(self.starts, at) for at in (start, end)]
        columns = [at - self.starts[line - 1] + 1 for at, line in zip((start, end), lines, strict=True)]
        return Span(self.source, lines[0], columns[0], lines[1], columns[1])

    def ranges(self, change: Change) -> Iterator[_Range]:
        match change:
            case Write(at, data):
                old = self.text[self.start(at) : self.end(at)]
                # a list may be below its key, but a value may not; an empty value ends at the colon
                indent = " " if old.startswith("- ") or not old else ""
                yield _Range(self.start(at), self.end(at), indent + self._spelt(data, old))
            case Remove(key, only_value=True):
                yield self._without_value(self._entry(key))
            case Remove(key):
                yield from self._without(self._entry(key))
            case Put(op, attribute, data):
                yield self._with(op, attribute, data)
            case Insert(op, nodes):
                yield self._before(op, nodes)

    # -- finding entries

    def _found(self, span: Span) -> "_Entry | Value | None":
        if self._entries is None:
            self._entries = {}
            left: list[Value] = [parse_text(self.source)]
            while left:
                value = left.pop()
                if isinstance(value.data, dict):
                    places = {(span.line, span.column): _Entry(value, key) for key, span in value.keys.items()}
                    self._entries |= places
                    left += value.data.values()
                elif isinstance(value.data, tuple):
                    left += value.data
                    self._entries |= {
                        (each.span.line, each.span.column): each for each in value.data if isinstance(each.data, str)
                    }
        return self._entries.get((span.line, span.column))

    def _entry(self, key: Span) -> _Entry:
        found = self._found(key)
        if not isinstance(found, _Entry):
            raise _NoTextError
        return found

    def _key_start(self, entry: _Entry) -> int:
        return self.start(entry.mapping.keys[entry.key])

    def _in_flow(self, mapping: Value) -> bool:
        return self.text.startswith("{", self.start(mapping.span))

    # -- changes

    def _without_value(self, entry: _Entry) -> _Range:
        """Leave only the op of a node: `batch_norm` for `batch_norm: 6`."""
        key = entry.mapping.keys[entry.key]
        if self.json:
            return _Range(self.start(entry.value.span), self.end(entry.value.span), "{}")
        return _Range(self.end(key), self.end(entry.value.span), "")

    def _without(self, entry: _Entry) -> Iterator[_Range]:
        start, end = self._key_start(entry), max(self.end(entry.value.span), self.end(entry.mapping.keys[entry.key]))
        before, after = entry.neighbour(-1), entry.neighbour(1)
        if not self._in_flow(entry.mapping):
            yield self._block_entry(start, end, after)
        elif after is not None:
            following = self._key_start(after)
            comma = self._after_comma(end)
            if "#" in self.text[end:comma]:  # a comment stays
                yield _Range(start, end, "")
                yield _Range(comma - 1, comma, "")
            else:
                yield _Range(start, comma if self.text[comma:following].strip() else following, "")
        elif before is not None:
            last = max(self.end(before.value.span), self.end(entry.mapping.keys[before.key]))
            comma = self._after_comma(last)
            if "#" in self.text[last:start]:
                yield _Range(comma - 1, comma, "")
                yield _Range(start, end, "")
            else:
                yield _Range(last, end, "")
        else:
            yield _Range(start, end, "")

    def _after_comma(self, start: int) -> int:
        """Return the place after the next comma that is not in a comment."""
        found = _COMMA.match(self.text, start)
        if found is None:
            raise _NoTextError
        return found.end()

    def _block_entry(self, start: int, end: int, after: _Entry | None) -> _Range:
        """The lines of an entry in block style; a comment beside it stays."""
        line = self.starts[bisect_right(self.starts, start) - 1]
        last = min(bisect_right(self.starts, end), len(self.starts) - 1)
        if self.text[line:start].strip():  # the first of an item of a list: `- a: 1`
            if after is None:
                raise _NoTextError
            return _Range(start, self._key_start(after), "")
        if self.text[end : self.starts[last]].strip():
            return _Range(start, end, "")
        return _Range(line, self.starts[last], "")

    def _with(self, op: Span, attribute: str, data: Any) -> _Range:
        found = self._found(op)
        if isinstance(found, Value):  # `- conv`
            node = {str(found.data): {attribute: data}}
            return _Range(self.start(op), self.end(op), self._node(node) if not self.json else json.dumps(node))
        if found is None or not isinstance(found.value.data, dict):
            raise _NoTextError
        body = found.value
        assert isinstance(body.data, dict)
        if attribute in body.data:
            old = body.data[attribute].span
            if "$" in self.text[self.start(old) : self.end(old)]:  # it has several values
                raise _NoTextError
            return _Range(self.start(old), self.end(old), self._spelt(data, ""))
        written = f"{self._key(attribute)}: {self._spelt(data, '')}"
        if not body.keys:
            return _Range(self.start(body.span), self.end(body.span), f"{{{written}}}")
        last = _Entry(body, list(body.keys)[-1])
        end = max(self.end(last.value.span), self.end(body.keys[last.key]))
        if self._in_flow(body):
            return _Range(end, end, f", {written}")
        return self._new_line(end, body, written)

    def _new_line(self, end: int, body: Value, written: str) -> _Range:
        """An entry on a line of its own after the last line of a mapping in block style."""
        first = next(iter(body.keys.values()))
        line = self.source.line(first.line)[: first.column - 1]
        if line.strip():
            raise _NoTextError
        stop = self.starts[min(bisect_right(self.starts, end), len(self.starts) - 1)]
        ending = "\r\n" if "\r\n" in self.text else "\n"
        complete = self.text[:stop].endswith("\n")
        return _Range(stop, stop, f"{line}{written}{ending}" if complete else f"{ending}{line}{written}")

    def _before(self, op: Span, nodes: Iterable[Any]) -> _Range:
        """Nodes on lines of their own before a node of a list in block style."""
        start = self.start(op)
        line = self.starts[bisect_right(self.starts, start) - 1]
        head = self.text[line:start]
        if head.strip() != "-":
            raise _NoTextError
        ending = "\r\n" if "\r\n" in self.text else "\n"
        written = (node if isinstance(node, str) else self._node(node) for node in nodes)
        return _Range(line, line, "".join(f"{head}{each}{ending}" for each in written))

    # -- spelling

    def _spelt(self, data: Any, old: str) -> str:
        """Return data as it is written here; a string keeps the quotes of the `old` text."""
        if self.json:
            return json.dumps(data, ensure_ascii=False)
        if isinstance(data, str) and old[:1] in ("'", '"') and not {"'", '"', "\\"} & {*data}:
            return f"{old[0]}{data}{old[0]}"
        return self._flow(data)

    def _flow(self, data: Any) -> str:
        if isinstance(data, dict):
            return f"{{{', '.join(f'{self._key(key)}: {self._flow(each)}' for key, each in data.items())}}}"
        if isinstance(data, list | tuple):
            return f"[{', '.join(map(self._flow, data))}]"
        return spell(Leaf(data), in_flow=True)

    def _node(self, node: dict[str, Any]) -> str:
        (op, body), *_ = node.items()
        return f"{self._key(op)}: {self._flow(body)}"

    def _key(self, key: str) -> str:
        return quoted(key) if self.json else spell_key(key, in_flow=True)


@lru_cache(maxsize=8)
def _page(source: Source) -> _Page:
    return _Page(source)
