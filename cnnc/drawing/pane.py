"""A network in an HTML page: its picture as nested SVG without places, and the data to place it (`picture.js`).

Takes a sketch; returns the picture and its data. The script stacks ranks anew when a box is folded or unfolded; x is
that of the layout. The picture is a tree for screen readers: boxes are items of it that can be folded.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from cnnc.drawing.frames import ARROW, FONTS, box_frame, escaped, frame, longest_bar, shapes_of
from cnnc.drawing.items import Box, Drawn, Edge, counted
from cnnc.drawing.layout import lay_out
from cnnc.drawing.scene import scene
from cnnc.drawing.sizes import HEAD, measure
from cnnc.drawing.sketch import Sketch, SketchNode, short
from cnnc.drawing.stacking import PADDING, PORTS, RANKS

MANY = 250  # items that a page shows unfolded, unless a depth is given


@dataclass
class Pane:
    """A network in a page; `number` tells several apart."""

    sketch: Sketch
    depth: int | None = None
    number: int = 0
    name: str = ""
    items: list[dict[str, Any]] = field(default_factory=list)
    _edges: int = 0
    _home: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._root = scene(self.sketch)
        lay_out(self._root, wrap=False)
        self._longest = longest_bar(self._root)
        body, self._tree = self._box(self._root, 1)
        arrow = "" if self.number else ARROW  # once in a page
        self.picture = (
            f'<svg id="p{self.number}" class="net" font-family="{FONTS}" role="tree" tabindex="-1" '
            f'aria-label="{escaped(self.sketch.name)}, {len(self.sketch.nodes)} nodes">{arrow}{body}</svg>'
        )
        if self.depth is None and len(self.items) > MANY:
            self.depth = 1

    @property
    def title(self) -> str:
        """The name of the file, if the page has several networks, or of the network."""
        return self.name or self.sketch.name

    @property
    def data(self) -> dict[str, Any]:
        """What the script needs: the places, the nodes with their facts, and the texts of the spec."""
        nodes = self.sketch.nodes
        return {
            "name": self.sketch.name,
            "tree": self._tree,
            "items": self.items,
            "nodes": [self._node(node) for node in nodes],
            "files": self.sketch.texts,
            "depth": self.depth,
            "sizes": {"ranks": RANKS, "ports": PORTS, "padding": PADDING},
            "macs": self._root.macs,
            "params": self._root.params,
        }

    def _node(self, node: SketchNode) -> dict[str, Any]:
        return {
            "path": node.path,
            "op": node.op,
            "label": node.label,
            "shape": ", ".join(node.shapes),
            "params": node.params,
            "macs": node.macs,
            "memory": node.memory,
            "alive": self.sketch.alive.get(node.path),
            "facts": node.facts,
            "at": node.at,
            "mark": self.sketch.marks.get(node.path, ""),
            "item": self._home[node.path],
        }

    def _box(self, box: Box, level: int) -> tuple[str, dict[str, Any]]:
        """Return the picture of what is in a box, and the places in it."""
        shapes = dict(shapes_of(box))
        numbers = {item: index for index, item in enumerate(box.items)}
        lines, labels, edges = [], [], []
        for edge in box.edges:
            lines.append(self._line(edge))
            if edge in shapes:
                labels.append(shapes[edge].replace("<text ", f'<text id="p{self.number}s{self._edges}" ', 1))
            ends = numbers[edge.source], numbers[edge.target]
            edges.append([*ends, _r(edge.start), edge.lane and _r(edge.lane), _r(edge.end), self._edges])
            self._edges += 1
        drawn, places = [], []
        leaving: dict[Drawn, list[str]] = {}
        for edge in box.edges:
            leaving.setdefault(edge.source, []).append(edge.shape)
        for item in box.items:
            picture, place = self._item(item, level, leaving.get(item, []))
            drawn.append(picture)
            places.append(place)
        body = f'<g aria-hidden="true">{"".join(lines)}</g>{"".join(drawn)}<g aria-hidden="true">{"".join(labels)}</g>'
        sides = {"left": _r(box.left), "right": _r(box.right), "top": HEAD if box.path else 0}
        return body, {**sides, "items": places, "edges": edges}

    def _line(self, edge: Edge) -> str:
        arrow = "" if edge.target.port else ' marker-end="url(#a)"'
        return f'<path id="p{self.number}e{self._edges}" class="e{" d" * edge.faint}"{arrow}/>'

    def _item(self, item: Drawn, level: int, leaving: list[str]) -> tuple[str, dict[str, Any]]:
        """Return the picture of an item, and its place: its rank, x and height, and the box that it opens to.

        `leaving` are the shapes of what others take from it.
        """
        place: dict[str, Any] = {"rank": item.rank, "x": _r(item.x), "height": item.height, "width": _r(item.width)}
        if item.port is not None:
            return "", {**place, "port": True}
        place["item"] = index = len(self.items)
        self.items.append({})
        shown = item
        inside, words = "", _words(item)
        if isinstance(item, Box):
            body, place["box"] = self._box(item, level + 1)
            face = f'<g class="face" aria-hidden="true">{"".join(box_frame(item))}</g>'
            inside = f'<g class="open">{face}<g role="group">{body}</g></g>'
            shown = self._folded(item)
            words = f"{item.name} {shown.block}{_times(item)}, {len(item.nodes)} nodes{_output(leaving)}"
            place |= {"height": shown.height, "width": _r(shown.width)}
        else:
            self._home |= {node.path: index for node in item.stands}
        self.items[index] = _about(item)
        marks = sorted({self.sketch.marks.get(node.path, "") for node in item.nodes} - {""})
        mark = f"k-{marks[0] if len(marks) == 1 else 'changed'}" if marks else ""
        words += f", {' and '.join(marks)}" if marks else ""
        own = " ".join(frame(shown, self._longest, mark))  # spaces between the words, for assistive technology
        return (
            f'<g id="p{self.number}i{index}" role="treeitem" tabindex="-1" aria-level="{level}" '
            f'aria-label="{escaped(words)}">{inside}<g class="folded" aria-hidden="true">{own}</g></g>',
            place,
        )

    def _folded(self, box: Box) -> Drawn:
        """Return the item that stands for a box when it is folded; its share of the MACs is written out."""
        share = f"{box.macs / self._root.macs:.0%} of MACs" if box.macs else ""
        words = " · ".join(filter(None, (counted(box.block, box.rounds), share)))
        folded = Drawn(box.path, box.nodes, words, None, box.count, box.through)
        measure(folded, ())
        return folded


def _about(item: Drawn) -> dict[str, Any]:
    """Return what the page shows of an item itself."""
    is_box = isinstance(item, Box)
    about: dict[str, Any] = {"path": item.path, "box": is_box, "params": item.params, "macs": item.macs}
    return about | ({"block": item.block, "count": item.count, "depth": item.path.count(".") + 1} if is_box else {})


def _words(item: Drawn) -> str:
    """Return an item in words, for screen readers and voice control: it begins with the words that are visible."""
    cost = f", {short(item.macs)} MACs" if item.macs else ""
    label, name = " ".join(node.label for node in item.nodes), item.name
    name = "" if name in label.split() else f", {name}"
    return f"{label}{name}{_times(item)}{_output(item.nodes[-1].shapes)}{cost}"


def _output(shapes: Iterable[str]) -> str:
    distinct = ", ".join(dict.fromkeys(shapes))
    return f", output {distinct}" if distinct else ""


def _times(item: Drawn) -> str:
    return f", {item.count} times" if item.count > 1 else ""


def _r(value: float) -> float:
    return round(value, 1)
