"""The scene of a picture: nested boxes and the edges between them, without places.

Takes a `Sketch`; returns the outermost `Box`. Nodes that follow each other as convolution, norm and activation share an
item, scopes at a depth are folded into one, and equal neighbours that follow each other are drawn once, with a count.
An edge across the border of a box passes through a port, which is an item at the top or at the bottom of the box.
"""

from collections.abc import Sequence
from itertools import count, groupby

from cnnc.drawing.items import Box, Drawn, counted
from cnnc.drawing.repeats import merged
from cnnc.drawing.sketch import Sketch, SketchNode
from cnnc.drawing.wiring import connect

JOIN = ("normalisation", "activation")  # families that join the item of the node before them
MOST = 4  # nodes in an item


def scene(sketch: Sketch, depth: int | None = None) -> Box:
    """Return the box around the network; scopes deeper than `depth` names are folded."""
    builder = _Builder(sketch, depth)
    inputs = [
        Drawn(name, (SketchNode(name, "input", name, "input, output", (), (shape,), 1),))
        for name, shape in sketch.inputs.items()
    ]
    ends = [
        SketchNode(f"→{name}", "output", name, "input, output", (ref,), (), 1) for name, ref in sketch.outputs.items()
    ]
    outputs = [Drawn(node.path, (node,)) for node in ends]
    root = Box("", sketch.nodes, items=[*inputs, *builder.items("", sketch.nodes), *outputs])
    connect(root, [*sketch.nodes, *ends], builder.drawn_as, builder.rounds)
    return root


class _Builder:
    """Makes the items of the scopes.

    `drawn_as` maps the nodes of later repeats to those of the first. `rounds` has, by node, the number of its round in
    each run of repeats.
    """

    def __init__(self, sketch: Sketch, depth: int | None) -> None:
        self._scopes, self._marks, self._depth = sketch.scopes, sketch.marks, depth
        self._users: dict[str, list[str]] = {}
        for node in sketch.nodes:
            for ref in node.inputs:
                self._users.setdefault(ref.node, []).append(node.path)
        for name, ref in sketch.outputs.items():
            self._users.setdefault(ref.node, []).append(f"→{name}")
        self.drawn_as: dict[str, str] = {}
        self.rounds: dict[str, dict[int, int]] = {}

    def items(self, scope: str, nodes: Sequence[SketchNode]) -> list[Drawn]:
        """Return the items of a scope, whose nodes are given in order."""
        start = len(scope) + 1 if scope else 0
        found: list[Drawn] = []
        last: dict[str, Drawn] = {}
        for inner, group in groupby(nodes, lambda node: self._inner(node.path, start)):
            if inner:
                found.append(self._box(inner, tuple(group)))
            else:
                for node in group:
                    self._add(node, found, last)
        return self._merge(found)

    def _inner(self, path: str, start: int) -> str:
        """Return the outermost scope around a node that begins after `start` characters of its path."""
        at = path.find(".", start)
        while at >= 0:
            if path[:at] in self._scopes:
                return path[:at]
            at = path.find(".", at + 1)
        return ""

    def _add(self, node: SketchNode, found: list[Drawn], last: dict[str, Drawn]) -> None:
        """Add a node to the item that ends with its only input, or as an item of its own."""
        item = last.get(node.inputs[0].node) if len(node.inputs) == 1 and node.family in JOIN else None
        if item and len(item.nodes) < MOST and self._joins(item.nodes[-1], node):
            item.nodes += (node,)
        else:
            item = Drawn(node.path, (node,))
            found.append(item)
        last[node.path] = item

    def _joins(self, before: SketchNode, node: SketchNode) -> bool:
        same = self._marks.get(before.path) == self._marks.get(node.path)
        return same and before.path == node.inputs[0].node and len(self._users[before.path]) == 1

    def _box(self, scope: str, nodes: tuple[SketchNode, ...]) -> Drawn:
        block = self._scopes[scope]
        rounds = next(index for index in count() if self._scopes.get(f"{scope}.{index}") != block)
        if self._depth is not None and scope.count(".") + 1 >= self._depth:
            return Drawn(scope, nodes, counted(block, rounds))
        return Box(scope, nodes, block, rounds=rounds, items=self.items(scope, nodes))

    def _merge(self, items: list[Drawn]) -> list[Drawn]:
        """Return the items, with the first for each run of repeats."""
        kept = []
        for run in merged([item.nodes for item in items], self._users, self._marks):
            first = items[run.start]
            kept.append(first)
            first.count, first.through = len(run), items[run.stop - 1].path
            for index in run if len(run) > 1 else ():
                for node, drawn in zip(items[index].nodes, first.nodes, strict=True):
                    self.rounds.setdefault(node.path, {})[id(first)] = index - run.start
                    if node is not drawn:
                        self.drawn_as[node.path] = drawn.path
        return kept
