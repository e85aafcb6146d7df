"""The value of one expression: a walk over its checked tree.

In: an `Expression` and a `Lookup` that knows what is visible. Out: a plain value, or a `Fault` with its place. Every
step is counted, and nothing is ever run. What the operators and functions do stands in `expression_values`.
"""

import ast
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

from cnnc.diagnostics.suggestions import effort
from cnnc.expressions import operations as values
from cnnc.expressions.grammar import ATTRIBUTES, Expression, meant
from cnnc.expressions.operations import Fault

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


class Evaluation(NamedTuple):
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
        self.lookup.spend(values.effort(left) + values.effort(right))
        result = values.binary(node.op, left, right)
        self.lookup.spend(values.effort(result))
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
        message = f"`{word}` takes booleans, not {values.kind(value)}"
        help = values.as_condition(self.expression.written(node), value)
        return Fault(message, self.expression.extent_of(node), help=help)

    def _known(self, name: str) -> set[str]:
        """Every name that may be meant. Many a fault is told to nobody, so its search is part of the work."""
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
        return Fault(f"there is no `{name}` here{meant(name, known)}", help=_listing(known))

    def _no_sizes(self, name: str, attribute: str) -> Fault:
        known = self._known(name) - {name}
        try:
            value = self.lookup.variable(name)
        except KeyError:
            message = f"there is no input or node `{name}` here{meant(name, known)}"
            return Fault(message, help=_listing(known))
        message = f"`{name}` is {values.kind(value)}: only inputs and nodes have `.{attribute}`"
        return Fault(message, help=f"write `${name}`, without `.{attribute}`")


_RULES: dict[type[ast.expr], Callable[[Evaluation, Any], Any]] = {
    ast.Constant: Evaluation.constant,
    ast.Name: Evaluation.name,
    ast.Attribute: Evaluation.attribute,
    ast.BinOp: Evaluation.binary,
    ast.UnaryOp: Evaluation.unary,
    ast.BoolOp: Evaluation.boolean,
    ast.Compare: Evaluation.comparison,
    ast.IfExp: Evaluation.choice,
    ast.List: Evaluation.list,
    ast.Subscript: Evaluation.element,
    ast.Call: Evaluation.call,
}


def _listing(known: set[str]) -> str | None:
    return f"the names in scope are {', '.join(sorted(known)[:20])}" if known else None
