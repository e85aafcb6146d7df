"""Finds changes that correct an error of shapes, by trying them.

Takes an error and the findings from its size history; returns the changes that correct it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

from cnnc.causes.attempts import Attempts, Outcome
from cnnc.causes.insertions import insertions, numbers_per_channel, projections, space_ratio
from cnnc.causes.nearest_inputs import nearest_inputs
from cnnc.causes.remedy import Remedy, line, listed, pair
from cnnc.causes.size_history import Histories, Step
from cnnc.diagnostics import Code, Diagnostic, Span
from cnnc.expand.edits import NOTHING, Edit
from cnnc.expand.hints import channels_first
from cnnc.expand.infer_node import Refused
from cnnc.expand.scope import Bound
from cnnc.ops.base import Op
from cnnc.ops.types import TensorType

MOST_PROPOSED = 3  # changes proposed for one fault
MOST_TRIED = 6  # changes of one kind
MOST_NAMES = 200  # names of a scope that are compared
FAULTS_OF_MAPS = frozenset({Code.UNEQUAL_SHAPES, Code.WINDOW_MISFIT})


@dataclass(frozen=True, slots=True)
class Found:
    """The findings from the history of a fault: the nodes that may have caused it, for each path.

    The paths are `even` if their strides and factors are equal, so that other input sizes may fit.
    """

    ways: tuple[tuple[Step, ...], ...] = ()
    even: bool = False


def remedies(fault: Diagnostic, node: Refused, found: Found, histories: Histories, attempts: Attempts) -> list[Remedy]:
    """The first few changes that correct a fault, the most likely first."""

    def tried(tries: Iterator[Remedy], most: int, **how: bool) -> list[Remedy]:
        return list(_mending(fault, attempts, islice(tries, MOST_TRIED), most, **how))

    if fault.code in FAULTS_OF_MAPS and (turned := list(_channels_last(histories))):
        ways = tried(iter(turned), 1)
    elif fault.code == Code.WRONG_RANK:
        ways = tried(_to_a_rank(node, histories), 2)
    elif fault.code == Code.UNKNOWN_SIZE:
        ways = tried(numbers_per_channel(node, histories.ops), 2)
    else:
        ways = tried(_paddings(found, histories), 1) or tried(_padding_numbers(found, histories), 1)
        if found.even:
            ways += tried(_own(node), MOST_PROPOSED)
            ways += _inputs(fault, node, histories, attempts)
        ways = ways or tried(numbers_per_channel(node, histories.ops), 2)
        ways += tried(_swaps(node), 1, strictly=bool(ways))
        ways = ways or tried(_after_padding(node, found, histories, attempts), 1, strictly=True)
        if not ways:
            ways = tried(_strides(node, histories), 2, strictly=True)
            if len(ways) < 2:
                ways += tried(insertions(node), 2, strictly=bool(ways))
        ways = ways or tried(projections(node), 2)
    return ways[:MOST_PROPOSED]


def _mending(
    fault: Diagnostic, attempts: Attempts, tries: Iterable[Remedy], most: int, *, strictly: bool = False
) -> Iterator[Remedy]:
    """Yield the first changes that correct the fault, or else the first one that reveals another error."""
    behind: Remedy | None = None
    mended = 0
    for each in tries:
        outcome = attempts.outcome(each.edits, each.inputs)
        if outcome is None or not attempts.mends(fault, outcome) or not _keeps(each, outcome):
            continue
        if not outcome.hidden:
            yield each
            mended += 1
            if mended == most:
                return
        behind = behind or each
    if behind and not mended and not strictly:
        yield replace(behind, text=f"{behind.text} (which reveals another error)")


def _keeps(remedy: Remedy, outcome: Outcome) -> bool:
    """Whether the network still uses what a remedy must not leave unused."""
    graph, path = outcome.graph, remedy.kept
    if path is None or graph is None:
        return True
    used = {ref.node for node in graph.nodes for ref in node.inputs} | {each.ref.node for each in graph.outputs}
    return path in used


# -- changes of earlier nodes


def _paddings(found: Found, histories: Histories) -> Iterator[Remedy]:
    """Padding that keeps sizes: in single nodes, in the nodes of one path, in all of them."""
    for steps in _lossy(found):
        names = listed([histories.line(step.node.path) for step in steps.values()])
        yield Remedy(f"set `padding: same` in {names}", dict.fromkeys(steps, Edit({"padding": "same"})))


def _padding_numbers(found: Found, histories: Histories) -> Iterator[Remedy]:
    """The same as numbers, half of what a window covers: `same` cannot be computed for open sizes."""
    for steps in _lossy(found):
        pads = {span: pair([reach // 2 for reach in _extent(step.node.op)]) for span, step in steps.items()}
        text = [f"`padding: {pads[span]}` in `{histories.line(step.node.path)}`" for span, step in steps.items()]
        yield Remedy(f"set {' and '.join(text)}", {span: Edit({"padding": pad}) for span, pad in pads.items()})


def _lossy(found: Found) -> Iterator[dict[Span, Step]]:
    """Nodes whose windows lose rows and that can be padded, by line: single ones, those of one way, all of them."""
    ways = [_by_line(step for step in way if step.loses) for way in found.ways]
    every = {span: step for way in ways for span, step in way.items()}
    together = [*({span: step} for span, step in islice(every.items(), MOST_TRIED // 2)), *ways, every]
    seen = set()
    for steps in together:
        if 0 < len(steps) <= MOST_TRIED and tuple(steps) not in seen:
            seen.add(tuple(steps))
            yield steps


def _extent(op: Op) -> tuple[int, ...]:
    """The extent of a window along each axis."""
    kernel, dilation = getattr(op, "kernel", (1, 1)), getattr(op, "dilation", (1, 1))
    return tuple(by * (size - 1) + 1 for size, by in zip(kernel, dilation, strict=True))


def _after_padding(node: Refused, found: Found, histories: Histories, attempts: Attempts) -> Iterator[Remedy]:
    """Padding at all nodes that lose rows, together with nodes before the inputs that still differ then."""
    *_, padded = [Remedy(""), *_paddings(found, histories)]
    outcome = attempts.outcome(padded.edits) if padded.edits else None
    if outcome is None or outcome.graph is None:
        return
    known = {each.path for each in outcome.graph.nodes} | {each.name for each in outcome.graph.inputs}
    if all(wire.ref.node in known for wire in node.wires):
        for each in insertions(node, tuple(outcome.graph.type_of(wire.ref) for wire in node.wires)):
            yield Remedy(f"{padded.text} and {each.text}", {**padded.edits, **each.edits})


def _by_line(steps: Iterable[Step]) -> dict[Span, Step]:
    """The steps whose padding can be changed, one for each line of the spec."""
    padded = (step for step in steps if "padding" in type(step.node.op).model_fields and step.node.op.name != "pad")
    return {step.node.span: step for step in padded if step.node.span}


def _strides(node: Refused, histories: Histories) -> Iterator[Remedy]:
    """Another stride of one of the nodes whose values differ."""
    for at, _, given, wanted in _pairs(node):
        source = histories.nodes.get(node.wires[at].ref.node)
        ratio = space_ratio(given, wanted)
        stride = getattr(source and source.op, "stride", None)
        if source is None or source.span is None or ratio is None or max(ratio) == 1 or not isinstance(stride, tuple):
            continue
        new = tuple(own * by for own, by in zip(stride, ratio, strict=True))
        if all(each.denominator == 1 and each >= 1 for each in new):
            plain = pair([int(each) for each in new])
            edit = Edit({"stride": plain})
            yield Remedy(f"set `stride: {plain}` in `{histories.line(source.path)}`", {source.span: edit})


def _own(node: Refused) -> Iterator[Remedy]:
    """Changes of the node itself if its input is too small: padding, or a smaller kernel."""
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
            yield Remedy(f"set `padding: {pad}` in `{line(node)}`", {node.span: Edit({"padding": pad})})
    smaller = kernel[axis] - (least - size)
    if "kernel" in fields and smaller > 1 and getattr(node.op, "dilation", (1, 1)) == (1, 1):
        yield Remedy(f"set `kernel: {smaller}` in `{line(node)}`", {node.span: Edit({"kernel": smaller})})


# -- other inputs


def _channels_last(histories: Histories) -> Iterator[Remedy]:
    """An input with its channels moved first."""
    for name, type in histories.inputs.items():
        if meant := channels_first(type):
            height, width, channels = type.shape
            yield Remedy(f"write `{name}: {meant}`", inputs={name: TensorType((channels, height, width))})


def _inputs(fault: Diagnostic, node: Refused, histories: Histories, attempts: Attempts) -> list[Remedy]:
    """The nearest sizes of the input that fit, as a single text."""
    nearest = nearest_inputs(node.path, histories.inputs, attempts)
    maps = {name: type for name, type in histories.inputs.items() if type.is_map}
    fitting: list[Remedy] = []
    for sizes in nearest.sizes:
        changed = {name: TensorType((type.channels, *sizes)) for name, type in maps.items()}
        fitting += _mending(fault, attempts, [Remedy("×".join(map(str, sizes)), inputs=changed)], 1, strictly=True)
    make = f"make {listed([*maps])} "
    text = f"{make}{' or '.join(each.text for each in fitting)}{nearest.rule}"
    return [Remedy(text, choices=tuple(replace(each, text=make + each.text) for each in fitting))] if fitting else []


def _swaps(node: Refused) -> Iterator[Remedy]:
    """Another value in scope instead of one that does not fit."""
    if node.scope is None:
        return
    names = reversed(list(islice(node.scope.local.bindings.items(), MOST_NAMES)))
    taken = {wire.ref for wire in node.wires}
    free = getattr(node.op, "axis", None)
    bound = [(name, each.ports[""]) for name, each in names if isinstance(each, Bound) and "" in each.ports]
    for at, _, given, wanted in _pairs(node):
        rank = len(wanted.shape)
        if given.is_map and (not wanted.is_map or wanted.space == (1, 1)):
            continue  # a whole map would be lost
        axes = [axis for axis in range(rank) if free is None or axis != free % rank]
        for name, wire in bound:
            type = wire.type
            if type is None or wire.ref in taken or len(type.shape) != rank:
                continue
            if all(type.shape[axis] == wanted.shape[axis] for axis in axes):
                replaced = node.wires[at].ref.node
                text = f"use `{name}`, which is {type}, instead of `{replaced}`"
                yield Remedy(text, {node.span: Edit(sources={at: name})}, kept=replaced)


def _to_a_rank(node: Refused, histories: Histories) -> Iterator[Remedy]:
    """A map turned into a vector, or the map that a vector was made of."""
    at = node.refusal.inputs[0]
    name, type = node.wires[at].ref.node, node.wires[at].type
    if type is not None and type.is_map:
        averaged = [] if type.space == (1, 1) else [(("global_avg_pool", "flatten"), type.channels)]
        for ops, features in [(("flatten",), type.elements), *averaged]:
            names = " and ".join(f"`{op}`" for op in ops)
            edit = Edit(before={at: tuple((op, NOTHING) for op in ops)})
            text = f"put {names} between `{name}` and `{line(node)}`, for a vector of {features}"
            yield Remedy(text, {node.span: edit})
    made = histories.made_vector(node.wires[at].ref)
    if made and made.inputs[0].port == 0 and type is not None and type.is_vector:
        before = made.inputs[0].node
        text = f"put `{line(node)}` before `{made.path}`, where it gets {histories.types(made)[0]}"
        yield Remedy(text, {node.span: Edit(sources={at: before})}, moves=True)


# -- pairs


def _pairs(node: Refused) -> Iterator[tuple[int, int, TensorType, TensorType]]:
    """Each of the two inputs that differ with the other one: their positions and types, the larger first."""
    if len(node.refusal.inputs) < 2:
        return
    a, b = node.refusal.inputs[:2]
    one, other = node.wires[a].type, node.wires[b].type
    if one is None or other is None:
        return
    pairs = [(a, b, one, other), (b, a, other, one)]
    yield from sorted(pairs, key=lambda pair: -(pair[2].elements or 0))
