"""Which heights and widths of its input a network takes: what its proof refuses, asked size by size.

In: a proved graph. Out: a `Rule` an axis. Along an axis whose size is open, ops compute their output's size by sums,
products and floor division alone (what needs more is refused there), so it repeats: for some period, an input longer
by a period gives a value longer by a constant, everywhere in the network. Two values that must be equal then are so in
all sizes of a residue class, or in none but single ones. So one period of large sizes, asked twice, tells the classes;
within each, what has room for its windows has so in all larger sizes, and the smallest is found by bisection.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count, islice, product
from math import prod

from cnnc.analysis.size_questions import FAR_ENOUGH, TooLong, Trial
from cnnc.analysis.sizes_of_several_inputs import examples
from cnnc.graph.graph import Graph
from cnnc.ops.types import Types

LONGEST_PERIOD = 1024
SCANNED = 1024  # where no class fits, single sizes up to here are tried
SAMPLED = 3  # heights and widths of which every pair is tried


@dataclass(frozen=True, slots=True)
class Rule:
    """The sizes that a network takes along an axis.

    All from `start` on whose remainder by `divisor` is one of `remainders` (none, where there are no remainders), and
    the `others`, which are smaller or, where there are no remainders, all that there are up to 1,024.
    """

    start: int = 1
    divisor: int = 1
    remainders: tuple[int, ...] = (0,)
    others: tuple[int, ...] = ()

    @property
    def smallest(self) -> int | None:
        """The smallest size that works; None where none does."""
        return next(self.sizes(), None)

    def takes(self, size: int) -> bool:
        return size in self.others or (size >= self.start and size % self.divisor in self.remainders)

    def sizes(self, least: int = 1) -> Iterator[int]:
        """The sizes from `least` on, in order; without end where there are remainders."""
        yield from (size for size in self.others if size >= least)
        if self.remainders:
            yield from (n for n in count(max(least, self.start)) if n % self.divisor in self.remainders)

    def __str__(self) -> str:
        if not self.remainders:
            return f"{_listed(self.others)} alone" if self.others else "none"
        told = "any" if self.divisor == 1 else f"multiples of {self.divisor}"
        if self.divisor > 1 and self.remainders != (0,):
            told = f"those that leave {_listed(self.remainders)} when divided by {self.divisor}"
        return f"{told}, from {self.start} on" + (f", and {_listed(self.others)}" if self.others else "")


ANY = Rule()


@dataclass(frozen=True, slots=True)
class Rules:
    """What a network takes along the height and the width; an axis whose size the spec fixes has no rule.

    Each side has its own rule. Where `either` is given, what is refused is a single position: the height is at least
    its first number or the width at least its second. `smallest` is the smallest height and width that fit together; of
    an axis that the spec fixes, what would do in its place, the other axis as it is; None where several inputs are maps
    or where it takes too long to find out. `clash` is a height and a width, each of which fits beside others but not
    beside this one: then the axes are not `independent`, and no rules can say what fits. Of several inputs that do not
    all take the same sizes there are `examples` instead: the types of all inputs, some that fit together. Nothing of
    this is `told` where it would take too long to find out.
    """

    height: Rule | None
    width: Rule | None
    smallest: tuple[int | None, int | None]
    either: tuple[int, int] | None = None
    clash: tuple[int, int] | None = None
    examples: tuple[Types, ...] = ()
    told: bool = True

    @property
    def independent(self) -> bool:
        """Whether every height that fits goes with every width that does, but for what `either` says."""
        return self.clash is None

    @property
    def by_side(self) -> tuple[Rule, Rule]:
        """A rule for the height and one for the width; of a side that the spec fixes nothing is demanded."""
        return self.height or ANY, self.width or ANY

    def takes(self, height: int, width: int) -> bool:
        """Whether a height and a width fit together."""
        if self.either and height < self.either[0] and width < self.either[1]:
            return False
        return all(rule.takes(size) for rule, size in zip(self.by_side, (height, width), strict=True))

    def __str__(self) -> str:
        if self.examples:
            return f"the inputs' sizes go together: {', '.join(map(str, self.examples[0]))}, for instance"
        told = [f"{side}: {rule}" for side, rule in (("height", self.height), ("width", self.width)) if rule]
        if self.height and self.height == self.width:
            told = [f"height and width: {self.height}"]
        if self.either:
            tall, wide = self.either
            told.append(
                f"one of them from {tall} on"
                if tall == wide
                else f"the height from {tall} on or the width from {wide} on"
            )
        return "; ".join(told)


def size_rules(graph: Graph) -> Rules:
    """The heights and widths that the network takes."""
    return graph.derived(_find_rules)


def _find_rules(graph: Graph) -> Rules:
    try:
        return _rules(Trial(graph))
    except TooLong:
        return Rules(None, None, (None, None), told=False)


def _rules(trial: Trial) -> Rules:
    """The rules where all inputs have the same size, or examples where only others fit."""
    rules = _alike(trial)
    several = sum(each.type.is_map for each in trial.graph.inputs) > 1
    if several and (rules.clash or None in [rule.smallest for rule in rules.by_side]):
        return replace(rules, smallest=(None, None), examples=examples(trial))
    return rules


def _alike(trial: Trial) -> Rules:
    """The rules where all inputs have the same size."""
    graph = trial.graph
    if not any(each.type.is_map for each in graph.inputs):
        return Rules(None, None, (None, None))
    opened = [any(each.type.is_map and each.type.space[axis] is None for each in graph.inputs) for axis in (0, 1)]
    height = _rule(trial, 0) if opened[0] else None
    width = _rule(trial, 1) if opened[1] else None
    if height and width:
        return _together(trial, height, width)
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
    """A multiple of the period where every window has room: far above what any node sees, or cuts off an edge."""
    seen = [pair[axis] for pair in trial.reaches.values()]
    most = max([FAR_ENOUGH, *(each.size for each in seen if each is not None)])
    return period * (-(-4 * most // period) + 1)


def _first(trial: Trial, axis: int, remainder: int, period: int, far: int) -> int:
    """The smallest size of a residue class; all larger ones of it work as well."""
    sizes = range(remainder or period, far + period, period)
    steps = (2**power - 1 for power in count())
    most = next(k for k in steps if k >= len(sizes) or _ask(trial, axis, sizes[k]))
    found = bisect_left(sizes, True, most // 2, min(most, len(sizes)), key=lambda size: _ask(trial, axis, size))
    return sizes[found]


def _from_classes(first: dict[int, int], period: int) -> Rule:
    divisor = next(d for d in range(1, period + 1) if period % d == 0 and all((r + d) % period in first for r in first))
    remainders = tuple(sorted({r % divisor for r in first}))
    regular = max(first.values()) - period + 1  # from here on, every size of a class works
    start = next(n for n in count(max(1, regular)) if n % divisor in remainders)
    others = tuple(sorted(n for r, least in first.items() for n in range(least, start, period)))
    return Rule(start, divisor, remainders, others)


def _smallest(trial: Trial, axis: int) -> int | None:
    """Of an axis that the spec fixes: the smallest size that would do in its place; of several inputs, None."""
    fixed = next((each.type.space[axis] for each in trial.graph.inputs if each.type.is_map), None)
    if fixed is None or not trial.single:
        return None
    try:
        return next((n for n in range(1, fixed + 1) if _ask(trial, axis, n)), fixed)
    except TooLong:
        return None


def _together(trial: Trial, height: Rule, width: Rule) -> Rules:
    """The rules of two open axes, held against heights and widths at once."""
    if height.smallest is None or width.smallest is None:
        return Rules(height, width, (height.smallest, width.smallest))
    low, narrow = height.smallest, width.smallest
    either = None
    if not trial.takes(low, narrow):
        tall = _first_that(height, lambda size: trial.takes(size, narrow))
        wide = _first_that(width, lambda size: trial.takes(low, size))
        if tall is None or wide is None:
            return Rules(height, width, (None, None), clash=(low, narrow))
        either = (tall, wide)
    pairs = product(_samples(height, either and either[0]), _samples(width, either and either[1]))
    rules = Rules(height, width, _least(low, narrow, either), either)
    clash = next((pair for pair in pairs if rules.takes(*pair) and not trial.takes(*pair)), None)
    return replace(rules, clash=clash)


def _first_that(rule: Rule, fits: Callable[[int], bool]) -> int | None:
    """The first size of a rule that fits, all larger ones fitting as well; None where none up to some size does."""
    sizes = list(islice(rule.sizes(), SCANNED))
    found = bisect_left(sizes, True, key=fits)
    return sizes[found] if found < len(sizes) else None


def _samples(rule: Rule, more: int | None) -> list[int]:
    return [*islice(rule.sizes(), SAMPLED), *islice(rule.sizes(more or 1), 1 if more else 0)]


def _least(low: int, narrow: int, either: tuple[int, int] | None) -> tuple[int, int]:
    """The smallest height and width that go together."""
    if either is None:
        return low, narrow
    return min(((low, either[1]), (either[0], narrow)), key=prod)
