"""The parts of a scene: items, boxes, which hold items, and edges.

A scene is made without places; the layout fills in sizes and places, which a renderer reads. Coordinates are relative:
`x` is the distance of an item's axis from the axis of its box, and `y` that of their tops.
"""

from dataclasses import dataclass, field

from cnnc.drawing.sketch import SketchNode

Key = tuple[str, int]
"""A value of the picture: the path of the drawn node that makes it, and its port."""


def counted(block: str, count: int) -> str:
    """Return the name of a block, with the number of its repeats if there are several."""
    return f"{block} ×{count}" if count > 1 else block


@dataclass(eq=False)
class Drawn:
    """What a box holds: nodes in one frame, a folded scope, a port, or a scope that is drawn as a `Box`.

    `nodes` are those of the first of its `count` repeats, and `through` is the path of the last repeat. `stands` has
    the nodes of all repeats, unless it is a box; `macs` and `params` are their sums. `left` and `right` are its extents
    from its own axis, `width` is that of its frame, whose middle the axis is. Edges lead through an item from
    the top to the bottom, or from the bottom to the top if it is `up`.
    """

    path: str
    nodes: tuple[SketchNode, ...] = ()
    block: str = ""
    port: Key | None = None
    count: int = 1
    through: str = ""
    stands: list[SketchNode] = field(default_factory=list)
    macs: int = 0
    params: int = 0
    rank: int = 0
    x: float = 0.0
    y: float = 0.0
    left: float = 0.0
    right: float = 0.0
    width: float = 0.0
    height: float = 0.0
    up: bool = False

    @property
    def entry(self) -> float:
        """The y at which edges enter."""
        return self.y + self.height if self.up else self.y

    @property
    def exit(self) -> float:
        """The y at which edges leave."""
        return self.y if self.up else self.y + self.height

    @property
    def name(self) -> str:
        """The last word of its path, two if that is a number, and the last word of the last repeat."""
        around, _, first = self.path.rpartition(".")
        last = (self.through or self.path).rpartition(".")[2]
        if first.isdigit() and around:
            first = f"{around.rpartition('.')[2]}.{first}"
        return first if self.count == 1 else f"{first} … {last}"

    @property
    def rows(self) -> tuple[SketchNode, ...]:
        """The nodes that are drawn one by one."""
        return () if self.block else self.nodes

    def offset(self, key: Key, *, leaves: bool) -> float | None:
        """Return where a value enters or leaves, from the axis; None if the item has no port for it."""
        return None


@dataclass(eq=False)
class Edge:
    """An edge between two items of a box. `shapes` are those of all values that it stands for.

    `faint`: only the size of the value is used. The layout fills in the x where it starts and ends, and of the lane in
    which it passes other items.
    """

    source: Drawn
    target: Drawn
    key: Key
    shapes: list[str] = field(default_factory=list)
    faint: bool = True
    start: float = 0.0
    lane: float | None = None
    end: float = 0.0

    @property
    def shape(self) -> str:
        """The shape in words, or those of the first and the last repeat."""
        first, last = self.shapes[0], self.shapes[-1]
        if first == last:
            return first
        one, two = first.split("×"), last.split("×")
        if len(one) != len(two) or sum(a != b for a, b in zip(one, two, strict=True)) > 1:
            return f"{first} … {last}"
        return "×".join(a if a == b else f"{a}…{b}" for a, b in zip(one, two, strict=True))


@dataclass(eq=False)
class Box(Drawn):
    """A scope with its items, in the order of the network, and the edges between them.

    `ports` has the items at its top (False) and at its bottom (True) for the values that cross its border.
    `rounds` is the number of boxes in it that are rounds of its own block, which their titles name then.
    `columns` are the ranks of each column; there are several if the layout breaks a long box. `levels` has the top and
    the bottom of each rank.
    """

    rounds: int = 0
    items: list[Drawn] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    ports: dict[tuple[Key, bool], Drawn] = field(default_factory=dict)
    columns: list[range] = field(default_factory=list)
    levels: list[tuple[float, float]] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """Its block, with the count of its repeats, for its title."""
        return "" if self.rounds else counted(self.block, self.count)

    def offset(self, key: Key, *, leaves: bool) -> float | None:
        port = self.ports.get((key, leaves))
        return None if port is None else port.x
