"""The input heights and widths that a network accepts, found by shape inference at sample sizes.

Takes a proved graph; returns a `Rule` per axis. Along an axis whose size is open, ops compute their output size by
sums, products and floor division only (other ops refuse open sizes), so sizes are periodic: for some period, an input
longer by a period makes every value longer by a constant. Two values that must be equal are then equal for all sizes of
a residue class, or only for isolated sizes. So testing one period of large sizes twice finds the accepted classes.
Within a class, if windows fit at a size they fit at all larger ones, so bisection finds the smallest.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, count, islice, product, takewhile
from math import prod

from cnnc.analysis.size_questions import FAR_ENOUGH, TooLong, Trial, examples
from cnnc.graph.graph import Graph
from cnnc.ops.types import Types
from cnnc.ops.window import SIDES

LONGEST_PERIOD = 1024
SCANNED = 1024  # if no class fits, single sizes up to here are tried
SAMPLED = 3  # number of smallest heights and widths whose pairs are all tried
LARGER = (32,)  # sizes that are tried with the smallest, and with each other


@dataclass(frozen=True, slots=True)
class Rule:
    """The sizes that a network accepts along an axis.

    These are all sizes from `start` up whose remainder by `divisor` is one of `remainders`, and the `others`, which are
    smaller. If `remainders` is empty, `others` holds all accepted sizes up to 1,024.
    """

    start: int = 1
    divisor: int = 1
    remainders: tuple[int, ...] = (0,)
    others: tuple[int, ...] = ()

    @property
    def smallest(self) -> int | None:
        """The smallest accepted size; None if there is none."""
        return next(self.sizes(), None)

    def takes(self, size: int) -> bool:
        return size in self.others or (size >= self.start and size % self.divisor in self.remainders)

    def sizes(self, least: int = 1) -> Iterator[int]:
        """Yield the accepted sizes from `least` up, in order; endless if there are remainders."""
        yield from (size for size in self.others if size >= least)
        if self.remainders:
            yield from (n for n in count(max(least, self.start)) if n % self.divisor in self.remainders)

    def __str__(self) -> str:
        if not self.remainders:
            return f"only {_listed(self.others)}" if self.others else "none"
        sizes = "any size" if self.divisor == 1 else f"multiples of {self.divisor}"
        if self.divisor > 1 and self.remainders != (0,):
            sizes = f"sizes that leave {_listed(self.remainders)} when divided by {self.divisor},"
        return f"{sizes} from {self.start} up" + (f", and {_listed(self.others)}" if self.others else "")


ANY = Rule()


@dataclass(frozen=True, slots=True)
class Rules:
    """The heights and widths that a network accepts; an axis whose size the spec fixes has no rule.

    Each side has its own rule. If `either` is given, a single position is refused, so the height must be at least its
    first number or the width at least its second. `smallest` is the smallest height and width that fit together. For an
    axis that the spec fixes, it is the smallest size that would fit instead, given the other axis; None if several
    inputs are maps or the search takes too long. `clash` is a height and a width that each fit with other sizes but not
    with each other: then the axes are not `independent`, and the rules are not exact. If several inputs need different
    sizes, there are `examples` instead: types of all inputs that fit together. `alike` are the sides whose rule assumes
    that several inputs have the same size there. `told` is False if the search takes too long.
    """

    height: Rule | None
    width: Rule | None
    smallest: tuple[int | None, int | None]
    either: tuple[int, int] | None = None
    clash: tuple[int, int] | None = None
    examples: tuple[Types, ...] = ()
    alike: tuple[str, ...] = ()
    told: bool = True

    @property
    def independent(self) -> bool:
        """Whether every accepted height fits with every accepted width, apart from `either`."""
        return self.clash is None

    @property
    def by_side(self) -> tuple[Rule, Rule]:
        """A rule for the height and one for the width; `ANY` for a side that the spec fixes."""
        return self.height or ANY, self.width or ANY

    def takes(self, height: int, width: int) -> bool:
        """Whether a height and a width fit together."""
        if self.either and height < self.either[0] and width < self.either[1]:
            return False
        return all(rule.takes(size) for rule, size in zip(self.by_side, (height, width), strict=True))

    def __str__(self) -> str:
        if self.examples:
            return f"the inputs' sizes depend on each other: {', '.join(map(str, self.examples[0]))}, for example"
        parts = [f"{side}: {rule}" for side, rule in (("height", self.height), ("width", self.width)) if rule]
        if self.height and self.height == self.width:
            parts = [f"height and width: {self.height}"]
        if self.either:
            tall, wide = self.either
            parts.append(
                f"at least one of them {tall} or more"
                if tall == wide
                else f"the height {tall} or more, or the width {wide} or more"
            )
        return "; ".join(parts) + (f" (if all inputs have the same {' and '.join(self.alike)})" if self.alike else "")


def size_rules(graph: Graph) -> Rules:
    """Return the heights and widths that the network accepts."""
    return graph.derived(_find_rules)


def _find_rules(graph: Graph) -> Rules:
    try:
        return _rules(Trial(graph))
    except TooLong:
        return Rules(None, None, (None, None), told=False)


def _rules(trial: Trial) -> Rules:
    """Return the rules for inputs of one common size, or examples if only different sizes fit."""
    rules = _alike(trial)
    maps = [each.type for each in trial.graph.inputs if each.type.is_map]
    if len(maps) > 1 and (rules.clash or None in [rule.smallest for rule in rules.by_side]):
        return replace(rules, smallest=(None, None), examples=examples(trial))
    opened = [sum(type.space[axis] is None for type in maps) for axis in (0, 1)]
    return replace(rules, alike=tuple(side for side, count in zip(SIDES, opened, strict=True) if count > 1))


def _alike(trial: Trial) -> Rules:
    """Return the rules for inputs of one common size."""
    graph = trial.graph
    opened = [any(each.type.is_map and each.type.space[axis] is None for each in graph.inputs) for axis in (0, 1)]
    height = _rule(trial, 0) if opened[0] else None
    width = _rule(trial, 1) if opened[1] else None
    if height and width:
        return _rules_of_two_axes(trial, height, width)
    smallest = tuple(rule.smallest if rule else _smallest(trial, axis) for axis, rule in enumerate((height, width)))
    return Rules(height, width, (smallest[0], smallest[1]))


def _listed(numbers: tuple[int, ...]) -> str:
    shown = [*map(str, numbers[:6]), *(["…"] if len(numbers) > 6 else [])]
    return " or ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def _ask(trial: Trial, axis: int, size: int) -> bool:
    return trial.takes(size, None) if axis == 0 else trial.takes(None, size)


def _rule(trial: Trial, axis: int) -> Rule:
    period = trial.period(axis)
    if period <= LONGEST_PERIOD:
        far = _large(trial, axis, period)
        fits = [r for r in range(period) if _ask(trial, axis, far + r) and _ask(trial, axis, 2 * far + r)]
        if fits:
            return _from_classes({r: _first(trial, axis, r, period, far) for r in fits}, period)
    return Rule(remainders=(), others=tuple(n for n in range(1, SCANNED + 1) if _ask(trial, axis, n)))


def _large(trial: Trial, axis: int, period: int) -> int:
    """Return a multiple of the period where every window fits: far above any node's receptive field or cropping."""
    seen = [pair[axis] for pair in trial.reaches.values()]
    most = max([FAR_ENOUGH, *(each.size for each in seen if each is not None)])
    return period * (-(-4 * most // period) + 1)


def _first(trial: Trial, axis: int, remainder: int, period: int, far: int) -> int:
    """Return the smallest accepted size of a residue class; all larger ones in the class are accepted too."""
    sizes = range(remainder or period, far + period, period)
    steps = (2**power - 1 for power in count())
    most = next(k for k in steps if k >= len(sizes) or _ask(trial, axis, sizes[k]))
    found = bisect_left(sizes, True, most // 2, min(most, len(sizes)), key=lambda size: _ask(trial, axis, size))
    return sizes[found]


def _from_classes(first: dict[int, int], period: int) -> Rule:
    divisor = next(d for d in range(1, period + 1) if period % d == 0 and all((r + d) % period in first for r in first))
    remainders = tuple(sorted({r % divisor for r in first}))
    regular = max(first.values()) - period + 1  # from here up, every size of a class is accepted
    start = next(n for n in count(max(1, regular)) if n % divisor in remainders)
    others = tuple(sorted(n for r, least in first.items() for n in range(least, start, period)))
    return Rule(start, divisor, remainders, others)


def _smallest(trial: Trial, axis: int) -> int | None:
    """Return the smallest size that would fit on an axis that the spec fixes; None if several inputs are maps."""
    fixed = next((each.type.space[axis] for each in trial.graph.inputs if each.type.is_map), None)
    if fixed is None or not trial.single:
        return None
    try:
        return next((n for n in range(1, fixed + 1) if _ask(trial, axis, n)), fixed)
    except TooLong:
        return None


def _rules_of_two_axes(trial: Trial, height: Rule, width: Rule) -> Rules:
    """Return the rules of two open axes, checked at pairs of heights and widths."""
    if height.smallest is None or width.smallest is None:
        return Rules(height, width, (height.smallest, width.smallest))
    low, narrow = height.smallest, width.smallest
    either = None
    if not trial.takes(low, narrow):
        tall = _first_that(height, lambda size: trial.takes(size, narrow))
        wide = _first_that(width, lambda size: trial.takes(low, size))
        if wide and tall is None and (wider := _without(width, wide, lambda size: trial.takes(_most(height), size))):
            return _rules_of_two_axes(trial, height, wider)
        if tall and wide is None and (taller := _without(height, tall, lambda size: trial.takes(size, _most(width)))):
            return _rules_of_two_axes(trial, taller, width)
        if tall is None or wide is None:
            return Rules(height, width, (None, None), clash=(low, narrow))
        either = (tall, wide)
    pairs = chain(
        product(_samples(height, either and either[0]), _samples(width, either and either[1])),
        *(product(*each) for least in LARGER for each in _beside(height, width, least)),
    )
    rules = Rules(height, width, _least(low, narrow, either), either)
    clash = next((pair for pair in pairs if rules.takes(*pair) and not trial.takes(*pair)), None)
    return replace(rules, clash=clash)


def _first_that(rule: Rule, fits: Callable[[int], bool]) -> int | None:
    """Return the first size of a rule for which `fits`, which must be monotone; None if none of the first sizes do."""
    sizes = list(islice(rule.sizes(), SCANNED))
    found = bisect_left(sizes, True, key=fits)
    return sizes[found] if found < len(sizes) else None


def _most(rule: Rule) -> int:
    """Return the largest of the first sizes of a rule."""
    return list(islice(rule.sizes(), SCANNED))[-1]


def _without(rule: Rule, least: int, fits: Callable[[int], bool]) -> Rule | None:
    """Return the rule from `least` up, if no smaller size fits with a large one of the other axis; else None."""
    below = [*takewhile(lambda size: size < least, rule.sizes())]
    if fits(below[-1]):
        return None
    others = tuple(size for size in rule.others if size >= least)
    return replace(rule, start=next((n for n in rule.sizes(max(least, rule.start))), rule.start), others=others)


def _samples(rule: Rule, more: int | None) -> list[int]:
    return [*islice(rule.sizes(), SAMPLED), *islice(rule.sizes(more or 1), 1 if more else 0)]


def _beside(height: Rule, width: Rule, least: int) -> Iterator[tuple[list[int], list[int]]]:
    """Yield a height and a width, as lists of one or no size, of which one or both are the first from `least` on."""
    tall, wide = list(islice(height.sizes(least), 1)), list(islice(width.sizes(least), 1))
    yield list(islice(height.sizes(), 1)), wide
    yield tall, list(islice(width.sizes(), 1))
    yield tall, wide


def _least(low: int, narrow: int, either: tuple[int, int] | None) -> tuple[int, int]:
    """Return the smallest height and width that fit together."""
    if either is None:
        return low, narrow
    return min(((low, either[1]), (either[0], narrow)), key=prod)
