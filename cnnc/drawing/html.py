"""The HTML pages of `cnnc draw` and `cnnc diff --html`: one file each, which works offline.

Takes sketches; returns the page. `picture.js` folds, unfolds and zooms; `draw.js` searches, fills the tables, and shows
the facts of a node with its line of the spec; `draw.css` is the style. See `pane.py` for the picture itself.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from cnnc.drawing.labels import COLOURS
from cnnc.drawing.pane import Pane
from cnnc.drawing.sketch import Sketch
from cnnc.pages.page import page, part

SORTS: Final = (("macs", "MACs"), ("params", "params"), ("memory", "bytes"))
KINDS: Final = ("added", "removed", "changed", "affected", "renamed")
TOOLS: Final = """
<span role="search"><label for="search" class="hidden">Search nodes</label>
<input id="search" type="search" placeholder="Search: name or op" autocomplete="off">
<span id="found" class="muted" aria-live="polite"></span></span>
<span role="group" aria-label="fold"><button id="fold">Fold all</button> <button id="unfold">Unfold all</button></span>
<span role="group" aria-label="zoom"><button id="out" aria-label="Zoom out">−</button>
<button id="in" aria-label="Zoom in">+</button> <button id="fit">Fit</button></span>
<button id="theme">Dark colours</button>
"""
FACTS: Final = """
<section id="facts"><h2>Node</h2><p class="muted">Click a node, or press Enter on it. The arrow keys
move from node to node; right and left also unfold and fold a block. / goes to the search.</p></section>
"""


def html(sketch: Sketch, depth: int | None = None) -> str:
    """Return the page of a network; boxes deeper than `depth` are folded at first."""
    about = f'<p class="muted">{escape(sketch.description)}</p>' * bool(sketch.description)
    heads = "".join(
        f'<th class="number" aria-sort="none"><button data-sort="{key}">{name}</button></th>' for key, name in SORTS
    )
    head = f'<th aria-sort="ascending"><button data-sort="order">node</button></th><th>output</th>{heads}'
    memory = '<section id="memory"><h2>Memory over time</h2></section>'
    reach = f" · receptive field up to {sketch.reach.replace(' ', chr(0xA0))}" if sketch.reach else ""
    totals = f"{len(sketch.nodes)} nodes · {sketch.summary}{reach}"
    side = f"{FACTS}{memory}{_table('Nodes', 'nodes', head)}"
    return _page(sketch.name, totals, about, [Pane(sketch, depth)], side)


def diff_html(
    old: Sketch, new: Sketch, names: tuple[str, str], changes: Sequence[Mapping[str, str | None]], totals: str
) -> str:
    """Return the page of two networks side by side; the marks of the sketches colour what differs.

    `changes` has, for each changed node, its `kind`, its `old` and `new` path, and `what` differs in words. `totals`
    has a line for each total.
    """
    legend = "".join(f'<li><span class="mark k-{kind}"></span>{kind}</li>' for kind in KINDS)
    lines = "".join(f"<li>{escape(each)}</li>" for each in totals.splitlines())
    summary = f'<section><h2>Totals</h2><ul class="plain">{lines}</ul></section>'
    side = f"{FACTS}{summary}{_table('Changes', 'changes', '<th>change</th><th>node</th><th>what</th>')}"
    both = [Pane(old, number=0, name=names[0]), Pane(new, number=1, name=names[1])]
    return _page(f"{names[0]} → {names[1]}", "", f'<ul class="legend">{legend}</ul>', both, side, changes)


def _page(
    title: str,
    totals: str,
    about: str,
    shown: Sequence[Pane],
    side: str,
    changes: Sequence[Mapping[str, str | None]] = (),
) -> str:
    """Return the page: the pictures and their legend on the left, `side` on the right."""
    pictures = "".join(
        f'<section class="pane"><h2>{escape(pane.title)}</h2><div class="scroll" tabindex="0" role="region" '
        f'aria-label="picture of {escape(pane.title)}">{pane.picture}</div></section>'
        for pane in shown
    )
    body = (
        f'<a class="skip" href="#side">Skip the picture</a><header class="bar"><h1>{escape(title)}</h1>'
        f'<span class="muted">{escape(totals)}</span>{TOOLS}</header>'
        f'<main><div id="pictures">{about}<div class="panes">{pictures}</div>{_legend(shown)}</div>'
        f'<aside id="side" tabindex="-1" aria-label="facts and tables">{side}</aside></main>'
        '<p class="hidden" id="said" aria-live="polite"></p>'
    )
    style = part("picture.css", "cnnc.drawing") + part("draw.css", "cnnc.drawing") + _colours()
    script = part("picture.js", "cnnc.drawing") + part("draw.js", "cnnc.drawing")
    data = {"panes": [pane.data for pane in shown], "changes": changes}
    return page(title, body, style=style, script=script, data=data)


def _legend(shown: Sequence[Pane]) -> str:
    found = {node.family for pane in shown for node in pane.sketch.nodes}
    entries = "".join(
        f'<li><svg width="14" height="12" aria-hidden="true"><rect x="1" y="1" width="12" height="10" rx="2" '
        f'class="f{index}"/></svg> {escape(family)}</li>'
        for index, family in enumerate(COLOURS)
        if family in found
    )
    bar = "<li>The bar in a box is its share of the MACs; the longest bar has the most.</li>"
    return f'<ul class="legend muted" aria-label="colours">{entries}{bar}</ul>'


def _colours() -> str:
    return "".join(
        f".f{index}{{fill:light-dark({fill},{dark});stroke:{border}}}\n"
        for index, (fill, border, dark) in enumerate(COLOURS.values())
    )


def _table(title: str, name: str, head: str) -> str:
    return (
        f'<section class="rows"><h2>{title}</h2><div class="scroll table" tabindex="0" role="region" '
        f'aria-label="table: {title}"><table id="{name}"><thead><tr>{head}</tr></thead><tbody></tbody></table></div>'
        "</section>"
    )
