"""Finds input sizes near those of the spec with which a network may be valid.

Takes a node that does not fit, and the inputs; returns heights and widths to try, and the rule for them if one is
known.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cnnc.analysis.accepted_sizes import Rule, Rules, size_rules
from cnnc.causes.attempts import Attempts
from cnnc.ops.types import TensorType

MOST_NODES = 2_000  # of a network whose size rules are computed
FARTHEST = 1_024  # below the given size
POWERS = (2, 4, 8, 16, 32, 64)  # possible divisors of valid sizes, if no rule is known

Space = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Nearest:
    """Sizes below and above the given one, and their rule in words."""

    sizes: tuple[Space, ...] = ()
    rule: str = ""


def nearest_inputs(path: str, inputs: Mapping[str, TensorType], attempts: Attempts) -> Nearest:
    """Heights and widths for all inputs that are maps; none unless these have equal sizes now."""
    maps = {name: type for name, type in inputs.items() if type.is_map}
    spaces = {(type.space[0] or 0, type.space[1] or 0) for type in maps.values()}
    if len(spaces) != 1 or 0 in (given := spaces.pop()):
        return Nearest()
    opened = {name: TensorType((type.channels, None, None)) for name, type in maps.items()}
    graph = attempts.opened(opened)
    if graph is None:
        return Nearest()
    if path in graph.node and len(graph.nodes) <= MOST_NODES:
        rules = size_rules(graph)
        return _by_rule(given, rules) if rules.told else Nearest()
    return Nearest(tuple(dict.fromkeys(_multiples(given))))


def _by_rule(given: Space, rules: Rules) -> Nearest:
    height, width = rules.by_side
    if height.smallest is None or width.smallest is None:
        return Nearest()
    below = _below(height, given[0]), _below(width, given[1])
    above = next(height.sizes(given[0]), None), next(width.sizes(given[1]), None)
    sizes = tuple((high, wide) for high, wide in (below, above) if high and wide and (high, wide) != given)
    return Nearest(sizes, _in_words(height, width, sizes, given))


def _in_words(height: Rule, width: Rule, sizes: tuple[Space, ...], given: Space) -> str:
    if all(rule.divisor == 1 for rule in (height, width)) and all(size >= given for size in sizes):
        return " or larger"
    alike = height.divisor == width.divisor > 1 and height.remainders == width.remainders == (0,)
    return f" (multiples of {height.divisor})" if alike else ""


def _below(rule: Rule, size: int) -> int | None:
    return next((n for n in range(size, size - FARTHEST, -1) if rule.takes(n)), None)


def _multiples(given: Space) -> Iterator[Space]:
    """Multiples of powers of two around the given size."""
    for power in POWERS:
        for up in (0, power - 1):
            height, width = ((size + up) // power * power for size in given)
            if height and width and (height, width) != given:
                yield height, width
