"""The line of an edge, as the path of an SVG.

Takes a box that has been stacked, and an edge in it; coordinates are those of the box. An edge bends only in the gaps
between ranks, where no item is. The script of the page (`draw.js`) makes the same lines.
"""

from cnnc.drawing.items import Box, Edge
from cnnc.drawing.stacking import GUTTER, TURN

RADIUS = 6.0


def line(box: Box, edge: Edge) -> str:
    """Return the path of an edge, from the bottom of its source to the top of its target."""
    first, last = edge.source.rank, edge.target.rank
    top = edge.source.y + (edge.source.height if edge.source.port is None else 0.0)
    columns = [next(index for index, ranks in enumerate(box.columns) if rank in ranks) for rank in (first, last)]
    if columns[0] != columns[1]:
        return _around(box, edge, top, columns[1])
    steps = [f"M{number(edge.start)} {number(top)}", _down(top, box.levels[first][1])]
    if edge.lane is not None:
        steps.append(_curve(edge.start, box.levels[first][1], edge.lane, box.levels[first + 1][0]))
        steps.append(_down(box.levels[first + 1][0], box.levels[last - 1][1]))
        steps.append(_curve(edge.lane, box.levels[last - 1][1], edge.end, box.levels[last][0]))
    else:
        steps.append(_curve(edge.start, box.levels[first][1], edge.end, box.levels[last][0]))
    return "".join([*steps, _down(box.levels[last][0], edge.target.y)])


def _down(y0: float, y1: float) -> str:
    return f"V{number(y1)}" if y1 - y0 > 0.05 else ""  # a step of no length would turn the arrow


def _curve(x0: float, y0: float, x1: float, y1: float) -> str:
    if abs(x0 - x1) < 0.5:
        return f"V{number(y1)}"
    middle = number((y0 + y1) / 2)
    return f"C{number(x0)} {middle} {number(x1)} {middle} {number(x1)} {number(y1)}"


def _around(box: Box, edge: Edge, top: float, column: int) -> str:
    """Return the path to the next column: down, along the gutter to the top, and down again."""
    items = [item for item in box.items if item.rank in box.columns[column]]
    gutter = min(item.x - item.left for item in items) - GUTTER / 2
    bottom = box.levels[box.columns[column - 1][-1]][1] + TURN
    above = box.levels[box.columns[column][0]][0] - TURN
    points = [(edge.start, top), (edge.start, bottom), (gutter, bottom), (gutter, above), (edge.end, above)]
    points.append((edge.end, edge.target.y))
    steps = [f"M{number(edge.start)} {number(top)}"]
    for before, (x, y), after in zip(points, points[1:], points[2:], strict=False):
        steps.append(f"L{_short((x, y), before)}Q{number(x)} {number(y)} {_short((x, y), after)}")
    return "".join([*steps, f"V{number(edge.target.y)}"])


def _short(corner: tuple[float, float], towards: tuple[float, float]) -> str:
    """Return the point near a corner on the way to another point."""
    moves = [min(RADIUS, abs(b - a) / 2) * (1 if b > a else -1) for a, b in zip(corner, towards, strict=True)]
    return " ".join(number(a + move) for a, move in zip(corner, moves, strict=True))


def number(value: float) -> str:
    """Return a coordinate with one decimal at most."""
    return f"{round(value, 1) + 0.0:g}"
