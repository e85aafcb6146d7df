"""Shape inference of a network at given input sizes, and how its sizes grow with them.

Takes a proved graph, whose sizes may be open. Nothing is built: only each op's `infer` runs, once for equal inputs. The
total work is counted and bounded.
"""

from collections.abc import Iterator
from functools import cached_property
from math import gcd, lcm

from cnnc.analysis.receptive_field import reaches
from cnnc.graph.graph import Graph, Node, Ref
from cnnc.ops.base import Op, Refusal
from cnnc.ops.reach import Reaches
from cnnc.ops.types import TensorType, Types

MAX_STEPS = 5_000_000  # visits of nodes
STEPS_TO_INFER = 20  # further steps if the op's `infer` runs
BASES = (*range(32, 64), *range(31, 0, -1), 96, 128, 256)  # of a first input's examples; realistic sizes first
ENOUGH = 3  # examples
FAR_ENOUGH = 2**20  # covers what a field does not show, such as the padding that transposed convs cut off

Space = tuple[int | None, int | None]
Growth = tuple[int, tuple[int, int]]
"""If the network's input grows by the first number, a value grows by the other two, in height and width."""


class TooLong(Exception):
    """The number of steps exceeds MAX_STEPS."""


class Trial:
    """A network to test at heights and widths; the results of `infer` are cached per op and input types."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.single = sum(each.type.is_map for each in graph.inputs) == 1
        self.steps = 0
        self._program = graph.derived(_program)
        self._types: list[TensorType] = []  # every type seen so far, by its number
        self._numbers: dict[TensorType, int] = {}
        self._known: dict[tuple[int, ...], tuple[int, ...] | None] = {}  # (op, *input types): output types
        self._grown: dict[object, Growth] = {}

    def takes(self, height: int | None, width: int | None) -> bool:
        """Whether the network accepts this size for all inputs that are maps (None: as in the spec)."""
        return self.takes_all(self.alike(height, width))

    def takes_all(self, inputs: Types) -> bool:
        """Whether the network accepts inputs of these types."""
        return self._run(inputs)[1] is None

    def refusal(self, inputs: Types) -> tuple[Node, Refusal]:
        """Return the first node that refuses inputs of these types, and its Refusal; they must not be accepted."""
        numbers, refusing = self._run(inputs)
        assert refusing is not None
        node, (_, operands) = self.graph.nodes[refusing], self._program[refusing]
        try:
            node.op.infer(*(self._types[numbers[each]] for each in operands))
        except Refusal as refusal:
            return node, refusal
        raise AssertionError(f"{node.path} no longer refuses its inputs")

    def types(self, inputs: Types) -> Iterator[tuple[Node, Types]]:
        """Yield each node with its output types for inputs of these types, which must be accepted."""
        numbers, _ = self._run(inputs)
        at = len(inputs)
        for node in self.graph.nodes:
            yield node, tuple(self._types[each] for each in numbers[at : at + len(node.outputs)])
            at += len(node.outputs)

    def alike(self, height: int | None, width: int | None) -> Types:
        """Return the input types if all that are maps have this size (None: as in the spec)."""
        return tuple(_resized(each.type, (height, width), self.single) for each in self.graph.inputs)

    def _run(self, inputs: Types) -> tuple[list[int], int | None]:
        """Return the type numbers of all values up to the first node that refuses, and that node's index or None."""
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
        """Return a number of rows (columns) that, added to the input, adds whole rows where remainders matter.

        They matter where values are merged, and for ops that need multiples. Elsewhere a larger size is just as good.
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
            by, grown = self._grown[key]
            if node.op.needs_multiples and any(grown):
                period = lcm(period, by)
            grows += [(by, grown)] * len(node.outputs)
        return period

    def _growth(self, op: Op, taken: tuple[Growth, ...], types: Types) -> Growth:
        """Return how an op's output grows with its inputs; a stride may need several of their periods."""
        self._step(STEPS_TO_INFER)
        by = lcm(*(each for each, grown in taken if any(grown)))
        most = [max(grown[axis] * by // each for each, grown in taken) for axis in (0, 1)]
        if not any(most):
            return 1, (0, 0)
        own = op.reach(*types) if types[0].is_map else (None, None)
        steps = [reach.step if reach else 1 for reach in own]
        rounds = lcm(*(step // gcd(rise, step) for rise, step in zip(most, steps, strict=True) if rise and step))
        by *= rounds
        large = FAR_ENOUGH * lcm(*(step for step in steps if step))  # a multiple, for the ops that need one
        before = [_filled(each, (large, large)) for each in types]
        after = [
            _filled(t, (large + h * by // b, large + w * by // b)) for t, (b, (h, w)) in zip(types, taken, strict=True)
        ]
        try:
            spaces = [_space(op.infer(*each)) for each in (before, after)]
        except Refusal:  # merged values grow differently: no class of sizes fits
            return by, (most[0] * rounds, most[1] * rounds)
        return by, (spaces[1][0] - spaces[0][0], spaces[1][1] - spaces[0][1])


def _program(graph: Graph) -> list[tuple[int, tuple[int, ...]]]:
    """Return each node's op, as a number shared by equal ops, and its inputs, as indices into all values."""
    places = {Ref(each.name): place for place, each in enumerate(graph.inputs)}
    seen: dict[int, int] = {}  # nodes of a repeated block share their op objects
    equal: dict[Op, int] = {}
    program = []
    for node in graph.nodes:
        if id(node.op) not in seen:
            seen[id(node.op)] = equal.setdefault(node.op, len(equal))
        program.append((seen[id(node.op)], tuple(places[ref] for ref in node.inputs)))
        for port in range(len(node.outputs)):
            places[Ref(node.path, port)] = len(places)
    return program


def _opened(type: TensorType, axis: int) -> tuple[int, int]:
    """Return how an input grows if all open sizes along an axis grow by 1."""
    if not type.is_map or type.space[axis] is not None:
        return 0, 0
    return (1, 0) if axis == 0 else (0, 1)


def _filled(type: TensorType, space: tuple[int, int]) -> TensorType:
    """Return the type with its open sizes replaced by those of `space`."""
    if not type.is_map:
        return type
    height, width = (there if size is None else size for size, there in zip(type.space, space, strict=True))
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


def examples(trial: Trial) -> tuple[Types, ...]:
    """Return up to three combinations of types for inputs that need different sizes (a picture and a smaller mask).

    Each input in turn gets the first size that the network accepts while later inputs are open. Raises TooLong.
    """
    found: list[Types] = []
    for base in BASES:
        types = _around(trial, base)
        if types is not None:
            found.append(types)
        if len(found) == ENOUGH:
            break
    return tuple(found)


def _around(trial: Trial, base: int) -> Types | None:
    """Return input types whose first open height is `base`, or None if no sizes fit."""
    types = tuple(each.type for each in trial.graph.inputs)
    sizes: tuple[int, ...] = (base,)
    for axis in (1, 2):
        for at, each in enumerate(types):
            if each.is_map and each.shape[axis] is None:
                ways = (_with(types, at, axis, size) for size in sizes)
                fitting = next((way for way in ways if trial.takes_all(way)), None)
                if fitting is None:
                    return None
                types, sizes = fitting, (base, *(size for size in range(1, 4 * base + 9) if size != base))
    return types


def _with(types: Types, at: int, axis: int, size: int) -> Types:
    """Return the types with one open size of one of them filled in."""
    shape = types[at].shape
    return (*types[:at], TensorType((*shape[:axis], size, *shape[axis + 1 :])), *types[at + 1 :])
