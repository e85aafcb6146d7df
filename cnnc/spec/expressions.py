"""The values of the expressions in a spec's strings.

In: a string or a tree of values, and a `Lookup` that knows what is visible. Out: plain values, or CnncError: E211 where
a text is no expression, E212 where it has no value. `expression_syntax` has the grammar, `expression_values` the
arithmetic; nothing is ever run, and every result is bounded.
"""

import ast
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Protocol

from cnnc.diagnostics import CnncError, Code, Span
from cnnc.spec import expression_values as values
from cnnc.spec.expression_syntax import ATTRIBUTES, Expression, meant, parse
from cnnc.spec.expression_values import Fault
from cnnc.spec.value import Value
from cnnc.spec.work import OutOfWork

MAX_ELEMENTS = 100_000  # of all lists that the expressions of one tree give

_CONSTANTS = {"true": True, "false": False, "null": None}


class Lookup(Protocol):
    """What the names in an expression stand for."""

    def variable(self, name: str) -> object:
        """The value of a parameter, `i` or `n`; KeyError where there is none."""

    def attribute(self, name: str, attribute: str) -> int:
        """One of `ATTRIBUTES` of a visible input or node; KeyError where none is visible; may raise CnncError."""

    def names(self) -> Iterable[str]:
        """Every name of both kinds, to propose from."""

    def spend(self, operations: int) -> None:
        """Count what an evaluation takes; raises OutOfWork where it is too much."""


def is_expression(text: str) -> bool:
    """Whether the string needs evaluation."""
    return "$" in text


def references(text: str) -> frozenset[str]:
    """The names whose sizes the string reads; none of a malformed one, which `evaluate` reports."""
    return _names(text)[1] if is_expression(text) else frozenset()


def variables(text: str) -> frozenset[str]:
    """The names whose values the string reads; none of a malformed one."""
    return _names(text)[0] if is_expression(text) else frozenset()


@lru_cache(maxsize=4096)  # a block's lines are read again in each of its instances
def _names(text: str) -> tuple[frozenset[str], frozenset[str]]:
    """The names that stand for themselves, and those of which a size is asked."""
    try:
        parts = parse(text)
    except Fault:
        return frozenset(), frozenset()
    nodes = [node for part in parts if isinstance(part, Expression) for node in ast.walk(part.node)]
    asked = [node.value for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)]
    bases = set(map(id, asked))
    alone = (node.id for node in nodes if isinstance(node, ast.Name) and id(node) not in bases)
    return frozenset(alone), frozenset(node.id for node in asked)


def evaluate(text: str, span: Span, lookup: Lookup) -> object:
    """The string's value: typed where it is one expression and nothing else, otherwise text with the values filled in.

    Raises CnncError: E211 for what is no expression, E212 for one without a value, and whatever `lookup` raises.
    """
    if not is_expression(text):
        return text
    try:
        parts = parse(text)
        if len(parts) > 1 or not isinstance(parts[0], Expression):
            return values.joined(_fill(part, lookup) for part in parts)
        result = values.checked(_Evaluation(parts[0], lookup).whole())
        lookup.spend(values.elements(result))
        return result
    except OutOfWork as error:
        error.span = span
        raise
    except Fault as fault:
        raise CnncError.of(fault.code, fault.message, _place(text, span, fault.extent), help=fault.help) from None
    except CnncError as error:
        raise CnncError(found if found.span else replace(found, span=span) for found in error.diagnostics) from None


def evaluate_value(value: Value, lookup: Lookup) -> Value:
    """The tree with every string replaced by its value; what holds no expression is the same object as before.

    Raises one CnncError with all that went wrong in the tree; it is empty where all that has been said before.
    """
    replacement = _Replacement(lookup)
    result = replacement.of(value)
    if replacement.errors:
        raise CnncError(diagnostic for error in replacement.errors for diagnostic in error.diagnostics)
    return result


