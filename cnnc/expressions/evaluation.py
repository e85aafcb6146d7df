"""Evaluates an expression by walking its checked tree.

Takes an `Expression` and a `Lookup` for the visible names; returns a plain value, or raises a `Fault` with its place.
Every step is counted, and no code is executed. `cnnc.expressions.operations` implements the operators and functions.
"""

import ast
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

from cnnc.diagnostics.suggestions import effort
from cnnc.expressions import operations as values
from cnnc.expressions.grammar import ATTRIBUTES, COUNTERS, Expression, meant
from cnnc.expressions.operations import Fault

_CONSTANTS = {"true": True, "false": False, "null": None}


class Lookup(Protocol):
    """Looks up the names in an expression."""

    def variable(self, name: str) -> object:
        """The value of a parameter, `i` or `n`; raises KeyError if there is none."""

    def attribute(self, name: str, attribute: str) -> int:
        """One of `ATTRIBUTES` of a visible input or node; raises KeyError if it is not visible, may raise CnncError."""

    def names(self) -> Iterable[str]:
        """All names of both kinds, for suggestions."""

    def spend(self, operations: int) -> None:
        """Count operations; raises OutOfWork if there are too many."""


class TreeWalk(NamedTuple):
    """The walk over a checked tree; a fault gets the place of the innermost node that fails."""

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
        self.lookup.spend(values.effort(left) + values.effort(right))
        result = values.binary(node.op, left, right)
        self.lookup.spend(values.effort(result))
        return result

    def unary(self, node: ast.UnaryOp) -> Any:
        if isinstance(node.op, ast.Not):
            return not self._condition(node.operand, "not")
        return values.unary(node.op, self.value(node.operand))

    def boolean(self, node: ast.BoolOp) -> Any:
        """The value of `and` or `or`; stops at the first operand that decides."""
        decisive = isinstance(node.op, ast.Or)
        word = "or" if decisive else "and"
        return any(self._truth(operand, word) == decisive for operand in node.values) == decisive

    def comparison(self, node: ast.Compare) -> bool:
        left = self.value(node.left)
        for operation, operand in zip(node.ops, node.comparators, strict=True):
            right = self.value(operand)
            self.lookup.spend(values.effort(left) + values.effort(right))
            if not values.compare(operation, left, right):
                return False
            left = right
        return True

    def choice(self, node: ast.IfExp) -> Any:
        return self.value(node.body if self._condition(node.test, "if") else node.orelse)

    def list(self, node: ast.List) -> Any:
        result = values.checked([self.value(element) for element in node.elts])
        self.lookup.spend(values.effort(result))
        return result

    def element(self, node: ast.Subscript) -> Any:
        return values.element(self.value(node.value), self.value(node.slice))

    def call(self, node: ast.Call) -> Any:
        assert isinstance(node.func, ast.Name)  # the grammar has nothing else there
        arguments = [self.value(argument) for argument in node.args]
        if node.func.id != "len":
            self.lookup.spend(sum(map(values.effort, arguments)))
        return values.call(node.func.id, arguments)

    def _truth(self, node: ast.expr, word: str) -> bool:
        """A boolean operand; others are refused, because Python's `and` and `or` return an operand."""
        value = self.value(node)
        if isinstance(value, bool):
            return value
        raise self._not_boolean(node, word, value)

    def _condition(self, node: ast.expr, word: str) -> bool:
        """A condition: a boolean, or any other value, which is false if it is 0, null or empty."""
        value = self.value(node)
        if values.is_truth_word(value):
            raise self._not_boolean(node, word, value)
        return bool(value)

    def _not_boolean(self, node: ast.expr, word: str, value: object) -> Fault:
        message = f"`{word}` takes booleans, not {values.kind(value)}"
        help = values.as_condition(self.expression.written(node), value)
        return Fault(message, self.expression.extent_of(node), help=help)

    def _known(self, name: str) -> set[str]:
        """All names to suggest from. The search counts as work, because many faults are never reported."""
        known = set(self.lookup.names())
        self.lookup.spend(len(known) // 16 + effort(name, known))
        return known

    def _no_variable(self, name: str) -> Fault:
        known = self._known(name)
        if name in known:
            sizes = ", ".join(f"`$({name}.{attribute})`" for attribute in ATTRIBUTES)
            return Fault(
                f"`{name}` is an input or a node and has no value of its own", help=f"use one of its sizes: {sizes}"
            )
        if name in values.FUNCTIONS:
            return Fault(f"`{name}` is a function", help=f"call it: `$({name}(…))`")
        near, ways = meant(name, known), [_listing(known)]
        if not near and name not in COUNTERS:
            ways.append(f"`params: {{{name}: …}}` declares a parameter")
        return Fault(f"there is no `{name}` here{near}", help="; ".join(filter(None, ways)) or None)

    def _no_sizes(self, name: str, attribute: str) -> Fault:
        known = self._known(name) - {name}
        try:
            value = self.lookup.variable(name)
        except KeyError:
            message = f"there is no input or node `{name}` here{meant(name, known)}"
            return Fault(message, help=_listing(known))
        message = f"`{name}` is {values.kind(value)}: only inputs and nodes have `.{attribute}`"
        return Fault(message, help=f"write `${name}`, without `.{attribute}`")


_RULES: dict[type[ast.expr], Callable[[TreeWalk, Any], Any]] = {
    ast.Constant: TreeWalk.constant,
    ast.Name: TreeWalk.name,
    ast.Attribute: TreeWalk.attribute,
    ast.BinOp: TreeWalk.binary,
    ast.UnaryOp: TreeWalk.unary,
    ast.BoolOp: TreeWalk.boolean,
    ast.Compare: TreeWalk.comparison,
    ast.IfExp: TreeWalk.choice,
    ast.List: TreeWalk.list,
    ast.Subscript: TreeWalk.element,
    ast.Call: TreeWalk.call,
}


def _listing(known: set[str]) -> str | None:
    return f"the names in scope are {', '.join(sorted(known)[:20])}" if known else None
