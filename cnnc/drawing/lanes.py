"""Gives the edges that pass ranks a lane: a vertical line that crosses no item.

Takes a box whose items have ranks and x, and sets the lane of each of its edges that is longer than a rank. Edges of
one value share a lane.
"""

from bisect import bisect_left
from collections import defaultdict
from heapq import heappop, heappush

from cnnc.drawing.items import Box, Drawn, Edge, Key

CLEAR = 11.0  # between a lane and an item
LANES = 9.0  # between two lanes
LEFT = 1.6  # how much longer a detour on the right may be than one on the left
MANY = 30_000  # passed ranks of all edges: if there are more, all lanes are on the right of all items


def route(box: Box, ranks: list[list[Drawn]]) -> None:
    """Set the lanes; short edges come first, so that they are inside."""
    values: dict[tuple[Drawn, Key], list[Edge]] = defaultdict(list)
    for edge in box.edges:
        if edge.target.rank - edge.source.rank > 1:
            values[edge.source, edge.key].append(edge)
    longest = [max(edges, key=lambda edge: edge.target.rank) for edges in values.values()]
    longest.sort(key=lambda edge: edge.target.rank - edge.source.rank)
    lanes = _beside if sum(edge.target.rank - edge.source.rank for edge in longest) > MANY else _between
    for far, x in lanes(longest, ranks).items():
        for edge in values[far.source, far.key]:
            edge.lane = x


def _between(edges: list[Edge], ranks: list[list[Drawn]]) -> dict[Edge, float]:
    """Return the lanes that are nearest to the ends of the edges."""
    taken = [[(item.x - item.left - CLEAR, item.x + item.right + CLEAR) for item in rank] for rank in ranks]
    found = {}
    for edge in edges:
        passed = range(edge.source.rank + 1, edge.target.rank)
        start = edge.source.x + (edge.source.offset(edge.key, leaves=True) or 0.0)
        end = edge.target.x + (edge.target.offset(edge.key, leaves=False) or 0.0)
        found[edge] = x = _free([each for rank in passed for each in taken[rank]], start, end)
        for rank in passed:
            taken[rank].append((x - LANES, x + LANES))
    return found


def _free(taken: list[tuple[float, float]], start: float, end: float) -> float:
    """Return the x outside of all intervals that is nearest to both ends, rather on the right."""
    joined: list[tuple[float, float]] = []
    for left, right in sorted(taken):
        if joined and left < joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], right)
        else:
            joined.append((left, right))
    borders = [side for each in joined for side in each]
    free = [x for x in (start, end) if bisect_left(borders, x) % 2 == 0]

    def detour(x: float) -> tuple[float, float]:
        length = abs(x - start) + abs(x - end)
        return round(length * (LEFT if x < min(start, end) else 1.0)), abs(x - start)

    return min([*free, *borders], key=detour)


def _beside(edges: list[Edge], ranks: list[list[Drawn]]) -> dict[Edge, float]:
    """Return lanes on the right of all items, each for several edges after each other."""
    first = max(item.x + item.right for rank in ranks for item in rank) + CLEAR
    found: dict[Edge, float] = {}
    used: list[tuple[int, float]] = []  # the rank at which each lane is free again
    for edge in sorted(edges, key=lambda edge: edge.source.rank):
        free = used and used[0][0] <= edge.source.rank
        found[edge] = heappop(used)[1] if free else first + LANES * len(used)
        heappush(used, (edge.target.rank, found[edge]))
    return found