@dataclass(slots=True)
class _Replacement:
    """One walk over a tree. `room` is what its expressions may still add up to: lists of lists could double each."""

    lookup: Lookup
    room: int = MAX_ELEMENTS
    errors: list[CnncError] = field(default_factory=list)

    def of(self, value: Value) -> Value:
        match value.data:
            case str(text) if is_expression(text):
                try:
                    return self._evaluated(text, value.span)
                except CnncError as error:
                    self.errors.append(error)
            case tuple(before):
                elements = tuple(map(self.of, before))
                if any(new is not old for new, old in zip(elements, before, strict=True)):
                    return replace(value, data=elements)
            case dict(before):
                entries = {key: self.of(entry) for key, entry in before.items()}
                if any(entries[key] is not before[key] for key in before):
                    return replace(value, data=entries)
        return value

    def _evaluated(self, text: str, span: Span) -> Value:
        result = evaluate(text, span, self.lookup)
        if isinstance(result, list):
            before, self.room = self.room, self.room - values.size(result)
            if self.room < 0 <= before:
                message = f"the lists that are put in here have more than {MAX_ELEMENTS:,} elements together"
                raise CnncError.of(Code.FAILED_EXPRESSION, message, span, help="hand on less, or make a block of it")
            if self.room < 0:
                raise CnncError([])  # it has been said
        return _as_value(result, span)


def _as_value(result: Any, span: Span) -> Value:
    if isinstance(result, dict):
        return Value({key: _as_value(each, span) for key, each in result.items()}, span, dict.fromkeys(result, span))
    return Value(tuple(_as_value(each, span) for each in result) if isinstance(result, list) else result, span)


