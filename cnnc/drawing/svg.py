"""Draws a scene that has been laid out as SVG, in light colours, for papers and web pages.

Takes the sketch and the outermost box; returns the text of the file. Each text has the width that the layout measured
(`textLength`), so that no font makes it leave its frame.
"""

from collections.abc import Iterator

from cnnc.drawing.frames import (
    ARROW,
    FAMILIES,
    FONTS,
    box_frame,
    escaped,
    frame,
    items_of,
    longest_bar,
    shapes_of,
    text,
)
from cnnc.drawing.items import Box, Drawn
from cnnc.drawing.labels import COLOURS, clipped, text_width
from cnnc.drawing.paths import line, number
from cnnc.drawing.sizes import SMALL
from cnnc.drawing.sketch import Sketch
from cnnc.pages.page import part

EDGE = 16.0  # around the picture
LINE, LEGEND = 14.0, 18.0  # heights of lines
LEAST = 340.0  # width
NAME = 15.0  # font of the name


def svg(sketch: Sketch, root: Box) -> str:
    """Return the picture."""
    inner = root.left + root.right
    wide = max(inner, LEAST)
    lines, title = _title(sketch, wide)
    rows, legend = _broken([*_legend(root)], wide)
    top = EDGE + 31 + lines * LINE
    width, height = number(wide + 2 * EDGE), number(top + root.height + 14 + LEGEND * rows + EDGE)
    body = "\n".join(_inside(root, longest_bar(root)))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="{FONTS}" role="img" aria-label="{escaped(described(sketch))}">\n'
        f"<style>{part('picture.css', 'cnnc.drawing')}{_colours()}</style>\n{ARROW}\n"
        f'<rect width="{width}" height="{height}" fill="#fff"/>\n'
        f"{_at(EDGE, EDGE)}{title}</g>\n{_at(EDGE + root.left + (wide - inner) / 2, top)}\n{body}\n</g>\n"
        f"{_at(EDGE, top + root.height + 26)}{legend}</g>\n</svg>\n"
    )


def described(sketch: Sketch) -> str:
    """Return the picture in words, for those who do not see it."""
    return f"{sketch.name}: {len(sketch.nodes)} nodes, {sketch.summary}"


def _at(x: float, y: float) -> str:
    return f'<g transform="translate({number(x)},{number(y)})">'


def _colours() -> str:
    colours = enumerate(COLOURS.values())
    return "".join(f".f{index}{{fill:{fill};stroke:{border}}}" for index, (fill, border, _) in colours)


def _title(sketch: Sketch, wide: float) -> tuple[int, str]:
    """Return the number of lines that the description and the totals take in a width, and the whole title."""
    lines = [""]
    for word in " · ".join(filter(None, (sketch.description, sketch.summary))).split():
        longer = f"{lines[-1]} {word}".strip()
        if text_width(longer, SMALL) <= wide:
            lines[-1] = longer
        else:
            lines.append(clipped(word, SMALL, wide))
    name = text(clipped(sketch.name, NAME, wide), 0, 13, NAME, "n")
    return len(lines), name + "".join(text(each, 0, 31 + at * LINE, SMALL, "m") for at, each in enumerate(lines))


def _legend(root: Box) -> Iterator[tuple[float, str]]:
    """Yield the width and the drawing of each entry: the families in the picture, and what a bar means."""
    items = [item for item in items_of(root) if not isinstance(item, Box) and item.port is None]
    found = {node.family for item in items for node in item.rows} | {"block" for item in items if item.block}
    for index, family in enumerate(FAMILIES):
        if family in found and family != "input, output":
            entry = f'<rect y="-5" width="12" height="10" rx="2" class="f{index}"/>{text(family, 17, 4, SMALL, "m")}'
            yield text_width(family, SMALL) + 34, entry
    if root.macs:
        words = f"share of MACs, the longest bar is {longest_bar(root) / root.macs:.1%}"
        bar = '<rect y="-2" width="30" height="4" class="t"/><rect y="-2" width="20" height="4" class="v"/>'
        yield text_width(words, SMALL) + 50, f"{bar}{text(words, 35, 4, SMALL, 'm')}"


def _broken(parts: list[tuple[float, str]], width: float) -> tuple[int, str]:
    """Return the number of rows that the parts take in a width, and their drawing."""
    x, row, drawn = 0.0, 0, []
    for wide, entry in parts:
        if x and x + wide - 16 > width:
            x, row = 0.0, row + 1
        drawn.append(f"{_at(x, row * LEGEND)}{entry}</g>")
        x += wide
    return row + 1, "".join(drawn)


def _inside(box: Box, longest: int) -> Iterator[str]:
    """Yield what is in a box: the edges, the items over them, and the shapes of values over both."""
    for edge in box.edges:
        arrow = "" if edge.target.port else ' marker-end="url(#a)"'
        yield f'<path class="e{" d" * edge.faint}" d="{line(box, edge)}"{arrow}/>'
    for item in box.items:
        if item.port is None:
            yield _at(item.x, item.y) + "".join(_item(item, longest)) + "</g>"
    yield from (shape for _, shape in shapes_of(box))


def _item(item: Drawn, longest: int) -> Iterator[str]:
    if isinstance(item, Box):
        yield from box_frame(item)
        yield from _inside(item, longest)
    else:
        yield from frame(item, longest)
