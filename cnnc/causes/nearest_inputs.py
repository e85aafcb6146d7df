"""The sizes of its inputs, near those that a spec gives, with which a network may fit together.

In: a node that does not fit, and the inputs as they are. Out: heights and widths that are worth a try, and the rule
that they follow where one is known.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cnnc.analysis.accepted_sizes import Rule, Rules, size_rules
from cnnc.causes.attempts import Attempts
from cnnc.ops.types import TensorType

MOST_NODES = 2_000  # of a network whose rules are looked for
FARTHEST = 1_024  # below the size that is given
POWERS = (2, 4, 8, 16, 32, 64)  # that sizes may have to be multiples of, where no rule can tell

Space = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Nearest:
    """Sizes below and above the given one, and in words what they have in common."""

    sizes: tuple[Space, ...] = ()
    rule: str = ""


def nearest_inputs(path: str, inputs: Mapping[str, TensorType], attempts: Attempts) -> Nearest:
    """Heights and widths for all inputs that are maps, which now have one size; none where they have not."""
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
    return Nearest(sizes, _told(height, width, sizes, given))


def _told(height: Rule, width: Rule, sizes: tuple[Space, ...], given: Space) -> str:
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
