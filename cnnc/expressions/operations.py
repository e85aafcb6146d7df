"""The operators and functions of expressions.

They take plain values (None, bool, int, float, str, lists of those) and return a plain value within the limits below,
or raise a `Fault` with the reason. Sizes are checked before anything is computed. A boolean is not a number. A list
from outside may contain mappings and can be passed on, but a mapping by itself is not a value.
"""

import ast
import math
import operator
from collections.abc import Callable, Iterable
from typing import Any, TypeGuard

from cnnc.diagnostics import Code, counted

INTEGERS = range(-(2**63), 2**63)
MAX_LENGTH = 10_000  # characters of a string, and elements of a list including nested ones
MAX_NESTING = 32  # lists within lists

BINARY: dict[type[ast.operator], tuple[str, Callable[[Any, Any], Any]]] = {
    ast.Add: ("+", operator.add),
    ast.Sub: ("-", operator.sub),
    ast.Mult: ("*", operator.mul),
    ast.Div: ("/", operator.truediv),
    ast.FloorDiv: ("//", operator.floordiv),
    ast.Mod: ("%", operator.mod),
    ast.Pow: ("**", operator.pow),
}
UNARY: dict[type[ast.unaryop], tuple[str, Callable[[Any], Any]]] = {
    ast.USub: ("-", operator.neg),
    ast.UAdd: ("+", operator.pos),
    ast.Not: ("not", operator.not_),
}
ORDER: dict[type[ast.cmpop], tuple[str, Callable[[Any, Any], bool]]] = {
    ast.Lt: ("<", operator.lt),
    ast.LtE: ("<=", operator.le),
    ast.Gt: (">", operator.gt),
    ast.GtE: (">=", operator.ge),
}
MEMBERSHIP: dict[type[ast.cmpop], str] = {ast.In: "in", ast.NotIn: "not in"}
COMPARISONS = {ast.Eq, ast.NotEq, *ORDER, *MEMBERSHIP}

_OF_NUMBERS: dict[str, Callable[[Any], Any]] = {"min": min, "max": max}
_OF_A_NUMBER: dict[str, Callable[[Any], Any]] = {
    "abs": abs,
    "round": round,
    "floor": math.floor,
    "ceil": math.ceil,
    "int": int,
}
_KINDS = {type(None): "null", bool: "a boolean", int: "an integer", float: "a float", str: "a string", list: "a list"}
_NOTHING = {type(None): "null", int: "0", float: "0", str: "''"}
FUNCTIONS = (*_OF_NUMBERS, *_OF_A_NUMBER, "len")


