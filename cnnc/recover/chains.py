"""Chains of items that are equal to others: rounds that come again and again, and residual blocks without their sum.

Takes a scope with the uses of all values of its network; makes scopes of such chains.
"""

from collections.abc import Iterable
from itertools import pairwise

from cnnc.graph.graph import Graph
from cnnc.recover.groups import REGION, ROUND, Uses, follows, group, is_chain
from cnnc.recover.tree import TreeItem

LONGEST_PERIOD = 8


def periodic(scope: TreeItem, uses: Uses, graph: Graph) -> list[TreeItem]:
    """Return the items of a scope with a scope in place of each round, where equal items come again and again."""
    items, found, at = scope.items, list[TreeItem](), 0
    numbers: dict[object, int] = {}
    tokens = [numbers.setdefault(_token(item), len(numbers)) for item in items]
    chained = _lengths([follows(item, before, uses) for before, item in pairwise(items)])
    equal = {
        period: _lengths([a == b for a, b in zip(tokens, tokens[period:], strict=False)])
        for period in range(2, min(LONGEST_PERIOD, len(items) // 2) + 1)
    }
    while at < len(items):
        counts = {period: min(chained[at] + 1, period + lengths[at]) // period for period, lengths in equal.items()}
        period = max(counts, key=lambda period: (counts[period] * period, -period), default=1)
        rounds = counts.get(period, 0)
        if rounds > 2 and len({*tokens[at : at + period]}) > 1:
            ends = range(at, at + period * rounds, period)
            found += [group(items[start : start + period], uses, graph, ROUND) for start in ends]
            at += period * rounds
        else:
            found.append(items[at])
            at += 1
    return found


def _lengths(true: list[bool]) -> list[int]:
    """Return how many consecutive values from each position on are true."""
    found = [0] * (len(true) + LONGEST_PERIOD + 1)
    for at in range(len(true) - 1, -1, -1):
        found[at] = found[at + 1] + 1 if true[at] else 0
    return found


def _token(item: TreeItem) -> object:
    """What equal items have in common."""
    inner = tuple(_token(each) for each in item.items) if item.is_scope else ()
    return item.op, tuple((key, repr(value)) for key, value in sorted(item.attributes.items())), inner


def gather_without_sum(
    regions: Iterable[TreeItem], around: Iterable[TreeItem], uses: Uses, graph: Graph
) -> list[TreeItem]:
    """Make scopes of chains that equal a residual block but for its sum, and return them.

    Their attributes must be those that all these blocks have in common.
    """
    kinds: dict[object, list[TreeItem]] = {}
    for region in regions:
        ops = tuple(item.op for item in region.items)
        if (
            ops
            and ops[-1] == "add"
            and is_chain(region.items[:-1], uses)
            and region.items[-1].inputs[-1:] == [*region.items[-2].outputs]
        ):
            kinds.setdefault(ops[:-1], []).append(region)
    found = []
    for alike in sorted(kinds.values(), key=lambda each: -len(each[0].items)):
        common = [_common([region.items[at] for region in alike]) for at in range(len(alike[0].items) - 1)]
        for scope in around:
            for skipped in (0, 1):
                found += _windows(scope, common[skipped:], uses, graph) if len(common) - skipped > 2 else []
    return found


def _common(items: list[TreeItem]) -> tuple[str, dict[str, object], set[str]]:
    """Return the op of equal items, the attributes in which they do not differ, and the names of all."""
    first, *rest = items
    same = {
        key: value
        for key, value in first.attributes.items()
        if key != "stride" and all(each.attributes[key] == value for each in rest)
    }
    return first.op, same, {*first.attributes}


def _windows(
    scope: TreeItem, common: list[tuple[str, dict[str, object], set[str]]], uses: Uses, graph: Graph
) -> list[TreeItem]:
    """Make scopes of the items that fit these, and return them."""
    found, items, at = [], list[TreeItem](), 0
    while at < len(scope.items):
        window = scope.items[at : at + len(common)]
        if len(window) == len(common) and is_chain(window, uses) and all(map(_fits, window, common)):
            items.append(group(window, uses, graph, REGION))
            found.append(items[-1])
            at += len(window)
        else:
            items.append(scope.items[at])
            at += 1
    scope.items = items
    return found


def _fits(item: TreeItem, wanted: tuple[str, dict[str, object], set[str]]) -> bool:
    op, same, names = wanted
    return item.op == op and {*item.attributes} == names and all(item.attributes[key] == same[key] for key in same)
