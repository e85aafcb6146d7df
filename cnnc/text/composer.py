"""Builds a `Value` tree from parser events: plain data with a span on every value and key.

The tree has no aliases, tags or merge keys, and is at most `MAX_DEPTH` deep. Problems after which parsing can continue
(duplicate keys, anchors, bad numbers …) are collected in `problems`; others are raised. There is no recursion.
"""

import re
from collections.abc import Callable
from typing import Final

import yaml

from cnnc.diagnostics import CnncError, Code, Diagnostic, Note, Source, Span
from cnnc.text.scalars import resolve
from cnnc.text.value import Scalar, Value
from cnnc.text.yaml_events import Event, Mark, place

MAX_DEPTH = 32
MAX_VALUES = 300_000
MAX_STRING = 65_536
MAX_PROBLEMS = 100  # a binary file that happens to parse should not fill the screen

_SURROGATE = re.compile("[\ud800-\udfff]")
_ANCHOR = re.compile(r"&[^\s,\[\]{}]*")
_TAG = re.compile(r"!(?:<[^>\s]*>|[^\s,\[\]{}]*)")
_NO_KEYS: Final[dict[str, Span]] = {}  # shared by all values that are not mappings
_NO_KEY: Final = object()
_REFUSED_KEY: Final = object()
_BLOCKS = "to reuse something, define a block or a param: see `blocks` and `params`"


def kind(data: object) -> str:
    """The type of `data` in the terms of the language, with an article."""
    match data:
        case None:
            return "null"
        case bool():
            return f"the boolean {str(data).lower()}"
        case int() | float():
            return f"the number {data}"
        case str():
            return "a string"
        case tuple():
            return "a list"
    return "a mapping"


class _Frame:
    """A collection that is still open."""

    __slots__ = ("end", "flow", "items", "key", "keys", "start", "table")

    def __init__(self, start: Mark, flow: bool, is_mapping: bool) -> None:
        self.start = start
        self.flow = flow
        self.items: list[Value] = []
        self.table: dict[str, Value] | None = {} if is_mapping else None
        self.keys: dict[str, Span] = {}
        self.key: object = _NO_KEY
        self.end = (start.line + 1, start.column + 2)  # of the last child, where a block collection ends


