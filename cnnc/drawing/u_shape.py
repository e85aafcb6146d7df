"""The shape of a U-Net: down on the left, up on the right, and the skip connections straight across.

Takes the outermost box, if it has one item a rank and its long edges are nested, as brackets are; places the ranks from
the middle of the innermost edge on in a second column, which is read upwards. What is inside its items is turned too.
"""

from itertools import pairwise

from cnnc.drawing.items import Box, Drawn, Edge
from cnnc.drawing.sizes import HEAD

FEWEST = 2  # long edges that make a U
GAP = 70.0  # between the columns, for the shapes of the edges
TURN = 18.0  # under both columns, for the edge from one to the other


def bottom(box: Box, ranks: list[list[Drawn]]) -> int | None:
    """Return the last rank of the column on the left; None if the network has no such shape."""
    skips = _skips(box)
    inner_first = skips[::-1]
    nested = all(a.target.rank < b.target.rank for a, b in pairwise(inner_first))
    if box.path or len(skips) < FEWEST or not nested or any(len(rank) > 1 for rank in ranks):
        return None
    last = inner_first[0].target.rank - 1
    sources = {edge.source.rank for edge in skips}
    start = inner_first[0].source.rank
    return (start + last) // 2 if len(sources) == len(skips) and start < last else None


def _skips(box: Box) -> list[Edge]:
    return sorted((edge for edge in box.edges if edge.lane is not None), key=lambda edge: edge.source.rank)


def turn(box: Box, ranks: list[list[Drawn]], cut: int, gap: float) -> float:
    """Place the items in two columns, side by side, and return the height of both; `gap` is that between ranks."""
    items = [rank[0] for rank in ranks]
    places = _levels([item.height for item in items], cut, gap, {e.source.rank: e.target.rank for e in _skips(box)})
    highest = min(y for y, _ in places)
    for item, (y, _) in zip(items, places, strict=True):
        item.y = y - highest
    left, right = items[: cut + 1], items[cut + 1 :]
    for item in right:
        _turn_around(item)
    middle = max(item.x + item.right for item in left) + GAP / 2
    shift = middle + GAP / 2 - min(item.x - item.left for item in right)
    for item in right:
        item.x += shift
    for edge in _skips(box):
        edge.lane = middle
    box.levels = [(i.y + i.height, i.y) if i.up else (i.y, i.y + i.height) for i in items]
    box.columns = [range(cut + 1), range(cut + 1, len(items))]
    return max(item.y + item.height for item in items) + TURN


def _levels(heights: list[float], cut: int, gap: float, skips: dict[int, int]) -> list[tuple[float, float]]:
    """Return the top and the bottom of each rank; where a skip begins and ends, both columns are at the same height."""
    places = [(0.0, 0.0)] * len(heights)
    low = [0.0, 0.0]  # the next bottom in each column
    rank, across = cut, cut + 1
    for source, target in [*sorted(skips.items(), reverse=True), (-1, len(heights))]:
        while rank > source:
            places[rank] = low[0] - heights[rank], low[0]
            low[0] -= heights[rank] + gap
            rank -= 1
        while across < target:
            places[across] = low[1] - heights[across], low[1]
            low[1] -= heights[across] + gap
            across += 1
        low = [min(low)] * 2
    return places


def _turn_around(item: Drawn) -> None:
    """Turn an item, and what is in it, by half a turn; texts stay upright."""
    item.up = True
    if not isinstance(item, Box):
        return
    item.left = item.right = max(item.left, item.right)
    for inner in item.items:
        inner.x = -inner.x
        inner.y = HEAD + item.height - inner.y - inner.height
        _turn_around(inner)
    item.levels = [(HEAD + item.height - top, HEAD + item.height - bottom) for top, bottom in item.levels]
    for edge in item.edges:
        edge.start, edge.end = -edge.start, -edge.end
        edge.lane = None if edge.lane is None else -edge.lane