class Fault(Exception):
    """The reason why an expression fails; `extent` is its range in the text (start, end), once known."""

    def __init__(
        self,
        message: str,
        extent: tuple[int, int] | None = None,
        *,
        code: Code = Code.FAILED_EXPRESSION,
        help: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message, self.extent, self.code, self.help = message, extent, code, help


def checked(value: Any) -> Any:
    """`value`, if an expression may have it; raises Fault otherwise."""
    match value:
        case bool() | None:
            return value
        case int() if value in INTEGERS:
            return value
        case float() if math.isfinite(value):
            return value
        case str() if len(value) <= MAX_LENGTH:
            return value
        case list():
            return _bounded(value)
        case int():
            raise Fault("the result does not fit into 64 bits")
        case float():
            raise Fault(f"the result is not finite: {value}")
        case complex():
            raise Fault("the result is not a real number", help="a negative number has no fractional power")
        case str():
            raise _too_long(len(value))
        case _:
            raise Fault(f"{kind(value)} cannot be used in an expression", help="pass its parts as parameters")


def admitted(value: object) -> Any:
    """A value from outside, without a check of its size; a tuple counts as a list."""
    return value if type(value) in _KINDS else checked(list(value) if isinstance(value, tuple) else value)


def size(value: object) -> int:
    """Characters of a string; elements of a list, including nested lists and mappings; 1 for other values."""
    if isinstance(value, str):
        return len(value)
    return sum(map(_weight, _parts(value))) if isinstance(value, list | dict) else 1


def effort(value: object) -> int:
    """The cost of reading a value: one for each element of a list, and one per 64 characters of a string."""
    return size(value) if isinstance(value, list) else len(value) // 64 if isinstance(value, str) else 0


def joined(parts: Iterable[str]) -> str:
    """Join the parts; stops as soon as the result is too long."""
    text = ""
    for part in parts:
        text += part
        checked(text)
    return text


def _weight(element: object) -> int:
    return 1 + size(element) if isinstance(element, list | dict) else 1


def _parts(whole: list[Any] | dict[str, Any]) -> Iterable[Any]:
    return whole.values() if isinstance(whole, dict) else whole


def _bounded(value: list[Any]) -> list[Any]:
    """`value`, if it is neither too long nor too deep; stops counting at the limits. Raises Fault otherwise."""
    level: list[list[Any] | dict[str, Any]] = [value]
    count = 0
    for _ in range(MAX_NESTING):
        count += sum(map(len, level))
        if count > MAX_LENGTH:
            raise _too_long(count)
        level = [part for whole in level for part in _parts(whole) if isinstance(part, list | dict)]
        if not level:
            return value
    raise Fault(f"lists nest deeper than {MAX_NESTING}")


def kind(value: object) -> str:
    """The type of a value in messages, with an article."""
    return _KINDS.get(type(value), "a mapping")


def binary(operation: ast.operator, left: Any, right: Any) -> Any:
    """`left operation right`, within the limits."""
    symbol, apply = BINARY[type(operation)]
    _require_operands(symbol, left, right)
    _require_bounded(symbol, left, right)
    try:
        return checked(apply(left, right))
    except ZeroDivisionError:
        raise Fault(f"division by zero: {left} {symbol} {right}") from None
    except OverflowError:
        raise Fault(f"the result is too large: {left} {symbol} {right}") from None


def unary(operation: ast.unaryop, operand: Any) -> Any:
    """A number with its sign."""
    symbol, apply = UNARY[type(operation)]
    if not _is_number(operand):
        raise Fault(f"`{symbol}` takes a number, not {kind(operand)}")
    return checked(apply(operand))


def is_truth_word(value: object) -> bool:
    """Whether a value is a string that YAML 1.1 would read as a boolean."""
    return isinstance(value, str) and value.lower() in ("yes", "no", "on", "off", "true", "false")


def as_condition(written: str, value: object) -> str:
    """A help line: how to turn a value into a boolean; `written` is its source text."""
    if is_truth_word(value):
        return f"the value is the string '{value}': write booleans as true and false"
    if isinstance(value, list):
        return f"compare its length: `len({written}) > 0`"
    return f"compare it: `{f'({written})' if ' ' in written else written} != {_NOTHING[type(value)]}`"


def compare(operation: ast.cmpop, left: Any, right: Any) -> bool:
    """`left operation right`; any values can be equal, but only values of like types are ordered."""
    if isinstance(operation, ast.Eq | ast.NotEq):
        return _equal(left, right) == isinstance(operation, ast.Eq)
    if word := MEMBERSHIP.get(type(operation)):
        if not isinstance(right, list):
            raise Fault(f"`{word}` takes a list on its right, not {kind(right)}")
        return any(_equal(left, element) for element in right) == isinstance(operation, ast.In)
    symbol, apply = ORDER[type(operation)]
    if not (_are_numbers(left, right) or _both(str, left, right)):
        raise Fault(f"`{symbol}` compares two numbers or two strings, not {kind(left)} and {kind(right)}")
    return apply(left, right)


def element(whole: Any, index: Any) -> Any:
    """`whole[index]`; a negative index counts from the end."""
    if not isinstance(whole, list | str):
        raise Fault(f"only a list or a string has elements, not {kind(whole)}")
    if type(index) is not int:
        raise Fault(
            f"an index must be an integer, not {kind(index)}", help=_WHOLE if isinstance(index, float) else None
        )
    if not -len(whole) <= index < len(whole):
        raise Fault(
            f"index {index} is out of range: the list has {counted(len(whole), 'element')}",
            help="the first element has index 0",
        )
    return admitted(whole[index])


def call(name: str, arguments: list[Any]) -> Any:
    """The function `name` of `arguments`; `min` and `max` also take one list."""
    if name in _OF_NUMBERS:
        numbers = arguments[0] if len(arguments) == 1 else arguments
        if not (isinstance(numbers, list) and numbers and _are_numbers(*numbers)):
            raise Fault(f"`{name}` takes two or more numbers, or a list of numbers, not {_listed(arguments)}")
        return _OF_NUMBERS[name](numbers)
    if name == "len":
        if not (len(arguments) == 1 and isinstance(arguments[0], str | list)):
            raise Fault(f"`len` takes one list or string, not {_listed(arguments)}")
        return len(arguments[0])
    if not (len(arguments) == 1 and _is_number(arguments[0])):
        raise Fault(f"`{name}` takes one number, not {_listed(arguments)}")
    return checked(_OF_A_NUMBER[name](arguments[0]))


def as_text(value: Any) -> str:
    """A value as part of a longer string, spelt as in YAML; raises Fault for null and lists."""
    if value is None or isinstance(value, list):
        raise Fault(f"{kind(value)} cannot be inserted into a string", help="only numbers, strings and booleans can")
    return str(value).lower() if isinstance(value, bool) else str(value)


_WHOLE = "`/` gives a float: divide with `//`, or round with `int(…)`"


def _require_operands(symbol: str, left: Any, right: Any) -> None:
    if _are_numbers(left, right):
        return
    if symbol == "+" and (_both(str, left, right) or _both(list, left, right)):
        return
    if symbol == "*" and {type(left), type(right)} in ({int, str}, {int, list}):
        return
    expected = {"+": "two numbers, two strings or two lists", "*": "two numbers, or a string or list and an integer"}
    found = f"{kind(left)} and {kind(right)}"
    raise Fault(f"`{symbol}` takes {expected.get(symbol, 'two numbers')}, not {found}")


def _require_bounded(symbol: str, left: Any, right: Any) -> None:
    """Raise Fault, before computing it, for a repetition or power whose result is too large."""
    if symbol == "*" and not _are_numbers(left, right):
        times, whole = (left, right) if isinstance(left, int) else (right, left)
        if size(whole) * times > MAX_LENGTH:
            raise _too_long(size(whole) * times)
    # |left| is at least 2**(bits - 1), which gives a lower bound for the bits of the power.
    if symbol == "**" and _both(int, left, right) and (abs(left).bit_length() - 1) * right > INTEGERS.stop.bit_length():
        raise Fault(f"the result does not fit into 64 bits: {left} ** {right}")


def _too_long(length: int) -> Fault:
    return Fault(f"the result would have {length:,} or more elements or characters, the limit is {MAX_LENGTH:,}")


def _equal(left: Any, right: Any) -> bool:
    """Equality in which `true` is not 1, at any depth."""
    if _both(list, left, right):
        return len(left) == len(right) and all(map(_equal, left, right))
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _are_numbers(*values: object) -> bool:
    return all(map(_is_number, values))


def _both(wanted: type, left: object, right: object) -> bool:
    return isinstance(left, wanted) and isinstance(right, wanted)


def _listed(arguments: list[Any]) -> str:
    return " and ".join(map(kind, arguments)) or "nothing"
