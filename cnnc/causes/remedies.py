"""Changes that may mend a fault of shapes, of which those are told that do.

In: a fault, and what its history has shown. Out: a line of help, or None where nothing that was tried mends the fault.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice

from cnnc.causes.attempts import Attempts
from cnnc.causes.nearest_inputs import nearest_inputs
from cnnc.causes.size_history import Histories, Step
from cnnc.diagnostics import Code, Diagnostic, Span
from cnnc.expand.edits import NOTHING, Attributes, Edit, Edits
from cnnc.expand.hints import channels_first
from cnnc.expand.refusal import Refused
from cnnc.expand.scope import Bound
from cnnc.ops.types import TensorType

TOLD = 3  # ways out of one fault
TRIED = 6  # of one kind
LOOKED_AT = 200  # names of a scope
FAULTS_OF_MAPS = frozenset({Code.UNEQUAL_SHAPES, Code.WINDOW_MISFIT})


@dataclass(frozen=True, slots=True)
class Found:
    """What the history of a fault has shown: the nodes that may be to blame, way by way.

    The ways are `even` where strides and factors explain no difference, so that other sizes may fit.
    """

    ways: tuple[tuple[Step, ...], ...] = ()
    even: bool = False


@dataclass(frozen=True, slots=True)
class Remedy:
    """A change in words, and as what is tried."""

    told: str
    edits: Edits = field(default_factory=lambda: NOTHING)
    inputs: Mapping[str, TensorType] | None = None


def remedies(fault: Diagnostic, node: Refused, found: Found, histories: Histories, attempts: Attempts) -> str | None:
    """The first few changes that mend a fault, the likeliest first, in one line."""

    def tried(tries: Iterator[Remedy], most: int, **how: bool) -> list[str]:
        return list(_mending(fault, attempts, islice(tries, TRIED), most, **how))

    if fault.code in FAULTS_OF_MAPS and (turned := list(_channels_last(histories))):
        ways = tried(iter(turned), 1)
    elif fault.code == Code.WRONG_RANK:
        ways = tried(_to_a_rank(node, histories), 2)
    else:
        ways = tried(_paddings(found), 1)
        if found.even:
            ways += tried(_own(node), TOLD)
            ways += _inputs(fault, node, histories, attempts)
        ways += tried(_swaps(node), 1, strictly=bool(ways))
        ways = ways or tried(_factor(node), 2)
        ways = ways or tried(_strides(node, histories), 2, strictly=True)
        ways = ways or tried(_between(node), 2)
    return ", or ".join(ways[:TOLD]) or None


def _mending(
    fault: Diagnostic, attempts: Attempts, tries: Iterable[Remedy], most: int, *, strictly: bool = False
) -> Iterator[str]:
    """Of some changes the first that mend the fault; else the first that lets another be seen behind it."""
    behind = None
    mended = 0
    for each in tries:
        outcome = attempts.outcome(each.edits, each.inputs)
        if outcome is None or not attempts.mends(fault, outcome):
            continue
        if not outcome.hidden:
            yield each.told
            mended += 1
            if mended == most:
                return
        behind = behind or each.told
    if behind and not mended and not strictly:
        yield f"{behind} (which reveals another error)"


# -- changes of nodes that led there


def _paddings(found: Found) -> Iterator[Remedy]:
    """Padding that keeps sizes: at single nodes, at those of one way, at all of them."""
    ways = [_by_line(step for step in way if step.loses) for way in found.ways]
    lossy = {span: step for way in ways for span, step in way.items()}
    together = [*([span] for span in islice(lossy, TRIED // 2)), *ways, lossy]
    for spans in dict.fromkeys(tuple(each) for each in together if 0 < len(each) <= TRIED):
        names = _listed([_line(lossy[span].node.path) for span in spans])
        yield Remedy(f"set `padding: same` in {names}", dict.fromkeys(spans, Edit({"padding": "same"})))


def _line(path: str) -> str:
    """The name of a line of the spec, by one of its nodes: a repeated one has one line."""
    name, _, last = path.rpartition(".")
    return name if last.isdecimal() and name else path


def _by_line(steps: Iterable[Step]) -> dict[Span, Step]:
    """The steps whose padding can be changed, one a line of the spec."""
    padded = (step for step in steps if "padding" in type(step.node.op).model_fields and step.node.op.name != "pad")
    return {step.node.span: step for step in padded if step.node.span}


def _strides(node: Refused, histories: Histories) -> Iterator[Remedy]:
    """Another stride of one of the nodes whose values differ."""
    for at, _, given, wanted in _pairs(node):
        source = histories.nodes.get(node.wires[at].ref.node)
        ratio = _ratio(given, wanted)
        stride = getattr(source and source.op, "stride", None)
        if source is None or source.span is None or ratio is None or max(ratio) == 1 or not isinstance(stride, tuple):
            continue
        new = tuple(own * by for own, by in zip(stride, ratio, strict=True))
        if all(each.denominator == 1 and each >= 1 for each in new):
            plain = [int(each) for each in new]
            edit = Edit({"stride": plain})
            yield Remedy(f"set `stride: {_pair(plain)}` in `{source.path}`", {source.span: edit})


def _own(node: Refused) -> Iterator[Remedy]:
    """What the node itself may do about an input that is too small: pad it, or have a smaller kernel."""
    if node.refusal.lacking is None:
        return
    axis, least = node.refusal.lacking
    size, fields = node.types[0].space[axis], type(node.op).model_fields
    kernel, padding = getattr(node.op, "kernel", None), getattr(node.op, "padding", None)
    if size is None or not isinstance(kernel, tuple):
        return
    if isinstance(padding, tuple) and len(set(padding)) == 1:
        pad = padding[0] + -(-(least - size) // 2)
        if pad <= min(kernel) // 2:
            yield Remedy(f"set `padding: {pad}` in `{node.path}`", {node.span: Edit({"padding": pad})})
    smaller = kernel[axis] - (least - size)
    if "kernel" in fields and smaller > 1 and getattr(node.op, "dilation", (1, 1)) == (1, 1):
        yield Remedy(f"set `kernel: {smaller}` in `{node.path}`", {node.span: Edit({"kernel": smaller})})


# -- other inputs


def _channels_last(histories: Histories) -> Iterator[Remedy]:
    """An input turned so that its channels stand first."""
    for name, type in histories.inputs.items():
        if meant := channels_first(type):
            height, width, channels = type.shape
            yield Remedy(f"write `{name}: {meant}`", inputs={name: TensorType((channels, height, width))})


def _inputs(fault: Diagnostic, node: Refused, histories: Histories, attempts: Attempts) -> list[str]:
    """The nearest sizes of the input that fit."""
    nearest = nearest_inputs(node.path, histories.inputs, attempts)
    names = _listed([name for name, type in histories.inputs.items() if type.is_map])
    fitting: list[str] = []
    for sizes in nearest.sizes:
        changed = {name: TensorType((type.channels, *sizes)) for name, type in histories.inputs.items() if type.is_map}
        fitting += _mending(fault, attempts, [Remedy("×".join(map(str, sizes)), inputs=changed)], 1, strictly=True)
    return [f"make {names} {' or '.join(fitting)}{nearest.rule}"] if fitting else []


def _swaps(node: Refused) -> Iterator[Remedy]:
    """Another value of the scope in the place of one that does not fit."""
    if node.scope is None:
        return
    names = reversed(list(islice(node.scope.local.bindings.items(), LOOKED_AT)))
    taken = {wire.ref for wire in node.wires}
    free = getattr(node.op, "axis", None)
    bound = [(name, each.ports[""]) for name, each in names if isinstance(each, Bound) and "" in each.ports]
    for at, _, _, wanted in _pairs(node):
        rank = len(wanted.shape)
        axes = [axis for axis in range(rank) if free is None or axis != free % rank]
        for name, wire in bound:
            type = wire.type
            if type is None or wire.ref in taken or len(type.shape) != rank:
                continue
            if all(type.shape[axis] == wanted.shape[axis] for axis in axes):
                told = f"use `{name}`, which is {type}, instead of `{node.wires[at].ref.node}`"
                yield Remedy(told, {node.span: Edit(sources={at: name})})


def _to_a_rank(node: Refused, histories: Histories) -> Iterator[Remedy]:
    """A vector of a map, or the map that a vector was made of."""
    at = node.refusal.inputs[0]
    name, type = node.wires[at].ref.node, node.wires[at].type
    if type is not None and type.is_map:
        for ops, features in ((("flatten",), type.elements), (("global_avg_pool", "flatten"), type.channels)):
            told = " and ".join(f"`{op}`" for op in ops)
            edit = Edit(before={at: tuple((op, NOTHING) for op in ops)})
            told = f"put {told} between `{name}` and `{node.path}`, for a vector of {features}"
            yield Remedy(told, {node.span: edit})
    made = histories.made_vector(node.wires[at].ref)
    if made and made.inputs[0].port == 0 and type is not None and type.is_vector:
        before = made.inputs[0].node
        told = f"put `{node.path}` before `{made.path}`, where it gets {histories.types(made)[0]}"
        yield Remedy(told, {node.span: Edit(sources={at: before})})


# -- nodes between


def _factor(node: Refused) -> Iterator[Remedy]:
    """What may be meant by adding a number per channel to a map."""
    for at, _, given, wanted in _pairs(node):
        if node.op.name == "add" and given.is_map and given.space == (1, 1) and wanted.is_map and wanted.known:
            name, spread = node.wires[at].ref.node, {"size": list(wanted.space)}
            told = f"put `upsample: {_flow(spread)}` between `{name}` and `{node.path}`, to add it at each position"
            yield Remedy(told, {node.span: Edit(before={at: (("upsample", spread),)})})
            yield Remedy(f"write `mul`, to scale each channel by `{name}`", {node.span: Edit(op="mul")})


def _between(node: Refused) -> Iterator[Remedy]:
    """A node before one of the inputs that gives it the shape of the other."""
    for at, _, given, wanted in _pairs(node):
        for name, attributes in _makers(node, given, wanted):
            told = f"put `{name}: {_flow(attributes)}` between `{node.wires[at].ref.node}` and `{node.path}`"
            yield Remedy(told, {node.span: Edit(before={at: ((name, attributes),)})})
    if node.op.name == "add":
        for at, other, _, _ in _pairs(node):
            name, like = node.wires[at].ref.node, node.wires[other].ref.node
            told = f"put a `conv` with `kernel: 1` between `{name}` and `{node.path}`, whose `out` and `stride`"
            yield Remedy(f"{told} follow `{like}` in each instance", {node.span: Edit(projected={at: other})})


def _makers(node: Refused, given: TensorType, wanted: TensorType) -> Iterator[tuple[str, Attributes]]:
    """Ops that make a map of the wanted shape of another one."""
    ratio = _ratio(given, wanted)
    if ratio is None:
        return
    down = all(each >= 1 and each.denominator == 1 for each in ratio)
    strides = _pair([int(each) for each in ratio])
    if node.op.name != "concat" and given.channels != wanted.channels:
        if down:
            stride = {} if max(ratio) == 1 else {"stride": strides}
            yield "conv", {"out": wanted.channels, "kernel": 1, **stride}
        return
    if given.space == wanted.space:
        return
    if down and given.space != (1, 1):
        yield "max_pool", {"kernel": strides}
    if all(each <= 1 for each in ratio):
        whole = all((1 / each).denominator == 1 for each in ratio) and given.space != (1, 1)
        key, value = (
            ("factor", [int(1 / each) for each in ratio]) if whole else ("size", [each or 1 for each in wanted.space])
        )
        yield "upsample", {key: _pair(value) if whole else value}


# -- words and pairs


def _pairs(node: Refused) -> Iterator[tuple[int, int, TensorType, TensorType]]:
    """Of the two inputs that differ each with the other: their places and their types, the larger first."""
    if len(node.refusal.inputs) < 2:
        return
    a, b = node.refusal.inputs[:2]
    one, other = node.wires[a].type, node.wires[b].type
    if one is None or other is None:
        return
    pairs = [(a, b, one, other), (b, a, other, one)]
    yield from sorted(pairs, key=lambda pair: -(pair[2].elements or 0))


def _ratio(given: TensorType, wanted: TensorType) -> tuple[Fraction, Fraction] | None:
    """How many times as high and as wide as wanted a map is; rounded up to a stride where one leads there."""
    if not (given.is_map and wanted.is_map) or None in (*given.space, *wanted.space):
        return None
    height, width = (_times(a or 1, b or 1) for a, b in zip(given.space, wanted.space, strict=True))
    return height, width


def _times(size: int, wanted: int) -> Fraction:
    stride = -(-size // wanted)
    return Fraction(stride) if stride > 1 and -(-size // stride) == wanted else Fraction(size, wanted)


def _pair(sizes: list[int]) -> int | list[int]:
    return sizes[0] if len(set(sizes)) == 1 else sizes


def _flow(attributes: Attributes) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in attributes.items()) + "}"


def _listed(names: list[str]) -> str:
    """Names in a sentence."""
    told = [f"`{name}`" for name in names]
    return " and ".join([", ".join(told[:-1]), told[-1]] if len(told) > 1 else told)
