"""The vertical side of a picture: ranks under each other, and the ends of edges.

Takes a box whose items have ranks and x; sets y, the height of the box, and where edges start and end. A long box may
be broken into columns beside each other, where only one edge passes from a rank to the next. The script of the page
(`picture.js`) stacks in the same way when a box is folded.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from itertools import accumulate, pairwise
from math import sqrt

from cnnc.drawing import u_shape
from cnnc.drawing.items import Box, Drawn, Edge
from cnnc.drawing.sizes import HEAD, head_width

RANKS = 28.0  # between two ranks: the length of a short edge
PORTS = 14.0  # beside a port
PADDING = 12.0
GUTTER = 44.0  # between columns
TURN = 16.0  # above and below columns, for the edge to the next one
LONG, SHAPE = 900.0, 1.3  # a box that is higher is broken, into columns that make it about this much higher than wide
WORST = 1.35  # how much higher than the mean a column may be
INSET = 9.0  # from the corner of a frame to an edge


def stack(box: Box, *, wrap: bool) -> None:
    """Set y of the items in a box, its extents and its height, and the ends of its edges."""
    ranks = by_rank(box)
    heights = [max(item.height for item in rank) for rank in ranks]
    gaps = [PORTS if _only_ports(one) or _only_ports(two) else RANKS for one, two in pairwise(ranks)]
    is_long = wrap and sum(heights) + sum(gaps) > LONG
    cut = u_shape.bottom(box, ranks) if is_long else None
    if cut is not None:
        end = u_shape.turn(box, ranks, cut, RANKS)
    else:
        box.columns = _columns(box, heights, gaps) if is_long else [range(len(ranks))]
        end = _place(box, ranks, heights, gaps)
    box.height = end + (0.0 if _only_ports(ranks[-1]) else PADDING)
    for item in ranks[-1]:
        item.y = box.height if item.port is not None else item.y
    low, high = _extents(box, range(len(ranks)))
    short = max(0.0, head_width(box) - (high - low) - 2 * PADDING) if box.path else 0.0
    box.left, box.right = PADDING - low + short / 2, high + PADDING + short / 2
    _ends(box)


def _place(box: Box, ranks: list[list[Drawn]], heights: list[float], gaps: list[float]) -> float:
    """Set y of the items, move each column to the right of the one before, and return the bottom of the lowest."""
    turn = TURN if len(box.columns) > 1 else 0.0
    top = HEAD if box.path else 0.0
    right = end = 0.0
    for number, column in enumerate(box.columns):
        low, high = _extents(box, column)
        shift = right + GUTTER - low if number else 0.0
        right = high + shift
        y = top + turn if number else top
        for rank in column:
            for item in ranks[rank]:
                item.x += shift
                item.y = y + (heights[rank] - item.height) / 2
            box.levels.append((y, y + heights[rank]))
            y += heights[rank] + (gaps[rank] if rank + 1 in column else 0.0)
        for edge in box.edges:
            if edge.lane is not None and edge.source.rank in column:
                edge.lane += shift
        end = max(end, y)
    return end + turn


def by_rank(box: Box) -> list[list[Drawn]]:
    """Return the items of a box by rank."""
    ranks: list[list[Drawn]] = [[] for _ in range(1 + max(item.rank for item in box.items))]
    for item in box.items:
        ranks[item.rank].append(item)
    return ranks


def _only_ports(rank: list[Drawn]) -> bool:
    return all(item.port is not None for item in rank)


def _extents(box: Box, column: range) -> tuple[float, float]:
    """Return the extents of the items and lanes of a column."""
    items = [item for item in box.items if item.rank in column]
    lanes = [edge.lane for edge in box.edges if edge.lane is not None and edge.source.rank in column]
    return (
        min([*(item.x - item.left for item in items), *(lane - PADDING for lane in lanes)]),
        max([*(item.x + item.right for item in items), *(lane + PADDING for lane in lanes)]),
    )


def _columns(box: Box, heights: list[float], gaps: list[float]) -> list[range]:
    """Return the ranks of each column; a column ends after a rank that one edge leaves."""
    begins = Counter(edge.source.rank for edge in box.edges)
    begins.subtract(edge.target.rank for edge in box.edges)
    passing = [*accumulate(begins[rank] for rank in range(len(heights)))]
    low, high = _extents(box, range(len(heights)))
    whole = sum(heights) + sum(gaps)
    count = max(1, round(sqrt(whole / SHAPE / (high - low + GUTTER))))
    found: list[range] = []
    start, length = 0, 0.0
    for rank, height in enumerate(heights[:-1]):
        length += height + gaps[rank]
        following = heights[rank + 1]
        ends = passing[rank] == 1 and len(found) < count - 1 and gaps[rank] == RANKS
        if ends and length + following / 2 > whole / count and length < WORST * whole / count:
            found.append(range(start, rank + 1))
            start, length = rank + 1, 0.0
    return [*found, range(start, len(heights))]


def _ends(box: Box) -> None:
    """Set where edges start and end: at the port of a box, else spread over the frame of an item."""
    out, into = defaultdict(list), defaultdict(list)
    for edge in box.edges:
        out[edge.source].append(edge)
        into[edge.target].append(edge)
    for item, edges in out.items():
        _spread(item, edges, leaves=True)
    for item, edges in into.items():
        _spread(item, edges, leaves=False)


def _spread(item: Drawn, edges: list[Edge], *, leaves: bool) -> None:
    free = []
    for edge in edges:
        own = item.offset(edge.key, leaves=leaves)
        if own is None:
            free.append(edge)
        else:
            _set(edge, item.x + own, leaves=leaves)
    sides: dict[int, list[Edge]] = {-1: [], 0: [], 1: []}
    for edge in free:
        gap = _towards(edge, leaves=leaves) - item.x
        sides[0 if abs(gap) < 1 or item.port is not None else 1 if gap > 0 else -1].append(edge)
    if len(free) == 1 and free[0].lane is None:
        sides = {-1: [], 0: free, 1: []}
    for side, several in sides.items():
        order: Callable[[Edge], float] = lambda edge: abs(_towards(edge, leaves=leaves) - item.x)  # noqa: E731
        for index, edge in enumerate(sorted(several, key=order)):
            share = (index + 1) / (len(several) + 1) if len(several) > 1 else 1.0
            _set(edge, item.x + side * max(0.0, item.width / 2 - INSET) * share, leaves=leaves)


def _towards(edge: Edge, *, leaves: bool) -> float:
    """Return the x that an edge comes from or goes to."""
    if edge.lane is not None:
        return edge.lane
    other = edge.target if leaves else edge.source
    return other.x + (other.offset(edge.key, leaves=not leaves) or 0.0)


def _set(edge: Edge, x: float, *, leaves: bool) -> None:
    if leaves:
        edge.start = x
    else:
        edge.end = x
