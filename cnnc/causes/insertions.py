"""Nodes that may be put between a node that refuses its inputs and these inputs, to give them the shape of another.

Takes a refused node. Returns `Remedy` objects, which have not been tried.
"""

from collections.abc import Iterator, Mapping
from fractions import Fraction

from cnnc.causes.remedy import Remedy, pair, written
from cnnc.expand.edits import Attributes, Edit
from cnnc.expand.infer_node import Refused
from cnnc.ops.arithmetic import Arithmetic
from cnnc.ops.types import TensorType, Types

GATES = frozenset({"sigmoid", "hardsigmoid", "softmax"})  # ops whose outputs scale what they meet, as a rule

Maker = tuple[str, Attributes]


def numbers_per_channel(node: Refused, op_before: Mapping[str, str]) -> Iterator[Remedy]:
    """Changes for a vector of one number per channel that meets a map: a `reshape` to (C, 1, 1), which is broadcast.

    `op_before` maps the paths of nodes to their ops: what scales other values as a rule is not added to them.
    """
    if not isinstance(node.op, Arithmetic):
        return
    maps = [type for type in node.types if type.is_map and type.space != (1, 1)]
    for at, given in enumerate(node.types):
        if not (maps and given.is_vector and given.channels == maps[0].channels):
            continue
        name, shape = node.wires[at].ref.node, {"shape": [given.channels, 1, 1]}
        before = {at: (("reshape", shape),)}
        if node.op.name == "add" and op_before.get(name) in GATES:
            text = f"write `mul` and put {written('reshape', shape)} between `{name}` and it"
            yield Remedy(f"{text}, to scale each channel by `{name}`", {node.span: Edit(op="mul", before=before)})
        text = f"put {written('reshape', shape)} between `{name}` and `{node.path}`, for a number per channel"
        yield Remedy(text, {node.span: Edit(before=before)})


def insertions(node: Refused, types: Types | None = None) -> Iterator[Remedy]:
    """Changes that put a node before each input that differs from one of them: from what most have, or the smallest.

    `types` are the types of the inputs if another change comes first.
    """
    types = types or node.types
    if len(types) < len(node.wires):
        return
    shapes = [type for type in types if not _is_per_channel(node, type)] or types
    for wanted in sorted(dict.fromkeys(shapes), key=lambda type: (-types.count(type), type.elements or 0)):
        unlike = [at for at, given in enumerate(types) if given != _like(node, given, wanted)]
        makers = {at: _maker(node, types[at], wanted) for at in unlike}
        found = {at: maker for at, maker in makers.items() if maker is not None}
        if found and len(found) == len(makers):
            edit = Edit(before={at: (maker,) for at, maker in found.items()})
            places = [
                f"{written(op, how)} between `{node.wires[at].ref.node}` and `{node.path}`"
                for at, (op, how) in found.items()
            ]
            yield Remedy("put " + " and ".join(places), {node.span: edit})


def projections(node: Refused) -> Iterator[Remedy]:
    """Changes that put a 1×1 convolution before an input of a sum, as in the shortcuts of residual networks."""
    if node.op.name != "add" or len(node.refusal.inputs) < 2:
        return
    a, b = sorted(node.refusal.inputs[:2], key=lambda at: -(node.types[at].elements or 0))
    for at, other in ((a, b), (b, a)):
        name, like = node.wires[at].ref.node, node.wires[other].ref.node
        text = f"put a `conv` with `kernel: 1` between `{name}` and `{node.path}`, whose `out` and `stride`"
        yield Remedy(f"{text} follow `{like}` in each instance", {node.span: Edit(projected={at: other})})


def _is_per_channel(node: Refused, type: TensorType) -> bool:
    return isinstance(node.op, Arithmetic) and type.shape[1:] == (1, 1)


def _like(node: Refused, given: TensorType, wanted: TensorType) -> TensorType:
    """The shape that an input must have to fit another one: along the axis of a `concat`, its own.

    A number per channel remains one.
    """
    if _is_per_channel(node, given) and wanted.is_map:
        return TensorType((wanted.channels, 1, 1))
    free, rank = getattr(node.op, "axis", None), len(wanted.shape)
    if free is None or len(given.shape) != rank:
        return wanted
    return TensorType(
        tuple(
            own if axis == free % rank else size
            for axis, (own, size) in enumerate(zip(given.shape, wanted.shape, strict=True))
        )
    )


def _maker(node: Refused, given: TensorType, other: TensorType) -> Maker | None:
    """An op that makes a map of the shape of another one; None if no single op does."""
    wanted = _like(node, given, other)
    if given.is_map and given.known and wanted.is_vector:
        return ("flatten", {}) if node.op.name == "concat" or given.elements == wanted.elements else None
    ratio = space_ratio(given, wanted)
    if ratio is None:
        return None
    down = all(each >= 1 and each.denominator == 1 for each in ratio)
    strides = pair([int(each) for each in ratio])
    if given.channels != wanted.channels:
        stride = {} if max(ratio) == 1 else {"stride": strides}
        return ("conv", {"out": wanted.channels, "kernel": 1, **stride}) if down else None
    if down:
        return None if given.space == (1, 1) else ("max_pool", {"kernel": strides})
    return _enlarging(given, wanted, ratio) if max(ratio) <= 1 else None


def _enlarging(given: TensorType, wanted: TensorType, ratio: tuple[Fraction, Fraction]) -> Maker | None:
    if all((1 / each).denominator == 1 for each in ratio) and given.space != (1, 1):
        return "upsample", {"factor": pair([int(1 / each) for each in ratio])}
    return None if None in wanted.space else ("upsample", {"size": list(wanted.space)})


def space_ratio(given: TensorType, wanted: TensorType) -> tuple[Fraction, Fraction] | None:
    """Return how many times as high and as wide as wanted a map is, rounded up to a stride if one leads there.

    An open size is as large as another open one; None if sizes cannot be compared.
    """
    if not (given.is_map and wanted.is_map):
        return None
    pairs = list(zip(given.space, wanted.space, strict=True))
    if any((a is None) != (b is None) for a, b in pairs):
        return None
    height, width = (_times(a or 1, b or 1) for a, b in pairs)
    return height, width


def _times(size: int, wanted: int) -> Fraction:
    stride = -(-size // wanted)
    return Fraction(stride) if stride > 1 and -(-size // stride) == wanted else Fraction(size, wanted)
