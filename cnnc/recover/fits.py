"""Expressions for a value that differs between the instances of a block, or of a `repeat`.

Takes vectors: one value for each instance, or `ANY` if the instance does not have the node. Returns the text of an
expression that gives exactly these values, or None.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import gcd
from typing import Any, Final

ANY: Final = object()


def is_size(name: str) -> bool:
    """Whether an attribute, or a parameter of a block, is a number of channels, which often is a multiple of others."""
    return is_width(name) or name in ("groups", "size")


class PerRound(tuple[Any, ...]):
    """The values of an attribute in the rounds of a repeated item."""

    __slots__ = ()

    def __str__(self) -> str:
        """The expression over the index that gives each round its value."""
        first, *rest = self
        if all(same(each, rest[0]) for each in rest):
            return f"$({_spelt(first)} if i == 0 else {_spelt(rest[0])})"
        return f"$([{', '.join(map(_spelt, self))}][i])"


def _spelt(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


Vector = Sequence[Any]


@dataclass(frozen=True)
class Usable:
    """A value that an expression can use: its text there, and its vector."""

    text: str
    vector: Vector


def is_width(name: str) -> bool:
    """Whether an attribute, or a parameter of a block, is the number of channels that a layer gives."""
    return name in ("out", "width", "squeeze") or (name[0] == "c" and name[1:].isdigit())


def agree(first: Vector, second: Vector) -> bool:
    """Whether two vectors have equal values, of the same type, in every instance that has both, and there is one."""
    both = [(a, b) for a, b in zip(first, second, strict=True) if a is not ANY and b is not ANY]
    return bool(both) and all(same(a, b) for a, b in both)


def same(first: Any, second: Any) -> bool:
    """Whether two plain values are written alike."""
    return bool(first == second) and type(first) is type(second)


def only(vector: Vector) -> Any:
    """Return the value that all instances have; ANY if they differ."""
    values = [each for each in vector if each is not ANY]
    return values[0] if values and all(same(each, values[0]) for each in values) else ANY


def merged(first: Vector, second: Vector) -> list[Any]:
    """Return a vector with the values of both."""
    return [b if a is ANY else a for a, b in zip(first, second, strict=True)]


def of_known(attribute: str, vector: Vector, known: Sequence[Usable]) -> str | None:
    """Return an expression over one known value: itself, a multiple, a part, or half of a kernel as padding."""
    if not all(each is ANY or type(each) is int for each in vector):
        return None
    for each in known:
        if _covers(each.vector, vector) and agree(each.vector, vector):
            return each.text
    for each in known:
        if not _covers(each.vector, vector):
            continue
        pairs = [(a, b) for a, b in zip(vector, each.vector, strict=True) if a is not ANY]
        if attribute == "padding" and "kernel" in each.text and all(a == b // 2 for a, b in pairs):
            return f"{each.text} // 2"
        if is_size(attribute) and len({b for _, b in pairs}) > 1 and (text := _scaled(each.text, pairs)):
            return text
    return None


def _covers(known: Vector, vector: Vector) -> bool:
    return all(b is ANY or type(a) is int for a, b in zip(known, vector, strict=True))


def _scaled(text: str, pairs: Sequence[tuple[int, int]]) -> str | None:
    (a, b), *_ = pairs
    if b and a % b == 0 and a > b and all(x == y * (a // b) for x, y in pairs):
        return _times(text, a // b)
    if a and b % a == 0 and b > a and all(x == y // (b // a) for x, y in pairs):
        return _part(text, b // a)
    return None


def _times(text: str, factor: int) -> str:
    """Return the multiple of a number, a multiple or a part: `3 * width // 2` is `(3 * width) // 2`."""
    by, number, parts = _split(text)
    return _product(by * factor, number, parts)


def _part(text: str, parts: int) -> str:
    by, number, before = _split(text)
    return _product(by, number, before * parts)


def _split(text: str) -> tuple[int, str, int]:
    """Return the factors of `6 * width // 24`: 6, width and 24."""
    found = re.fullmatch(r"(?:(\d+) \* )?(.+?)(?: // (\d+))?", text)
    assert found
    return int(found[1] or 1), found[2], int(found[3] or 1)


def _product(by: int, number: str, parts: int) -> str:
    """Return `by * number // parts` in lowest terms."""
    common = gcd(by, parts)
    times = f"{by // common} * " if by > common else ""
    return f"{times}{number}{f' // {parts // common}' if parts > common else ''}"


def conditions(
    present: Vector,
    stride: Usable | None,
    expand: Usable | None,
    channels: Usable | None,
    outs: Sequence[Usable],
) -> str | None:
    """Return a condition over the stride and the channels that is true for the instances that have a node.

    The first is that which a change of another number leaves right: a shortcut is needed if any size differs.
    """
    for text, vector in _tests(stride, expand, channels, outs):
        if all(wanted is ANY or wanted == each for wanted, each in zip(present, vector, strict=True)):
            return text
    return None


def _tests(
    stride: Usable | None, expand: Usable | None, channels: Usable | None, outs: Sequence[Usable]
) -> Iterator[tuple[str, list[bool]]]:
    keeps = [each == 1 for each in stride.vector] if stride else None
    for out in outs if channels else ():
        assert channels is not None
        if any(type(each) is not int for each in (*channels.vector, *out.vector)):
            continue
        equal = [a == b for a, b in zip(channels.vector, out.vector, strict=True)]
        if keeps and stride:
            both = [a and b for a, b in zip(keeps, equal, strict=True)]
            yield f"{stride.text} == 1 and {channels.text} == {out.text}", both
            yield f"{stride.text} != 1 or {channels.text} != {out.text}", [not each for each in both]
        yield f"{channels.text} == {out.text}", equal
        yield f"{channels.text} != {out.text}", [not each for each in equal]
    if keeps and stride:
        yield f"{stride.text} == 1", keeps
        yield f"{stride.text} != 1", [not each for each in keeps]
    if expand:
        yield f"{expand.text} != 1", [each != 1 for each in expand.vector]


STEPS = ("stride", "dilation", "expand")
"""Attributes of which the first instance in a stage often has another value."""


def of_index(attribute: str, vector: Vector) -> Any:
    """Return the value, or an expression over the index `i`, that gives each instance of a `repeat` its value.

    None if there is none. Numbers of channels only fit if they are all equal: at another number, another stage begins.
    """
    value = only(vector)
    if value is not ANY:
        return value
    first, *rest = vector
    if is_size(attribute) or any(isinstance(each, str) and "$" in each for each in vector):
        return None
    if only(rest) is not ANY:
        if isinstance(first, bool) and isinstance(rest[0], bool):
            return "$(i == 0)" if first else "$(i != 0)"
        if type(first) is int and type(rest[0]) is int and attribute.startswith(STEPS):
            return f"$({first} if i == 0 else {rest[0]})"
    kinds = {type(each) for each in vector}
    return _linear(vector) if kinds == {int} else _fraction(vector) if kinds == {float} else None


def _linear(vector: Vector) -> str | None:
    start, step = vector[0], vector[1] - vector[0]
    if len(vector) < 3 or step <= 0 or any(each != start + step * at for at, each in enumerate(vector)):
        return None
    term = "i" if step == 1 else f"{step} * i"
    return f"$({start} + {term})" if start else f"$({term})"


RATES = (0.1, 0.2, 0.05, 0.3, 0.4, 0.5, 0.25, 0.15)


def _fraction(vector: Vector) -> str | None:
    """Return `RATE * (START + i) / COUNT`, as the rate of `drop_path` grows with the depth."""
    step = vector[1] - vector[0]
    if not 0 < step < 1:
        return None
    for rate in RATES:
        count, start = round(rate / step), round(vector[0] / step)
        if count and all(rate * (start + at) / count == each for at, each in enumerate(vector)):
            return f"$({rate} * ({start} + i) / {count})" if start else f"$({rate} * i / {count})"
    return None
