"""Which heights and widths of its input a network takes: what its proof refuses, asked size by size.

In: a proved graph. Out: a `Rule` an axis. Along an axis whose size is open, ops compute their output's size by sums,
products and floor division alone (what needs more is refused there), so it repeats: for some period, an input longer
by a period gives a value longer by a constant, everywhere in the network. Two values that must be equal then are so in
all sizes of a residue class, or in none but single ones. So one period of large sizes, asked twice, tells the classes;
within each, what has room for its windows has so in all larger sizes, and the smallest is found by bisection.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count, islice

from cnnc.diagnostics import Diagnostic
from cnnc.graph.graph import Graph
from cnnc.graph.trial import Trial
from cnnc.ops.window import SIDES

LONGEST_PERIOD = 1024
FAR_ENOUGH = 2**20  # whatever a field cannot tell, as what transposed convolutions cut off
SCANNED = 1024  # where no class fits, single sizes up to here are tried


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

    `smallest` is the smallest height and width that work; of an axis that the spec fixes, what would do in its place,
    the other axis as it is (None where several inputs are maps). Where the axes are not `independent`, a height that
    fits by itself may not fit every width that does.
    """

    height: Rule | None
    width: Rule | None
    smallest: tuple[int | None, int | None]
    independent: bool = True


def size_rules(graph: Graph) -> Rules:
    """The heights and widths that the network takes, all of its inputs the same wherever they are open."""
    if not any(each.type.is_map for each in graph.inputs):
        return Rules(None, None, (None, None))
    trial = Trial(graph)
    opened = [any(each.type.is_map and each.type.space[axis] is None for each in graph.inputs) for axis in (0, 1)]
    height = _rule(trial, 0) if opened[0] else None
    same = all(opened) and trial.alike
    width = height if same else _rule(trial, 1) if opened[1] else None
    smallest = tuple(rule.smallest if rule else _smallest(trial, axis) for axis, rule in enumerate((height, width)))
    rules = Rules(height, width, (smallest[0], smallest[1]))
    return _joined(trial, rules) if all(opened) else rules


def check_sizes(graph: Graph, report: Callable[[Diagnostic], None]) -> None:
    """Report an input whose height or width is open, and of which no size fits; several inputs may well differ."""
    if len(graph.inputs) > 1:
        return
    trial, rules = Trial(graph), size_rules(graph)
    sides = ((rules.height, (SCANNED, None)), (rules.width, (None, SCANNED)))
    refused = next((space for rule, space in sides if rule and rule.smallest is None), None)
    if refused is None:
        return
    node, refusal = trial.refusal(*refused)
    names = [each.node for each in node.inputs]
    told = re.sub(r"\binput (\d+)\b", lambda found: f"`{names[int(found[1])]}`", refusal.message)
    message = f"no {SIDES[refused[0] is None]} up to {SCANNED:,} works: at {SCANNED:,}, {told}"
    report(Diagnostic(refusal.code, message, node.span, help=refusal.help))


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
    return next((n for n in range(1, fixed + 1) if _ask(trial, axis, n)), fixed)


def _joined(trial: Trial, rules: Rules) -> Rules:
    """The rules, held against both axes at once: what one position alone is refused for, and whether they are free."""
    if rules.height is None or rules.width is None:
        return rules
    tall, wide = list(islice(rules.height.sizes(), 4)), list(islice(rules.width.sizes(), 4))
    pairs = list(zip(tall, wide, strict=False))
    smallest = next((pair for pair in pairs if trial.takes(*pair)), None)
    if smallest is None:
        return replace(rules, independent=not pairs)
    skipped = pairs.index(smallest)
    others = [pair for pair in zip(tall[skipped:], reversed(wide[skipped:]), strict=False) if pair[0] != pair[1]]
    return replace(
        rules,
        height=_raised(rules.height, smallest[0]),
        width=_raised(rules.width, smallest[1]),
        smallest=smallest,
        independent=all(trial.takes(*pair) for pair in others),
    )


def _raised(rule: Rule, least: int) -> Rule:
    """The rule without sizes below `least`, one that it takes."""
    start = next(rule.sizes(max(least, rule.start)), rule.start) if rule.remainders else rule.start
    return replace(rule, start=start, others=tuple(n for n in rule.others if n >= least))
