"""The line of an edge, as the path of an SVG.

Takes a box that has been stacked, and an edge in it; coordinates are those of the box. An edge bends only in the gaps
between ranks, where no item is. The script of the page (`picture.js`) makes the same lines.
"""

from cnnc.drawing import u_shape
from cnnc.drawing.items import Box, Edge
from cnnc.drawing.stacking import GUTTER, TURN

RADIUS = 6.0
Point = tuple[float, float]


def line(box: Box, edge: Edge) -> str:
    """Return the path of an edge, from the bottom of its source to the top of its target."""
    first, last = edge.source.rank, edge.target.rank
    columns = [next(index for index, ranks in enumerate(box.columns) if rank in ranks) for rank in (first, last)]
    if columns[0] != columns[1]:
        return _rounded(_up_again(box, edge) if edge.target.up else _around(box, edge, columns[1]))
    leaves, enters = box.levels[first][1], box.levels[last][0]
    steps = [f"M{number(edge.start)} {number(edge.source.exit)}", _straight(edge.source.exit, leaves)]
    if edge.lane is not None:
        top, bottom = box.levels[first + 1][0], box.levels[last - 1][1]
        steps += [_curve(edge.start, leaves, edge.lane, top), _straight(top, bottom)]
        steps.append(_curve(edge.lane, bottom, edge.end, enters))
    else:
        steps.append(_curve(edge.start, leaves, edge.end, enters))
    return "".join([*steps, _straight(enters, edge.target.entry)])


def _straight(y0: float, y1: float) -> str:
    return f"V{number(y1)}" if abs(y1 - y0) > 0.05 else ""  # a step of no length would turn the arrow


def _curve(x0: float, y0: float, x1: float, y1: float) -> str:
    if abs(x0 - x1) < 0.5:
        return f"V{number(y1)}"
    middle = number((y0 + y1) / 2)
    return f"C{number(x0)} {middle} {number(x1)} {middle} {number(x1)} {number(y1)}"


def _around(box: Box, edge: Edge, column: int) -> list[Point]:
    """Return the corners of the way to the next column: down, along the gutter to the top, and down again."""
    items = [item for item in box.items if item.rank in box.columns[column]]
    gutter = min(item.x - item.left for item in items) - GUTTER / 2
    bottom = box.levels[box.columns[column - 1][-1]][1] + TURN
    above = box.levels[box.columns[column][0]][0] - TURN
    turns = [(edge.start, bottom), (gutter, bottom), (gutter, above), (edge.end, above)]
    return [(edge.start, edge.source.exit), *turns, (edge.end, edge.target.entry)]


def _up_again(box: Box, edge: Edge) -> list[Point]:
    """Return the corners of the way from the left to the right of a U, under the lower one of its ends."""
    low = max(edge.source.exit, edge.target.entry) + u_shape.TURN
    return [(edge.start, edge.source.exit), (edge.start, low), (edge.end, low), (edge.end, edge.target.entry)]


def _rounded(points: list[Point]) -> str:
    steps = [f"M{number(points[0][0])} {number(points[0][1])}"]
    for before, (x, y), after in zip(points, points[1:], points[2:], strict=False):
        steps.append(f"L{_short((x, y), before)}Q{number(x)} {number(y)} {_short((x, y), after)}")
    return "".join([*steps, f"V{number(points[-1][1])}"])


def _short(corner: Point, towards: Point) -> str:
    """Return the point near a corner on the way to another point."""
    moves = [min(RADIUS, abs(b - a) / 2) * (1 if b > a else -1) for a, b in zip(corner, towards, strict=True)]
    return " ".join(number(a + move) for a, move in zip(corner, moves, strict=True))


def number(value: float) -> str:
    """Return a coordinate with one decimal at most."""
    return f"{round(value, 1) + 0.0:g}"