class Composer:
    """Builds the root value from events, with an explicit stack."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.problems: list[Diagnostic] = []
        self.root: Value | None = None
        self._stack: list[_Frame] = []
        self._documents = 0
        self._count = 0
        self._length = len(source.text)
        self._steps: dict[type[yaml.Event], Callable[[Event], None]] = {
            yaml.ScalarEvent: self._scalar,
            yaml.AliasEvent: self._alias,
            yaml.MappingStartEvent: self._open,
            yaml.SequenceStartEvent: self._open,
            yaml.MappingEndEvent: self._close,
            yaml.SequenceEndEvent: self._close,
            yaml.DocumentStartEvent: self._document,
        }

    def take(self, event: Event) -> None:
        step = self._steps.get(type(event))
        if step:
            step(event)

    def _problem(self, code: Code, message: str, span: Span, way_out: str, *, notes: tuple[Note, ...] = ()) -> None:
        self.problems.append(Diagnostic(code, message, span, None, notes, way_out))
        if len(self.problems) == MAX_PROBLEMS:
            raise CnncError.of(Code.SYNTAX, f"more than {MAX_PROBLEMS} problems: the rest was not read", span)

    def _document(self, event: Event) -> None:
        self._documents += 1
        if self._documents > 1:
            message = "a second document begins here; a spec must be a single document"
            span = place(self.source, event.start_mark.index, 3)
            raise CnncError.of(Code.NOT_ONE_DOCUMENT, message, span, help="put it in a file of its own")

    def _span(self, start: Mark, end: Mark) -> Span:
        if start.index >= self._length:  # libyaml adds a line at the end of a text without a final newline
            return place(self.source, self._length, 0)
        end_line, end_column = end.line + 1, end.column + 1
        if end_column == 1 and end_line > start.line + 1:  # a block text ends where the next line begins
            end_line -= 1
            end_column = len(self.source.line(end_line)) + 1
        return Span(self.source, start.line + 1, start.column + 1, end_line, end_column)

    def _scalar(self, event: Event) -> None:
        span = self._span(event.start_mark, event.end_mark)
        text = event.value
        if event.anchor or event.tag:
            self._refuse_properties(event)
        if len(text) > MAX_STRING:
            message = f"this string has {len(text):,} characters; at most {MAX_STRING:,} are allowed"
            raise CnncError.of(Code.TOO_LARGE, message, span)
        if event.style:
            data: Scalar = text
            if event.style == '"' and not text.isascii() and _SURROGATE.search(text):
                self._problem(
                    Code.SYNTAX, "this escape is half of a surrogate pair", span, "write the character itself"
                )
        else:
            data = self._resolve(text, span)
        self._add(data, span, plain=not event.style)

    def _resolve(self, text: str, span: Span) -> Scalar:
        way_out = 'close it with `)`; quote an expression that contains a comma or a bracket: "$(...)"'
        if text.startswith("$(") and text.count("(") > text.count(")") and self._stack and self._stack[-1].flow:
            self._problem(Code.SYNTAX, "the expression is cut off here", span, way_out)
        try:
            return resolve(text)
        except ValueError as reason:
            shown = text if len(text) <= 40 else f"{text[:20]}…{text[-5:]}"
            self._problem(Code.BAD_NUMBER, f"{shown} {reason}", span, "give a finite number; put a string in quotes")
            return None

    def _alias(self, event: Event) -> None:
        span = self._span(event.start_mark, event.end_mark)
        self._problem(Code.NOT_DATA, f"*{event.anchor} is an alias; aliases are not allowed in specs", span, _BLOCKS)
        self._add("" if self._awaits_key() else None, span, plain=False)

    def _refuse_properties(self, event: Event) -> None:
        """Report E106 for the anchor and the tag of a node."""
        start, text = event.start_mark.index, self.source.text
        if event.anchor and (found := _ANCHOR.search(text, start)):
            span = place(self.source, found.start(), len(found[0]))
            self._problem(Code.NOT_DATA, f"{found[0]} is an anchor; anchors are not allowed in specs", span, _BLOCKS)
        if getattr(event, "tag", None) and (found := _TAG.search(text, start)):
            span = place(self.source, found.start(), len(found[0]))
            way_out = "remove it: the type of a value follows from how it is written; put a string in quotes"
            self._problem(Code.NOT_DATA, f"{found[0]} is a tag; tags are not allowed in specs", span, way_out)

    def _awaits_key(self) -> bool:
        return bool(self._stack) and self._stack[-1].table is not None and self._stack[-1].key is _NO_KEY

    def _open(self, event: Event) -> None:
        if event.anchor or event.tag:
            self._refuse_properties(event)
        if len(self._stack) == MAX_DEPTH:
            span = place(self.source, event.start_mark.index)
            message = f"nested deeper than {MAX_DEPTH} levels"
            raise CnncError.of(
                Code.TOO_DEEP, message, span, help="move inner levels to `blocks`: specs are rarely 10 deep"
            )
        self._stack.append(_Frame(event.start_mark, event.flow_style, isinstance(event, yaml.MappingStartEvent)))

    def _close(self, event: Event) -> None:
        frame = self._stack.pop()
        start, end = frame.start, event.end_mark
        end_line, end_column = (end.line + 1, end.column + 1) if frame.flow else frame.end
        span = Span(self.source, start.line + 1, start.column + 1, end_line, end_column)
        if frame.table is None:
            self._add(tuple(frame.items), span, plain=False)
        else:
            self._add(frame.table, span, plain=False, keys=frame.keys)

    def _add(
        self,
        data: "Scalar | tuple[Value, ...] | dict[str, Value]",
        span: Span,
        *,
        plain: bool,
        keys: dict[str, Span] | None = None,
    ) -> None:
        """Add a finished value to the innermost collection, as a key or a value, or make it the root."""
        self._count += 1
        if self._count > MAX_VALUES:
            message = f"the spec has more than {MAX_VALUES:,} values"
            raise CnncError.of(Code.TOO_LARGE, message, span, help="use blocks, `repeat` and `each`")
        if not self._stack:
            self.root = Value(data, span, keys or _NO_KEYS)
            return
        frame = self._stack[-1]
        frame.end = (span.end_line, span.end_column)
        if frame.table is None:
            frame.items.append(Value(data, span, keys or _NO_KEYS))
        elif frame.key is _NO_KEY:
            frame.key = self._key(data, span, frame, plain)
        else:
            if isinstance(frame.key, str):
                frame.table[frame.key] = Value(data, span, keys or _NO_KEYS)
            frame.key = _NO_KEY

    def _key(self, data: object, span: Span, frame: _Frame, plain: bool) -> object:
        """The key `data`, or `_REFUSED_KEY` for an invalid key, whose value is dropped."""
        if not isinstance(data, str):
            self._refuse_key(data, span)
        elif plain and data == "<<":
            self._problem(Code.NOT_DATA, "<< is a merge key; merge keys are not allowed in specs", span, _BLOCKS)
        elif data in frame.keys:
            note = Note("first given here", frame.keys[data])
            way_out = "keep one of the two: the keys of a mapping must differ"
            self._problem(Code.DUPLICATE_KEY, f"the key {data!r} is given twice", span, way_out, notes=(note,))
        else:
            frame.keys[data] = span
            return data
        return _REFUSED_KEY

    def _refuse_key(self, data: object, span: Span) -> None:
        if isinstance(data, tuple | dict):
            way_out = "write an expression as $(...), with parentheses; put a string with brackets in quotes"
        else:
            written = self.source.line(span.line)[span.column - 1 : span.end_column - 1]
            way_out = f'put it in quotes: "{written}"' if written else "write a key before the ':'"
        self._problem(Code.NOT_DATA, f"a key must be a string, got {kind(data)}", span, way_out)
