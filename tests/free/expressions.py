"""Random expressions over whatever a scope sees: conditions, and values written in another way.

In: the names of nodes and inputs, those of variables, and sizes that stand near. Out: text with `$(…)` in it. Most have
the value that is asked for; what names stand for is not known here.
"""

from random import Random
from typing import Any

SIZES = ("channels", "channels", "height", "width", "features")
FUNCTIONS = ("abs", "round", "floor", "ceil", "int")


def expression(rng: Random, value: Any, names: list[str], variables: list[str], near: tuple[int, ...]) -> Any:
    """The value, or another one, as an expression."""
    if isinstance(value, list) and rng.random() < 0.5:
        return [expression(rng, each, names, variables, near) for each in value]
    if variables and rng.random() < 0.3:
        return f"${rng.choice(variables)}"
    text = _literal(value)
    if text is None:
        return value
    if isinstance(value, bool):
        return f"$({_condition(rng, names, variables, near)})"
    if isinstance(value, int | float):
        return f"$({_number(rng, text, names, variables)})"
    return f"$({text} if {_condition(rng, names, variables, near)} else {text})"


def condition(rng: Random, names: list[str], variables: list[str], near: tuple[int, ...]) -> Any:
    """What a `when` may be."""
    if rng.random() < 0.1:
        return rng.random() < 0.5
    return f"$({_condition(rng, names, variables, near)})"


def _condition(rng: Random, names: list[str], variables: list[str], near: tuple[int, ...], depth: int = 0) -> str:
    kind = rng.randrange(6)
    if kind == 0 or depth > 2:
        return rng.choice(("true", "false", "1 < 2", "not true"))
    if kind == 1:
        joined = rng.choice((" and ", " or "))
        return joined.join(f"({_condition(rng, names, variables, near, depth + 1)})" for _ in range(2))
    if kind == 2:
        return f"not ({_condition(rng, names, variables, near, depth + 1)})"
    left, right = _atom(rng, names, variables), rng.choice([*near, 0, 1, 2, 3])
    if kind == 3:
        return f"{left} {rng.choice(('in', 'not in'))} [{right}, {rng.choice(near)}]"
    return f"{left} {rng.choice(('==', '!=', '<', '<=', '>', '>='))} {right}"


def _atom(rng: Random, names: list[str], variables: list[str]) -> str:
    """A size, a variable or a number."""
    if names and rng.random() < 0.7:
        return f"{rng.choice(names)}.{rng.choice(SIZES)}"
    return rng.choice([*variables, "1", "2"])


def _number(rng: Random, text: str, names: list[str], variables: list[str]) -> str:
    """A number that is the given one, most likely."""
    atom = _atom(rng, names, variables)
    return rng.choice(
        (
            f"{text} + {atom} - {atom}",
            f"{atom} * 0 + {text}",
            f"{text} if {atom} > 0 else 1",
            f"min({text}, {text} + abs({atom}))",
            f"max([{text}, {text}])",
            f"[{atom}, {text}][1]",
            f"{text} * len('a')",
            f"{rng.choice(FUNCTIONS)}({text})",
            f"{text} ** 1",
            f"{text} // 1",
            f"{text} + {rng.choice(('0', atom))}",
            atom,
            f"{atom} // 2",
            f"{atom} * 2",
        )
    )


def _literal(value: Any) -> str | None:
    """How an expression writes a value; None for one that it cannot."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return f"({value})" if value < 0 else str(value)
    if isinstance(value, str):
        return None if "'" in value or "$" in value else f"'{value}'"
    if isinstance(value, list):
        parts = [_literal(each) for each in value]
        return None if None in parts else f"[{', '.join(map(str, parts))}]"
    return None
