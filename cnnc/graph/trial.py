"""A network asked whether it takes a size of its input, and how its sizes grow with it.

In: a proved graph, whose sizes may be open. Nothing is built: each op is asked for its types, once for the same inputs.
"""

from functools import cached_property
from math import gcd, lcm

from cnnc.graph.graph import Graph, Node, Ref
from cnnc.graph.receptive import reaches
from cnnc.ops.base import Op, Refusal
from cnnc.ops.reach import Reaches
from cnnc.ops.types import TensorType, Types

Space = tuple[int | None, int | None]


class Trial:
    """A network to ask whether it takes a height and a width; what single ops have answered is remembered."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.single = sum(each.type.is_map for each in graph.inputs) == 1
        self._known: dict[tuple[int, Types], Types | None] = {}

    def takes(self, height: int | None, width: int | None) -> bool:
        """Whether nothing is refused at this size (None: as the spec has it)."""
        return self._refusing(height, width) is None

    def refusal(self, height: int | None, width: int | None) -> tuple[Node, Refusal]:
        """The first node that refuses its inputs at a size that is not taken, and what it says."""
        refused = self._refusing(height, width)
        assert refused is not None
        node, types = refused
        try:
            node.op.infer(*types)
        except Refusal as refusal:
            return node, refusal
        raise AssertionError(f"{node.path} has changed its mind")

    def _refusing(self, height: int | None, width: int | None) -> tuple[Node, Types] | None:
        """The first node that refuses its inputs at this size, and their types."""
        space = (height, width)
        types = {Ref(each.name): _resized(each.type, space, self.single) for each in self.graph.inputs}
        for node in self.graph.nodes:
            given = tuple(types[ref] for ref in node.inputs)
            found = self._infer(node.op, given)
            if found is None:
                return node, given
            types.update((Ref(node.path, port), each) for port, each in enumerate(found))
        return None

    def _infer(self, op: Op, types: Types) -> Types | None:
        key = id(op), types
        if key not in self._known:
            try:
                found = op.infer(*types)
                self._known[key] = (found,) if isinstance(found, TensorType) else found
            except Refusal:
                self._known[key] = None
        return self._known[key]

    @cached_property
    def alike(self) -> bool:
        """Whether height and width go through the same everywhere."""
        pairs = [(each.type.space for each in self.graph.inputs if each.type.is_map), self.reaches.values()]
        return all(a == b for each in pairs for a, b in each)

    @cached_property
    def reaches(self) -> dict[str, Reaches]:
        source = next(each for each in self.graph.inputs if each.type.is_map)
        return reaches(self.graph, source.name)

    def period(self, axis: int) -> int:
        """A number of rows (columns) that, added to the input, add whole numbers of them everywhere."""
        # Each value grows by `grows[ref][1]` where the input grows by `grows[ref][0]`.
        grows = {Ref(each.name): (1, 1) for each in self.graph.inputs}
        period = 1
        for node in self.graph.nodes:
            found = self._growth(node, [grows[ref] for ref in node.inputs], axis)
            grows.update((Ref(node.path, port), found) for port in range(len(node.outputs)))
            period = lcm(period, found[0])
        return period

    def _growth(self, node: Node, taken: list[tuple[int, int]], axis: int) -> tuple[int, int]:
        by = lcm(*(each[0] for each in taken))
        most = max(each[1] * by // each[0] for each in taken)
        out = node.outputs[0]
        if not out.is_map or out.space[axis] is not None or not most:
            return by, 0
        own = node.op.reach(*self.graph.input_types(node))[axis]
        if own is None or not own.step:
            return by, most
        rounds = own.step // gcd(most, own.step)
        return by * rounds, most * rounds // own.step * own.period


def _resized(type: TensorType, space: Space, fixed_too: bool) -> TensorType:
    if not type.is_map:
        return type
    height, width = (
        given if given is not None and (own is None or fixed_too) else own
        for given, own in zip(space, type.space, strict=True)
    )
    return TensorType((type.channels, height, width))
