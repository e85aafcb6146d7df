"""The sizes of what is drawn: fonts, rows and heads, and the size of an item by its texts and channels.

All texts are measured, so that none is wider than its frame. A frame is wider the more channels its value has, by the
logarithm.
"""

from collections.abc import Iterable, Sequence
from math import log2

from cnnc.drawing.items import Box, Drawn
from cnnc.drawing.labels import text_width

FONT, SMALL, TINY = 11.0, 9.5, 8.5  # of the first row, further rows, and shapes
ROW, FURTHER = 23.0, 15.0  # heights of rows
HEAD = 21.0  # of a box, for its title
BAR = 5.0  # for the share of MACs, under the rows
CARD = 3.0  # how far the cards behind a repeated item stick out
BASE, PER_DOUBLING = 40.0, 9.0  # width of a frame for one channel, and for each doubling of the channels
MARGIN = 9.0  # beside a text in its frame


def measure(item: Drawn, shapes: Iterable[str]) -> None:
    """Set the extents and the height of an item that is no box; `shapes` are written beside the edges that leave it."""
    if item.port is not None:
        return
    texts = [text_width(text, size) for text, size in texts_of(item)]
    channels = item.nodes[-1].channels
    width = max(BASE + PER_DOUBLING * log2(channels), *(text + 2 * MARGIN for text in texts))
    item.height = (ROW if item.rows else ROW + FURTHER) + FURTHER * max(0, len(item.rows) - 1) + BAR * has_bar(item)
    item.left = width / 2
    below = max((text_width(shape, TINY) + 8 for shape in shapes), default=0.0)
    item.right = max(width / 2 + repeat_width(item), below)
    item.width = width


def part_ports(box: Box, shapes: Sequence[str]) -> None:
    """Keep the ports at the bottom of a box apart, so that the shapes under them do not overlap."""
    ports = [port for (_, leaves), port in box.ports.items() if leaves]
    if len(ports) > 1:
        for port in ports:
            port.left = port.right = max(text_width(shape, TINY) for shape in shapes) / 2


def texts_of(item: Drawn) -> list[tuple[str, float]]:
    """Return the texts in an item's frame, from top to bottom, each with its font size."""
    if item.rows:
        return [(node.label, SMALL if index else FONT) for index, node in enumerate(item.rows)]
    return [(item.name, FONT), (item.block, SMALL)]


def has_bar(item: Drawn) -> bool:
    """Whether an item shows its share of the MACs."""
    return item.macs > 0


def repeat_width(item: Drawn) -> float:
    """Return the width of what a count adds on the right."""
    return 2 * CARD + text_width(f"×{item.count}", FONT) + 4 if item.count > 1 else 0.0


def head_width(box: Box) -> float:
    """Return the width of a box's title."""
    return text_width(box.name, FONT) + text_width(box.block, SMALL) + 3 * MARGIN + repeat_width(box) + 30
