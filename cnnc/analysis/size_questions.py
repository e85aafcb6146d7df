"""A network asked whether it takes sizes of its inputs, and how its sizes grow with them.

In: a proved graph, whose sizes may be open. Nothing is built: each op is asked for its types, once for the same inputs.
What all questions take is counted, so that it is bounded.
"""

from collections.abc import Iterator
from functools import cached_property
from math import gcd, lcm

from cnnc.analysis.receptive_field import reaches
from cnnc.graph.graph import Graph, Node, Ref
from cnnc.ops.base import Op, Refusal
from cnnc.ops.reach import Reaches
from cnnc.ops.types import TensorType, Types

MAX_STEPS = 5_000_000  # nodes looked at
STEPS_TO_INFER = 20  # more, where its op has to be asked
FAR_ENOUGH = 2**20  # whatever a field cannot tell, as what transposed convolutions cut off

Space = tuple[int | None, int | None]
Growth = tuple[int, tuple[int, int]]
"""Where the network's input grows by the first number, a value grows by the others, in height and width."""


class TooLong(Exception):
    """The questions to a network take more steps than they may."""


class Trial:
    """A network to ask which heights and widths it takes; what single ops have answered is remembered."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.single = sum(each.type.is_map for each in graph.inputs) == 1
        self.steps = 0
        self._types: list[TensorType] = []  # every type met so far, by its number
        self._numbers: dict[TensorType, int] = {}
        self._known: dict[tuple[int, ...], tuple[int, ...] | None] = {}  # an op and types: the types that it gives
        self._grown: dict[object, Growth] = {}

    def takes(self, height: int | None, width: int | None) -> bool:
        """Whether nothing is refused where all inputs that are maps have this size (None: as the spec has it)."""
        return self.takes_all(self.alike(height, width))

    def takes_all(self, inputs: Types) -> bool:
        """Whether nothing is refused with inputs of these types."""
        return self._run(inputs)[1] is None

    def refusal(self, inputs: Types) -> tuple[Node, Refusal]:
        """The first node that refuses inputs of these types, which are not taken, and what it says."""
        numbers, refusing = self._run(inputs)
        assert refusing is not None
        node, (_, operands) = self.graph.nodes[refusing], self._program[refusing]
        try:
            node.op.infer(*(self._types[numbers[each]] for each in operands))
        except Refusal as refusal:
            return node, refusal
        raise AssertionError(f"{node.path} has changed its mind")

    def types(self, inputs: Types) -> Iterator[tuple[Node, Types]]:
        """The nodes with what they give for inputs of these types, which are taken."""
        numbers, _ = self._run(inputs)
        at = len(inputs)
        for node in self.graph.nodes:
            yield node, tuple(self._types[each] for each in numbers[at : at + len(node.outputs)])
            at += len(node.outputs)

    def alike(self, height: int | None, width: int | None) -> Types:
        """The types of the inputs where all that are maps have this size (None: as the spec has it)."""
        return tuple(_resized(each.type, (height, width), self.single) for each in self.graph.inputs)

    @cached_property
    def _program(self) -> list[tuple[int, tuple[int, ...]]]:
        """Of each node its op, as a number that equal ones share, and its inputs, as places among all values."""
        places = {Ref(each.name): place for place, each in enumerate(self.graph.inputs)}
        seen: dict[int, int] = {}  # the lines of a block give the same op again and again
        equal: dict[Op, int] = {}
        program = []
        for node in self.graph.nodes:
            if id(node.op) not in seen:
                seen[id(node.op)] = equal.setdefault(node.op, len(equal))
            program.append((seen[id(node.op)], tuple(places[ref] for ref in node.inputs)))
            for port in range(len(node.outputs)):
                places[Ref(node.path, port)] = len(places)
        return program

    def _run(self, inputs: Types) -> tuple[list[int], int | None]:
        """The numbers of the types of all values, up to the first node that refuses, and which that is."""
        numbers = [self._number(each) for each in inputs]
        known = self._known
        self._step(len(self.graph.nodes))
        for at, (op, operands) in enumerate(self._program):
            key = (op, *[numbers[each] for each in operands])
            if key not in known:
                known[key] = self._infer(self.graph.nodes[at].op, key[1:])
            found = known[key]
            if found is None:
                return numbers, at
            numbers += found
        return numbers, None

    def _infer(self, op: Op, operands: tuple[int, ...]) -> tuple[int, ...] | None:
        self._step(STEPS_TO_INFER)
        try:
            found = op.infer(*(self._types[each] for each in operands))
        except Refusal:
            return None
        return tuple(map(self._number, (found,) if isinstance(found, TensorType) else found))

    def _number(self, type: TensorType) -> int:
        number = self._numbers.setdefault(type, len(self._types))
        if number == len(self._types):
            self._types.append(type)
        return number

    def _step(self, count: int) -> None:
        self.steps += count
        if self.steps > MAX_STEPS:
            raise TooLong

    # -- how sizes grow

    @cached_property
    def reaches(self) -> dict[str, Reaches]:
        self._step(STEPS_TO_INFER * len(self.graph.nodes))
        source = next(each for each in self.graph.inputs if each.type.is_map)
        return reaches(self.graph, source.name)

    def period(self, axis: int) -> int:
        """A number of rows (columns) that, added to the input, add whole numbers of them wherever values meet.

        Only where they meet does it matter how a size leaves a stride: elsewhere a larger one is as good.
        """
        grows: list[Growth] = [(1, _opened(each.type, axis)) for each in self.graph.inputs]
        period = 1
        self._step(len(self.graph.nodes))
        for node, (op, operands) in zip(self.graph.nodes, self._program, strict=True):
            taken = tuple(grows[each] for each in operands)
            if len(set(operands)) > 1:
                period = lcm(period, *(by for by, grown in taken if any(grown)))
            key = (op, taken, self.graph.input_types(node))
            if key not in self._grown:
                self._grown[key] = self._growth(node.op, taken, self.graph.input_types(node))
            grows += [self._grown[key]] * len(node.outputs)
        return period

    def _growth(self, op: Op, taken: tuple[Growth, ...], types: Types) -> Growth:
        """How an op's output grows with its inputs: a stride may take several rounds of theirs."""
        self._step(STEPS_TO_INFER)
        by = lcm(*(each for each, grown in taken if any(grown)))
        most = [max(grown[axis] * by // each for each, grown in taken) for axis in (0, 1)]
        if not any(most):
            return 1, (0, 0)
        own = op.reach(*types) if all(each.is_map for each in types) else (None, None)
        steps = [reach.step if reach else 1 for reach in own]
        rounds = lcm(*(step // gcd(rise, step) for rise, step in zip(most, steps, strict=True) if rise and step))
        by *= rounds
        before = [_filled(each, (0, 0)) for each in types]
        after = [_filled(t, (h * by // b, w * by // b)) for t, (b, (h, w)) in zip(types, taken, strict=True)]
        try:
            spaces = [_space(op.infer(*each)) for each in (before, after)]
        except Refusal:  # what meets grows apart: no class of sizes will fit
            return by, (most[0] * rounds, most[1] * rounds)
        return by, (spaces[1][0] - spaces[0][0], spaces[1][1] - spaces[0][1])


def _opened(type: TensorType, axis: int) -> tuple[int, int]:
    """How an input grows where all open sizes along an axis grow by 1."""
    if not type.is_map or type.space[axis] is not None:
        return 0, 0
    return (1, 0) if axis == 0 else (0, 1)


def _filled(type: TensorType, more: tuple[int, int]) -> TensorType:
    """The type with some large number in the place of open sizes, and that much more."""
    if not type.is_map:
        return type
    height, width = (FAR_ENOUGH + add if size is None else size for size, add in zip(type.space, more, strict=True))
    return TensorType((type.channels, height, width))


def _space(found: TensorType | Types) -> tuple[int, int]:
    first = found if isinstance(found, TensorType) else found[0]
    return (first.space[0] or 0, first.space[1] or 0) if first.is_map else (0, 0)


def _resized(type: TensorType, space: Space, fixed_too: bool) -> TensorType:
    if not type.is_map:
        return type
    height, width = (
        given if given is not None and (own is None or fixed_too) else own
        for given, own in zip(space, type.space, strict=True)
    )
    return TensorType((type.channels, height, width))
