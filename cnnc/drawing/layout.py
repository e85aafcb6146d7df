"""Places the items of a scene: ranks by longest path, barycentre order, the longest path straight, lanes for the rest.

Takes the outermost box, whose items have no places, and fills them in, box by box from the inside. An item's rank is
its longest path from the top of its box. Those that all longest paths share, the trunk, lie on one line; the others are
pulled to the middle of their neighbours. An edge that passes ranks gets a lane, a line that crosses no item.
"""

from collections import defaultdict
from collections.abc import Iterable

from cnnc.drawing.items import Box, Drawn, Edge, Key
from cnnc.drawing.lanes import route
from cnnc.drawing.sizes import measure, part_ports
from cnnc.drawing.stacking import by_rank, stack

GAP = 26.0  # between items of a rank
SHORT = 6  # an edge that passes more ranks than this does not move the items that it passes
SWEEPS = 6

_Links = dict[Drawn, list[tuple[Drawn, float]]]


def lay_out(box: Box, *, wrap: bool) -> None:
    """Place everything in a box, and set its size; `wrap` breaks long boxes into columns."""
    shapes: dict[Drawn, list[str]] = defaultdict(list)
    for edge in box.edges:
        shapes[edge.source].append(edge.shape)
    for item in box.items:
        if isinstance(item, Box):
            part_ports(item, shapes[item])
            lay_out(item, wrap=wrap)
        else:
            measure(item, shapes[item])
    _order(box, _rank(box))
    route(box, by_rank(box))
    stack(box, wrap=wrap)


def _rank(box: Box) -> list[list[Drawn]]:
    """Set the rank of each item, and return the items by rank."""
    into, out = _ends(box)
    for item in box.items:
        item.rank = max((edge.source.rank + 1 for edge in into[item]), default=0)
    last = max(item.rank for item in box.items)
    for item in reversed(box.items):  # a source stands near its first use, what leaves the box at its end
        if not into[item] and item.port is None and out[item]:
            item.rank = min(edge.target.rank for edge in out[item]) - 1
        if item.port is not None and into[item]:
            item.rank = last
    return by_rank(box)


def _ends(box: Box) -> tuple[dict[Drawn, list[Edge]], dict[Drawn, list[Edge]]]:
    into, out = defaultdict(list), defaultdict(list)
    for edge in box.edges:
        into[edge.target].append(edge)
        out[edge.source].append(edge)
    return into, out


def _trunk(box: Box) -> list[Drawn]:
    """Return the items that every longest path through the box has, the number of nodes being the length."""
    into, out = _ends(box)
    above: dict[Drawn, int] = {}
    below: dict[Drawn, int] = {}
    for item in box.items:
        above[item] = max((above[edge.source] for edge in into[item]), default=0) + len(item.nodes)
    for item in reversed(box.items):
        below[item] = max((below[edge.target] for edge in out[item]), default=0) + len(item.nodes)
    longest = max(above[item] + below[item] - len(item.nodes) for item in box.items)
    at = defaultdict(list)
    for item in box.items:
        if above[item] + below[item] - len(item.nodes) == longest:
            at[item.rank].append(item)
    return [items[0] for _, items in sorted(at.items()) if len(items) == 1]


def _order(box: Box, ranks: list[list[Drawn]]) -> None:
    """Set x of each item: the trunk in line, the others near the mean of what they are connected with."""
    above, below, number = _links(box, ranks)
    pinned: set[Drawn] = set()
    for item in _trunk(box):
        lines = [other.x + shift for other, shift in above[item] if other in pinned]
        item.x = lines[0] if lines else max((other.x for other in pinned), default=0.0)
        pinned.add(item)
    for sweep in range(SWEEPS if len(pinned) < len(box.items) else 0):
        near, else_near = (above, below) if sweep % 2 == 0 else (below, above)
        for rank in ranks if sweep % 2 == 0 else reversed(ranks):
            wanted = {}
            for item in rank:
                places = [] if item in pinned else [o.x + shift for o, shift in near[item] or else_near[item]]
                wanted[item] = sum(places) / len(places) if places else item.x
            rank.sort(key=lambda item: (round(wanted[item], 3), number[item]))  # an edge goes on the right of the trunk
            _space(rank, wanted, pinned)


def _links(box: Box, ranks: list[list[Drawn]]) -> tuple[_Links, _Links, dict[Drawn, int]]:
    """Return what each item is connected with above and below, with the distance for a straight edge, and its number.

    An edge that passes a few ranks gets an empty item in each of them, which keeps room for its lane.
    """
    above, below = defaultdict(list), defaultdict(list)
    last = len(box.items)
    trunk = {*_trunk(box)}
    number = {
        item: index + last * (item.port is not None and item not in trunk) for index, item in enumerate(box.items)
    }
    empty: dict[tuple[Drawn, Key, int], Drawn] = {}
    for edge in box.edges:
        before, shift = edge.source, _leaves(edge)
        passed = range(edge.source.rank + 1, edge.target.rank)
        for rank in passed if len(passed) <= SHORT else ():
            item = empty.setdefault((edge.source, edge.key, rank), Drawn("", port=edge.key))
            if item not in number:
                number[item] = number[edge.source] + last * (edge.source in trunk)
                ranks[rank].append(item)
            above[item].append((before, shift))
            below[before].append((item, -shift))
            before, shift = item, 0.0
        shift -= _enters(edge)
        above[edge.target].append((before, shift))
        below[before].append((edge.target, -shift))
    return above, below, number


def _leaves(edge: Edge) -> float:
    return edge.source.offset(edge.key, leaves=True) or 0.0


def _enters(edge: Edge) -> float:
    return edge.target.offset(edge.key, leaves=False) or 0.0


def _space(rank: list[Drawn], wanted: dict[Drawn, float], pinned: Iterable[Drawn]) -> None:
    """Set x as near to the wanted ones as the widths allow: pool neighbours that would collide (least squares)."""
    offset, before = 0.0, None
    pools: list[list[float]] = []  # weight, place, number of items
    offsets = []
    for item in rank:
        offset += before.right + GAP + item.left if before else 0.0
        offsets.append(offset)
        pools.append([1e9 if item in pinned else 1.0, wanted[item] - offset, 1])
        while len(pools) > 1 and pools[-2][1] > pools[-1][1]:
            (w1, x1, n1), (w2, x2, n2) = pools.pop(-2), pools.pop()
            pools.append([w1 + w2, (w1 * x1 + w2 * x2) / (w1 + w2), n1 + n2])
        before = item
    places = [place for _, place, count in pools for _ in range(int(count))]
    for item, place, shift in zip(rank, places, offsets, strict=True):
        item.x = place + shift
