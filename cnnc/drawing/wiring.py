"""Connects the items of a scene by edges, through the borders of boxes.

Takes the outermost box with its items, and the nodes in order; adds the edges, the ports and the costs of each box.
There are no edges between two repeats: the count stands for them.
"""

from collections.abc import Iterator, Mapping, Sequence

from cnnc.drawing.items import Box, Drawn, Edge, Key
from cnnc.drawing.sketch import SketchNode


def connect(
    root: Box, nodes: Sequence[SketchNode], drawn_as: Mapping[str, str], rounds: Mapping[str, Mapping[int, int]]
) -> None:
    """Add the edges of all nodes; `drawn_as` and `rounds` describe repeats, as `scene` makes them."""
    wiring = _Wiring(root)
    for node in nodes:
        wiring.count(_drawn(node.path, drawn_as), node)
    shapes = {node.path: node.shapes for node in nodes}
    shapes |= {item.path: item.nodes[0].shapes for item in root.items if len(item.nodes) == 1}
    for node in nodes:
        target = wiring.home[_drawn(node.path, drawn_as)]
        for position, ref in enumerate(node.inputs):
            path = _drawn(ref.node, drawn_as)
            source = wiring.home[path]
            if source is not target and not _differ(rounds.get(ref.node), rounds.get(node.path)):
                shape = shapes[ref.node][ref.port]
                for edge in wiring.way(source, target, (path, ref.port)):
                    edge.shapes.append(shape)
                    edge.faint &= position in node.sizes
    wiring.close()


def _drawn(path: str, drawn_as: Mapping[str, str]) -> str:
    while path in drawn_as:
        path = drawn_as[path]
    return path


def _differ(one: Mapping[int, int] | None, two: Mapping[int, int] | None) -> bool:
    """Whether two nodes are in different rounds of one run of repeats."""
    return one is not None and two is not None and any(two.get(run, number) != number for run, number in one.items())


class _Wiring:
    """The boxes around each item, and the edges that were made."""

    def __init__(self, root: Box) -> None:
        self._around: dict[Drawn, Box] = {}
        self._edges: dict[tuple[Box, Drawn, Drawn, Key], Edge] = {}
        self.home: dict[str, Drawn] = {}
        self._boxes: list[Box] = []
        self._enter(root)

    def _enter(self, box: Box) -> None:
        self._boxes.append(box)
        for item in box.items:
            self._around[item] = box
            if isinstance(item, Box):
                self._enter(item)
            else:
                self.home.update((node.path, item) for node in item.nodes)

    def count(self, drawn: str, node: SketchNode) -> None:
        """Add the costs of a node to the item that it is drawn in, and to the boxes around."""
        item = self.home[drawn]
        item.stands.append(node)
        for each in (item, *self._chain(item)):
            each.macs += node.macs or 0
            each.params += node.params

    def way(self, source: Drawn, target: Drawn, key: Key) -> Iterator[Edge]:
        """Yield the edges from one item to another, one for each box that the way leads through."""
        up, down = self._chain(source), self._chain(target)
        shared = next(box for box in up if box in {*down})
        at = source
        for box in up[: up.index(shared)]:
            yield self._edge(box, at, self._port(box, key, leaves=True), key)
            at = box
        for box in reversed(down[: down.index(shared)]):
            yield self._edge(self._around[box], at, box, key)
            at = self._port(box, key, leaves=False)
        yield self._edge(self._around[target], at, target, key)

    def _chain(self, item: Drawn) -> list[Box]:
        """Return the boxes around an item, innermost first."""
        chain = []
        box = self._around.get(item)
        while box is not None:
            chain.append(box)
            box = self._around.get(box)
        return chain

    def _port(self, box: Box, key: Key, *, leaves: bool) -> Drawn:
        return box.ports.setdefault((key, leaves), Drawn("", port=key))

    def _edge(self, box: Box, source: Drawn, target: Drawn, key: Key) -> Edge:
        place = box, source, target, key
        if place not in self._edges:
            self._edges[place] = Edge(source, target, key)
            box.edges.append(self._edges[place])
        return self._edges[place]

    def close(self) -> None:
        """Put the ports into the boxes: those for inputs before their items, those for outputs after them."""
        for box in self._boxes:
            sides: list[list[Drawn]] = [[], []]
            for (_, leaves), port in box.ports.items():
                sides[leaves].append(port)
            box.items = [*sides[False], *box.items, *sides[True]]
