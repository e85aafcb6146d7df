"""Traces how the sizes of values came about, and where the sizes of two values began to differ.

Takes the checked nodes of a network; returns chains of sizes along an axis, from the last common ancestor of two values
or from an input to a value, and the steps that made the difference. A chain follows one of several paths, because sizes
are equal where paths join. The number of visited nodes is limited.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from heapq import heappop, heappush
from itertools import pairwise
from math import prod

from cnnc.graph.graph import Node, Ref
from cnnc.ops.base import Op
from cnnc.ops.types import TensorType, Types
from cnnc.ops.window import SIDES

MAX_WALKED = 20_000  # nodes visited for one fault
SHOWN = 8  # sizes of a chain that are shown
TOLD = ("kernel", "stride", "dilation", "padding", "output_padding", "factor", "size", "ceil")


@dataclass(frozen=True, slots=True)
class Step:
    """A node that changes the size along an axis, from `before` to `after`."""

    node: Node
    axis: int
    before: int
    after: int
    rate: Fraction | None  # the effect of its strides and factors alone; None if unknown

    @property
    def loses(self) -> bool:
        """Whether strides and factors do not explain the change: missing padding, leftover rows, pads."""
        return self.rate is not None and self.after != self.before * self.rate

    def __str__(self) -> str:
        """`32 to 16 (kernel 2, stride 2)`."""
        return f"{self.before} to {self.after} ({_attributes(self.node.op, self.axis)})".replace(" ()", "")


@dataclass(frozen=True, slots=True)
class Chain:
    """The sizes on a path to a value: `start` has the size `first`, and each step changes it."""

    start: str
    first: int
    steps: tuple[Step, ...]
    end: str

    @property
    def sizes(self) -> tuple[int, ...]:
        return self.first, *(step.after for step in self.steps)

    @property
    def rate(self) -> Fraction | None:
        """The effect of all strides and factors on a size; None if unknown."""
        rates = [step.rate for step in self.steps]
        return prod((rate for rate in rates if rate is not None), start=Fraction(1)) if None not in rates else None

    def __str__(self) -> str:
        """For example `26 → 13 → 12 → 24, at `p5`, `p6` and `up``; only both ends of a long chain."""
        sizes, names = list(map(str, self.sizes)), [f"`{step.node.path}`" for step in self.steps]
        if len(sizes) > SHOWN:
            sizes[2 : 4 - SHOWN], names[1 : 4 - SHOWN] = ["…"], ["…"]
        places = " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
        return " → ".join(sizes) + (f", at {places}" if names else "")


class Histories:
    """Finds the size histories of a network's values."""

    def __init__(
        self, nodes: Iterable[Node], inputs: Mapping[str, TensorType], scopes: Collection[str] = frozenset()
    ) -> None:
        self.inputs, self._scopes = inputs, scopes
        self.nodes = {node.path: node for node in nodes}
        self.place = {path: place for place, path in enumerate(self.nodes)}

    def meeting(self, a: Ref, b: Ref) -> str | None:
        """The last common ancestor of two values, a node or an input; None if there is none."""
        for path, sides in self._back({a.node: 1, b.node: 2}):
            if sides == 3:
                return path
        return None

    def chains(self, start: str | None, end: Ref) -> tuple[Chain | None, Chain | None]:
        """The heights and the widths on a path to a map, from `start` or an input; None if unknown."""
        way = list(self._way(start, end))
        return self._chain(way, end, 0), self._chain(way, end, 1)

    def made_vector(self, of: Ref) -> Node | None:
        """The node that turned a map into this vector; None if there is none."""
        path: str | None = of.node
        while path in self.nodes:
            node = self.nodes[path]
            types = self.types(node)
            if 0 in node.op.unread:  # `parameter` makes a vector of its own
                return None
            if types[0].is_map and node.outputs[0].is_vector:
                return node
            path = node.inputs[0].node
        return None

    @property
    def ops(self) -> Mapping[str, str]:
        """The ops of all nodes, by path."""
        return {path: node.op.name for path, node in self.nodes.items()}

    def line(self, path: str) -> str:
        """The name of a node's line in the spec, which all its repetitions share."""
        name, _, last = path.rpartition(".")
        return name if name and last.isdecimal() and name not in self._scopes else path

    def types(self, node: Node) -> Types:
        """The types of a node's inputs."""
        return tuple(self._type(ref) for ref in node.inputs)

    def _type(self, ref: Ref) -> TensorType:
        node = self.nodes.get(ref.node)
        return node.outputs[ref.port] if node else self.inputs[ref.node]

    def _back(self, ends: Mapping[str, int]) -> Iterator[tuple[str, int]]:
        """Yield the ancestors of some values, the last first, each with the marks of the values that depend on it."""
        marks = dict(ends)
        queue: list[tuple[int, str]] = []
        for path in ends:
            heappush(queue, (-self.place.get(path, -1), path))
        for _ in range(MAX_WALKED):
            if not queue:
                return
            _, path = heappop(queue)
            yield path, marks[path]
            for ref in self.nodes[path].inputs if path in self.nodes else ():
                if ref.node not in marks:
                    marks[ref.node] = 0
                    heappush(queue, (-self.place.get(ref.node, -1), ref.node))
                marks[ref.node] |= marks[path]

    def _way(self, start: str | None, end: Ref) -> Iterator[Ref]:
        """The values on a path from `start` or an input to `end`, in reverse order."""
        users: dict[str, tuple[str, Ref]] = {}
        for path, _ in self._back({end.node: 1}):
            if path == start or (start is None and path not in self.nodes):
                yield from reversed([end, *self._followed(users, path, end)] if path != end.node else [end])
                return
            for ref in self.nodes[path].inputs if path in self.nodes else ():
                users.setdefault(ref.node, (path, ref))

    def _followed(self, users: Mapping[str, tuple[str, Ref]], path: str, end: Ref) -> list[Ref]:
        """The values on a path, without its end, in reverse order."""
        found = []
        while path != end.node:
            path, ref = users[path]
            found.append(ref)
        return found[::-1]

    def _chain(self, way: list[Ref], end: Ref, axis: int) -> Chain | None:
        """The sizes on a path, along the given axis of `end`; a `permute` on the path changes the axis."""
        if not way or not self._type(end).is_map:
            return None
        steps: list[Step] = []
        first = way[0].node
        for ref, value in pairwise(reversed(way)):  # from the end on: `value` led to `ref`
            node = self.nodes[ref.node]
            out, given = self._type(ref), self._type(value)
            before = _turned(node.op, axis)
            if before is None or not given.is_map:
                first = ref.node
                break
            step = _step(node, axis, given.space[before], out.space[axis], self.types(node))
            steps += [step] if step else []
            axis = before
            first = value.node
        steps.reverse()
        size = steps[0].before if steps else self._type(end).space[axis]
        return None if size is None else Chain(first, size, tuple(steps), end.node)