@dataclass(frozen=True, slots=True)
class _Evaluation:
    """One walk over a checked tree; the innermost node that fails gives a fault its place."""

    expression: Expression
    lookup: Lookup

    def whole(self) -> Any:
        """The value of the expression."""
        self.lookup.spend(self.expression.size)
        return self.value(self.expression.node)

    def value(self, node: ast.expr) -> Any:
        try:
            return _RULES[type(node)](self, node)
        except Fault as fault:
            fault.extent = fault.extent or self.expression.extent_of(node)
            raise

    def constant(self, node: ast.Constant) -> Any:
        return values.checked(node.value)

    def name(self, node: ast.Name) -> Any:
        if node.id in _CONSTANTS:
            return _CONSTANTS[node.id]
        try:
            value = self.lookup.variable(node.id)
        except KeyError:
            raise self._no_variable(node.id) from None
        return values.admitted(value)

    def attribute(self, node: ast.Attribute) -> Any:
        assert isinstance(node.value, ast.Name)  # the grammar has nothing else there
        try:
            return self.lookup.attribute(node.value.id, node.attr)
        except KeyError:
            raise self._no_sizes(node.value.id, node.attr) from None

    def binary(self, node: ast.BinOp) -> Any:
        left, right = self.value(node.left), self.value(node.right)
        self.lookup.spend(values.elements(left) + values.elements(right))
        result = values.binary(node.op, left, right)
        self.lookup.spend(values.elements(result))
        return result

    def unary(self, node: ast.UnaryOp) -> Any:
        if isinstance(node.op, ast.Not):
            return not self._condition(node.operand, "not")
        return values.unary(node.op, self.value(node.operand))

    def boolean(self, node: ast.BoolOp) -> Any:
        """The first operand that decides; none behind it is looked at."""
        decisive = isinstance(node.op, ast.Or)
        word = "or" if decisive else "and"
        return any(self._truth(operand, word) == decisive for operand in node.values) == decisive

    def comparison(self, node: ast.Compare) -> bool:
        left = self.value(node.left)
        for operation, operand in zip(node.ops, node.comparators, strict=True):
            right = self.value(operand)
            self.lookup.spend(values.elements(left) + values.elements(right))
            if not values.compare(operation, left, right):
                return False
            left = right
        return True

    def choice(self, node: ast.IfExp) -> Any:
        return self.value(node.body if self._condition(node.test, "if") else node.orelse)

    def list(self, node: ast.List) -> Any:
        result = values.checked([self.value(element) for element in node.elts])
        self.lookup.spend(values.elements(result))
        return result

    def element(self, node: ast.Subscript) -> Any:
        return values.element(self.value(node.value), self.value(node.slice))

    def call(self, node: ast.Call) -> Any:
        assert isinstance(node.func, ast.Name)  # the grammar has nothing else there
        arguments = [self.value(argument) for argument in node.args]
        if node.func.id != "len":
            self.lookup.spend(sum(map(values.elements, arguments)))
        return values.call(node.func.id, arguments)

    def _truth(self, node: ast.expr, word: str) -> bool:
        """A truth value: of others, Python's `and` and `or` give one of the two, which few readers expect."""
        value = self.value(node)
        if isinstance(value, bool):
            return value
        raise self._no_truth(node, word, value)

    def _condition(self, node: ast.expr, word: str) -> bool:
        """A truth value, or whether another value is something: all but 0, null and what is empty."""
        value = self.value(node)
        if values.is_truth_word(value):
            raise self._no_truth(node, word, value)
        return bool(value)

    def _no_truth(self, node: ast.expr, word: str, value: object) -> Fault:
        message = f"`{word}` takes truth values, not {values.kind(value)}"
        help = values.as_condition(self.expression.written(node), value)
        return Fault(message, self.expression.extent_of(node), help=help)

    def _no_variable(self, name: str) -> Fault:
        known = set(self.lookup.names())
        if name in known:
            sizes = ", ".join(f"`$({name}.{attribute})`" for attribute in ATTRIBUTES)
            return Fault(f"`{name}` is an input or a node and has no value of its own", help=f"it has sizes: {sizes}")
        if name in values.FUNCTIONS:
            return Fault(f"`{name}` is a function", help=f"give it something to work on: `$({name}(…))`")
        return Fault(f"there is no `{name}` here{meant(name, known)}", help=_listing(known))

    def _no_sizes(self, name: str, attribute: str) -> Fault:
        known = set(self.lookup.names()) - {name}
        try:
            value = self.lookup.variable(name)
        except KeyError:
            message = f"there is no input or node `{name}` to be seen from here{meant(name, known)}"
            return Fault(message, help=_listing(known))
        message = f"`{name}` is {values.kind(value)}: only inputs and nodes have `.{attribute}`"
        return Fault(message, help=f"the value is `${name}`, without `.{attribute}`")


_RULES: dict[type[ast.expr], Callable[[_Evaluation, Any], Any]] = {
    ast.Constant: _Evaluation.constant,
    ast.Name: _Evaluation.name,
    ast.Attribute: _Evaluation.attribute,
    ast.BinOp: _Evaluation.binary,
    ast.UnaryOp: _Evaluation.unary,
    ast.BoolOp: _Evaluation.boolean,
    ast.Compare: _Evaluation.comparison,
    ast.IfExp: _Evaluation.choice,
    ast.List: _Evaluation.list,
    ast.Subscript: _Evaluation.element,
    ast.Call: _Evaluation.call,
}


def _fill(part: str | Expression, lookup: Lookup) -> str:
    if isinstance(part, str):
        return part
    value = _Evaluation(part, lookup).whole()
    try:
        return values.as_text(value)
    except Fault as fault:
        fault.extent = part.extent
        raise


def _place(text: str, span: Span, extent: tuple[int, int] | None) -> Span:
    """The span of a part of the text, where the source shows it letter by letter; otherwise all of `span`."""
    if extent is None or span.line != span.end_line:
        return span
    written = span.source.line(span.line)[span.column - 1 : span.end_column - 1]
    if written not in (text, f"'{text}'", f'"{text}"'):
        return span
    start = span.column + (written != text)
    return replace(span, column=start + extent[0], end_column=start + extent[1])


def _listing(known: set[str]) -> str | None:
    return f"known here: {', '.join(sorted(known)[:20])}" if known else None
