"""Receptive fields: the part of an input that each node sees, and its stride.

Takes a proved graph, whose sizes may be open; returns a `Field`, along height and width, for every node that depends on
the input. The arithmetic is that of `cnnc.ops.reach`: it covers branches, residuals, dilation, pools, and upsampling
with its fractional strides. An op that mixes positions (a global pool, `flatten`, statistics over a map) sees the whole
input.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import reduce

from cnnc.graph.graph import Graph, Node
from cnnc.ops.reach import EVERYTHING, GLOBAL, LOCAL, Reach, Reaches, through, union
from cnnc.ops.types import Types


@dataclass(frozen=True, slots=True)
class Side:
    """Along one axis, in rows (columns) of the input, padding included.

    `size`: the most that an output position sees. `stride`: the distance between the fields of neighbouring positions.
    `offset`: where the first position's field begins, negative in the padding; a field's centre is
    `offset + (size - 1) / 2`. `whole`: it sees the whole input, and `size` is the input's size. None if unknown: the
    size of an open input, the stride of a single position, and everything if paths drift apart.
    """

    size: int | None = None
    stride: Fraction | None = None
    offset: int | None = None
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Field:
    """The receptive field of a node, the same for all its ports."""

    height: Side
    width: Side


def receptive_fields(graph: Graph, input: str | None = None) -> dict[str, Field]:
    """Return, by path, the field of each node in an input (by default the first); empty if that is not a map."""
    source = next((each for each in graph.inputs if input in (None, each.name)), None)
    if source is None and input is not None:
        raise ValueError(f"{graph.name} has no input {input}")
    if source is None or not source.type.is_map:
        return {}
    height, width = source.type.space
    found = reaches(graph, source.name)
    sides = {reach: None for pair in found.values() for reach in pair}
    tall = {reach: _side(reach, height) for reach in sides}
    wide = tall if width == height else {reach: _side(reach, width) for reach in sides}
    return {path: Field(tall[found[path][0]], wide[found[path][1]]) for path in found if path != source.name}


def reaches(graph: Graph, source: str) -> dict[str, Reaches]:
    """Return the reach, in the input `source`, of that input and of each node that depends on it; cached."""
    return graph.derived(_reaches, source)


def _reaches(graph: Graph, source: str) -> dict[str, Reaches]:
    found: dict[str, Reaches] = {source: LOCAL}
    for node in graph.nodes:
        read = [(index, ref.node) for index, ref in enumerate(node.inputs) if index not in node.op.unread]
        taken = [(index, found[name]) for index, name in read if name in found]
        if taken:
            found[node.path] = _of(node, graph.input_types(node), taken)
    return found


def _of(node: Node, types: Types, taken: list[tuple[int, Reaches]]) -> Reaches:
    if not all(each.is_map for each in (*types, *node.outputs)):
        return GLOBAL
    own = node.op.reach(*types)
    if own is LOCAL and len(types) == 1:
        return taken[0][1]

    def along(axis: int) -> Reach | None:
        size = node.outputs[0].space[axis]
        seen = (through(_stretched(own[axis], types[index].space[axis], size), pair[axis]) for index, pair in taken)
        return reduce(union, seen)

    tall = along(0)
    square = own[0] == own[1] and all(len({*each.space}) == 1 for each in (*types, *node.outputs))
    return tall, tall if square and all(pair[0] == pair[1] for _, pair in taken) else along(1)


def _stretched(own: Reach | None, size: int | None, to: int | None) -> Reach | None:
    """Return the reach of an input that may be broadcast: all output positions see a single input position."""
    return EVERYTHING if size == 1 and to != 1 else own


def _side(reach: Reach | None, size: int | None) -> Side:
    if reach is None:
        return Side()
    stride = Fraction(reach.step, reach.period) if reach.step else None
    if reach.whole:
        return Side(size, stride, 0, whole=True)
    return Side(reach.size, stride, reach.start(0) if reach.size else None)
