"""The SVG of single things: texts, items and the frames of boxes, each around its own place.

Takes an item that has been laid out; yields SVG elements whose origin is the middle of the item's top. The classes are
those of `picture.css`; `f0`, `f1` … are the colour families. The SVG file and the HTML page are made of the same parts.
"""

from collections.abc import Iterator
from html import escape

from cnnc.diagnostics.render import visible
from cnnc.drawing.items import Box, Drawn, Edge
from cnnc.drawing.labels import COLOURS, clipped, text_width
from cnnc.drawing.paths import number
from cnnc.drawing.sizes import BAR, CARD, FONT, FURTHER, HEAD, MARGIN, ROW, SMALL, TINY, has_bar, texts_of

FONTS = "Arimo, Arial, Helvetica, 'Liberation Sans', sans-serif"
ARROW = (
    '<marker id="a" viewBox="0 0 6 6" refX="5.5" refY="3" markerWidth="6" markerHeight="6" orient="auto">'
    '<path d="M0 .5L6 3L0 5.5z" class="s"/></marker>'
)
FAMILIES = [*COLOURS]


def escaped(words: str, *, quote: bool = True) -> str:
    """Return words as XML may hold them: it forbids control characters, even escaped."""
    return escape(visible(words), quote=quote)


def text(words: str, x: float, y: float, size: float, style: str, anchor: str = "") -> str:
    """Return a text element, with the width that the layout counts on."""
    at = f' text-anchor="{anchor}"' if anchor else ""
    return (
        f'<text x="{number(x)}" y="{number(y)}" font-size="{number(size)}" class="{style}"{at} '
        f'textLength="{number(text_width(words, size))}" lengthAdjust="spacingAndGlyphs">{escaped(words, quote=False)}'
        "</text>"
    )


def frame(item: Drawn, longest: int, mark: str = "") -> Iterator[str]:
    """Yield an item that is no box: its rows, its bar and its count; `longest` is the number of MACs of a full bar."""
    x, width = -item.width / 2, item.width
    yield f"<title>{escaped(item.path)}</title>"
    yield from _cards(item, x, width, item.height)
    y = 0.0
    rows = [*enumerate(texts_of(item))]
    for index, (words, size) in reversed(rows) if item.up and item.rows else rows:
        height = FURTHER if index else ROW
        if item.rows:
            last = BAR * (has_bar(item) and index == (0 if item.up else len(item.rows) - 1))
            yield _row(x, y, width, height + last, item.rows[index].family)
        elif not index:
            yield _row(x, y, width, item.height, "block")
        yield text(words, 0, y + height / 2 + size * 0.36, size, "m" if index else "n", "middle")
        y += height
    if mark:
        yield _rect(x - 2, -2, width + 4, item.height + 4, f"k {mark}", 4)
    if has_bar(item):
        full = width - 2 * MARGIN
        yield _rect(x + MARGIN, item.height - BAR, full, 2.5, "t")
        yield _rect(x + MARGIN, item.height - BAR, full * min(1.0, item.macs / longest), 2.5, "v")
    if item.count > 1:
        yield text(f"×{item.count}", width / 2 + 2 * CARD + 3, ROW / 2 + 4, FONT, "n")


def _row(x: float, y: float, width: float, height: float, family: str) -> str:
    radius = 11 if family == "input, output" else 2
    return _rect(x, y, width, height, f"f{FAMILIES.index(family)}", radius)


def _rect(x: float, y: float, width: float, height: float, style: str, radius: float = 0) -> str:
    round = f' rx="{number(radius)}"' if radius else ""
    return (
        f'<rect x="{number(x)}" y="{number(y)}" width="{number(width)}" height="{number(height)}"{round} '
        f'class="{style}"/>'
    )


def _cards(item: Drawn, x: float, width: float, height: float) -> Iterator[str]:
    """Yield two cards behind an item that is repeated."""
    for card in (2, 1) if item.count > 1 else ():
        yield _rect(x + card * CARD, card * CARD, width, height, "c b", 4)


def box_frame(box: Box) -> Iterator[str]:
    """Yield the frame of a box and its head; elements of the class `b` are as high as the box."""
    x, width = -box.left, box.left + box.right - (2 * CARD if box.count > 1 else 0)
    yield f"<title>{escaped(box.path)}</title>"
    yield from _cards(box, x, width, box.height)
    yield _rect(x, 0, width, box.height, "w b", 5)
    yield _rect(x, 0, width, HEAD, "h", 5)
    name = clipped(box.name, FONT, width - 2 * MARGIN)
    yield text(name, x + MARGIN, 14.5, FONT, "n")
    if box.kind:
        yield text(box.kind, x + MARGIN + text_width(name, FONT) + 6, 14.5, SMALL, "m")


def shapes_of(box: Box) -> Iterator[tuple[Edge, str]]:
    """Yield the shape of each value that an item makes for others in its box, with an edge of that value."""
    values: dict[tuple[Drawn, object], list[Edge]] = {}
    for edge in box.edges:
        if edge.source.port is None and edge.target.port is None:
            values.setdefault((edge.source, edge.key), []).append(edge)
    for edges in values.values():
        turns = {edge: (edge.end if edge.lane is None else edge.lane) - edge.start for edge in edges}
        edge = min(edges, key=lambda edge: abs(turns[edge]))
        on_left = any(turn > 3 and each.start >= edge.start for each, turn in turns.items())
        y = edge.source.exit + (-5 if edge.source.up else 11)
        yield edge, text(edge.shape, edge.start + (-5 if on_left else 5), y, TINY, "m o", "end" if on_left else "")


def items_of(box: Box) -> Iterator[Drawn]:
    """Yield all items in a box and in the boxes inside it."""
    for item in box.items:
        yield item
        if isinstance(item, Box):
            yield from items_of(item)


def longest_bar(root: Box) -> int:
    """Return the MACs of the item that has most; at least 1."""
    return max((item.macs for item in items_of(root) if not isinstance(item, Box)), default=0) or 1