def lost_before(chain: Chain, wanted: Collection[int | None]) -> list[Step]:
    """The last steps of a chain without whose losses its end would have one of the wanted sizes."""
    for start in reversed(range(len(chain.steps))):
        rates = [step.rate for step in chain.steps[start:]]
        if None in rates:
            return []
        lossless = chain.steps[start].before * prod((rate for rate in rates if rate is not None), start=Fraction(1))
        if lossless in wanted:
            return [step for step in chain.steps[start:] if step.loses]
    return []


def parted(a: Chain, b: Chain) -> list[Step]:
    """The steps that made the difference between two values with a common ancestor, or all possible ones."""
    steps = (*a.steps, *b.steps)
    lossy = [step for step in steps if step.loses]
    if a.rate is not None and a.rate == b.rate and lossy:
        return lossy
    return [step for step in steps if step.rate != 1] or list(steps)


def _step(node: Node, axis: int, before: int | None, after: int | None, types: Types) -> Step | None:
    if before is None or after is None or before == after:
        return None
    reach = node.op.reach(*types)[axis]
    rate = Fraction(reach.period, reach.step) if reach and reach.step else None
    return Step(node, axis, before, after, rate)


def _turned(op: Op, axis: int) -> int | None:
    """The axis of the input that becomes `axis` of the output; None if it is not the height or width."""
    if op.name != "permute":
        return axis
    before = getattr(op, "axes", ())[axis + 1] - 1
    return before if before >= 0 else None


def _attributes(op: Op, axis: int) -> str:
    """An op's attributes that determine sizes, along one axis, without those that have no effect."""
    shown = []
    for name in TOLD:
        value = getattr(op, name, None)
        if name == "stride" and value is None:
            value = getattr(op, "kernel", None)
        if isinstance(value, tuple):
            along = value[axis::2]  # of four numbers the two at the axis' ends
            value = along[0] if len(set(along)) == 1 else list(along)
        if value not in (None, False) and (name, value) not in (("dilation", 1), ("padding", 0), ("output_padding", 0)):
            shown.append(f"{name} {str(value).lower()}")
    if getattr(op, "padding", None) == (0, 0, 0, 0):
        shown.append("no padding")
    return ", ".join(shown)


def sides(axes: tuple[int, ...]) -> str:
    """The names of the axes: `height and width`."""
    return " and ".join(SIDES[axis] for axis in axes)
