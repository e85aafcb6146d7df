"""Random ways to write a value down: as itself, as a parameter, or as an expression of what a scope sees."""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from tests.random_ops import Attributes, Sizes

Draw = st.DrawFn
PARAMS: dict[str, Any] = {"width": 4, "on": True, "widths": [2, 3], "share": 0.5, "kind": "same"}


@dataclass
class Scope:
    """What the items of a scope may use: its input's name, parameters by their values, and the blocks of the file."""

    source: str | None
    blocks: dict[str, Any]
    params: dict[str, Any] = field(default_factory=dict)
    depth: int = 0

    def inner(self) -> "Scope":
        """A group's, which sees the parameters around it."""
        return Scope("input", self.blocks, self.params, self.depth + 1)


@st.composite
def conditions(draw: Draw, scope: Scope) -> tuple[bool, Any]:
    """Whether a node is there, and how that is written."""
    there = draw(st.booleans())
    return there, draw(written(there, scope))


@st.composite
def rewritten(draw: Draw, given: Attributes, scope: Scope, x: Sizes) -> Attributes:
    """The attributes with expressions in the place of some values."""
    size = "tokens" if x[0].is_tokens else "channels", x[0].shape[0] or 0
    return {key: draw(written(value, scope, size)) for key, value in given.items()}


@st.composite
def written(draw: Draw, value: Any, scope: Scope, size: tuple[str, int] = ("channels", 0)) -> Any:
    """The value itself, mostly, or an expression of what the scope sees that has it."""
    is_written = isinstance(value, str) and value.startswith("$")
    if is_written or draw(st.integers(0, 3)) < 3:
        return value
    return draw(st.sampled_from(_expressions(value, scope, *size)))


def _expressions(value: Any, scope: Scope, size: str, known_size: int) -> list[Any]:
    """Ways to write a value; the input of the scope has this `size`."""
    params = [name for name, given in scope.params.items() if given == value and type(given) is type(value)]
    ways: list[Any] = [f"${name}" for name in params]
    if isinstance(value, bool):
        flags = [name for name, given in scope.params.items() if given is True]
        ways += [f"$({'' if value else 'not '}{name})" for name in flags] + [f"$(1 {'<' if value else '>'} 2)"]
    elif isinstance(value, int):
        ways += [f"$({name} + {value - known})" for name, known in scope.params.items() if type(known) is int]
        ways += [f"$(min({value}, {value} + 1))", f"$(len([0, 0]) * {value} // 2)"]
        if scope.source and known_size:
            ways += [f"$({scope.source}.{size} - ({known_size - value}))"]
        if "widths" in scope.params:
            ways += [f"$(widths[-1] + {value} - 3)"]
    elif isinstance(value, list):
        ways += [f"$({value})", [f"$({each})" for each in value]]
    elif isinstance(value, float):
        ways += [f"$({value} * 1)", f"$({value} if 0.5 < 1 else 2)"]
    else:
        ways += [f"$({value!r})" if isinstance(value, str) else "$(null)"]
    return ways
