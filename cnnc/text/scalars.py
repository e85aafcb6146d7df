"""Resolves plain scalars by the core schema of YAML 1.2, which agrees with JSON's literals.

Null, booleans, decimal, octal (`0o17`) and hexadecimal (`0x1F`) integers, and floats are resolved; everything else is a
string: `on`, `yes`, `1:30`, `2024-01-01`, `1_000`. `010` is ten. Numbers out of the range of floats or 64-bit integers
raise ValueError with the reason.
"""

import math
import re
from typing import Final

from cnnc.text.value import Scalar

CONSTANTS: Final[dict[str, bool | None]] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_NUMBER_STARTS = frozenset("+-.0123456789")
_DECIMAL = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_DIGITS = 19  # of the largest 64-bit integer: longer ones are refused before they are converted
_BITS = 63


def resolve(text: str) -> Scalar:
    """The value of the plain scalar `text`; raises ValueError for a number that is not finite or too big."""
    if text[:1] in _NUMBER_STARTS:
        return _number(text)
    return CONSTANTS.get(text, text)


def _number(text: str) -> Scalar:
    if _DECIMAL.fullmatch(text):
        return _integer(text, 10)
    if _BASED.fullmatch(text):
        return _integer(text, 8 if text[1] == "o" else 16)
    if _FLOAT.fullmatch(text):
        if math.isinf(number := float(text)):
            raise ValueError("is larger than a float can be (about 1.8e308)")
        return number
    if _NOT_FINITE.fullmatch(text):
        raise ValueError("is not a finite number")
    return CONSTANTS.get(text, text)


def _integer(text: str, base: int) -> int:
    digits = text.lstrip("+-") if base == 10 else text[2:]
    digits = digits.lstrip("0") or "0"
    sign = -1 if text[0] == "-" else 1
    number = sign * int(digits, base) if len(digits) <= _DIGITS + 3 else sign << 64
    if not -(1 << _BITS) <= number < 1 << _BITS:
        raise ValueError(f"is an integer of {len(digits):,} digits and does not fit into 64 bits")
    return number
