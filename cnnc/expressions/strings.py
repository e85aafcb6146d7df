"""Evaluates the expressions in the strings of a spec.

Takes a string or a tree of values, and a `Lookup` for the visible names; returns plain values, or raises CnncError:
E211 for a malformed expression, E212 if it has no value. `grammar` parses and `evaluation` evaluates a single
expression. No code is executed, and the size of every result is limited.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from keyword import iskeyword
from typing import Any

from cnnc.diagnostics import CnncError, Code, Diagnostic, Span
from cnnc.expressions import operations as values
from cnnc.expressions.budget import OutOfWork
from cnnc.expressions.evaluation import Lookup, TreeWalk
from cnnc.expressions.grammar import Expression
from cnnc.expressions.operations import Fault
from cnnc.expressions.parse_cache import TEXTS
from cnnc.text.value import Value

MAX_ELEMENTS = 100_000  # of all lists that the expressions of one tree return


def is_expression(text: str) -> bool:
    """Whether the string needs evaluation."""
    return "$" in text


def references(text: str) -> frozenset[str]:
    """The names whose sizes the string reads; none of a malformed one, which `evaluate` reports."""
    found = TEXTS.expressions(text) if is_expression(text) else ()
    return frozenset[str]().union(*(each.references for each in found))


def variables(text: str) -> frozenset[str]:
    """The names whose values the string reads; none of a malformed one."""
    found = TEXTS.expressions(text) if is_expression(text) else ()
    return frozenset[str]().union(*(each.variables for each in found))


def as_expression(text: str, knows: Callable[[str], bool]) -> str | None:
    """The text with a dollar sign added, if it is an expression of known names; else None.

    It is quoted if it needs quotes between braces.
    """
    written = f"${text}" if text.isidentifier() else f"$({text})"
    names = references(written) | variables(written) if "$" not in text else frozenset[str]()
    if not (names and all(map(knows, names))):
        return None
    return f'"{written}"' if set(written) & set("[]{},") else written


def evaluate(text: str, span: Span, lookup: Lookup) -> object:
    """The value of a string: typed if it is a single expression, otherwise text with the values inserted.

    Raises CnncError: E211 for a malformed expression, E212 for one without a value, and whatever `lookup` raises.
    """
    if not is_expression(text):
        return text
    try:
        parts = TEXTS.parsed(text)
        if len(parts) > 1 or not isinstance(parts[0], Expression):
            result: object = values.joined(_fill(part, lookup) for part in parts)
        else:
            result = values.checked(TreeWalk(parts[0], lookup).whole())
        lookup.spend(values.effort(result))
        return result
    except OutOfWork as error:
        error.span = span
        raise
    except Fault as fault:
        if fault.code == Code.BAD_EXPRESSION and _names_a_keyword(text, lookup):
            raise CnncError([]) from None  # reported where the name is defined
        raise CnncError.of(fault.code, fault.message, place_in(text, span, fault.extent), help=fault.help) from None
    except CnncError as error:
        raise CnncError(found if found.span else replace(found, span=span) for found in error.diagnostics) from None


def _names_a_keyword(text: str, lookup: Lookup) -> bool:
    """Whether the text may use a name in scope that is a keyword of Python, which no expression can contain."""
    keywords = {word for word in re.findall(r"\w+", text) if iskeyword(word)}
    return bool(keywords) and not keywords.isdisjoint(lookup.names())


def evaluate_value(value: Value, lookup: Lookup) -> Value:
    """The tree with every string replaced by its value; parts without expressions are the same objects as before.

    Raises one CnncError with all errors in the tree; it is empty if all of them have been reported before.
    """
    if value.data is None or isinstance(value.data, bool | int | float):
        return value
    replacement = _Replacement(lookup)
    result = replacement.of(value)
    if replacement.failed:
        raise CnncError(replacement.found)
    return result


class _Replacement:
    """One walk over a tree. `room` is the number of elements that its lists may still have in total."""

    __slots__ = ("failed", "found", "lookup", "room")

    def __init__(self, lookup: Lookup) -> None:
        self.lookup = lookup
        self.room = MAX_ELEMENTS
        self.failed = False
        self.found: list[Diagnostic] = []  # not the errors, whose frames would keep this walk alive

    def of(self, value: Value) -> Value:
        match value.data:
            case str(text) if is_expression(text):
                try:
                    return self._evaluated(text, value.span)
                except CnncError as error:
                    self.failed = True
                    self.found += error.diagnostics
            case tuple(before):
                self.lookup.spend(len(before))
                elements = tuple(map(self.of, before))
                if any(new is not old for new, old in zip(elements, before, strict=True)):
                    return replace(value, data=elements)
            case dict(before):
                self.lookup.spend(len(before))
                entries = {key: self.of(entry) for key, entry in before.items()}
                if any(entries[key] is not before[key] for key in before):
                    return replace(value, data=entries)
        return value

    def _evaluated(self, text: str, span: Span) -> Value:
        result = evaluate(text, span, self.lookup)
        if isinstance(result, list):
            before, self.room = self.room, self.room - values.size(result)
            if self.room < 0 <= before:
                message = f"the lists inserted here have more than {MAX_ELEMENTS:,} elements in total"
                raise CnncError.of(Code.FAILED_EXPRESSION, message, span, help="pass shorter lists, or use a block")
            if self.room < 0:
                raise CnncError([])  # already reported
        return _as_value(result, span)


def _as_value(result: Any, span: Span) -> Value:
    if isinstance(result, dict):
        return Value({key: _as_value(each, span) for key, each in result.items()}, span, dict.fromkeys(result, span))
    return Value(tuple(_as_value(each, span) for each in result) if isinstance(result, list) else result, span)


def _fill(part: str | Expression, lookup: Lookup) -> str:
    if isinstance(part, str):
        return part
    value = TreeWalk(part, lookup).whole()
    try:
        return values.as_text(value)
    except Fault as fault:
        fault.extent = part.extent
        raise


def place_in(text: str, span: Span, extent: tuple[int, int] | None) -> Span:
    """The span of a part of the text, if the source contains the text literally; otherwise `span`."""
    if extent is None or span.line != span.end_line:
        return span
    written = span.source.line(span.line)[span.column - 1 : span.end_column - 1]
    if written not in (text, f"'{text}'", f'"{text}"'):
        return span
    start = span.column + (written != text)
    return span._replace(column=start + extent[0], end_column=start + extent[1])
