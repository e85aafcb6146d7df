"""Explains errors of shapes: where the sizes began to differ, and which changes correct the error.

Takes the errors of a check and the network as far as it could be proved; returns the errors, those of shapes with notes
on the sizes that led to them and with help that has been tried. Not used for valid specs.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from cnnc.causes.attempts import Attempts
from cnnc.causes.choices import choices_of
from cnnc.causes.remedies import Found, remedies
from cnnc.causes.size_history import Chain, Histories, Step, lost_before, parted, sides
from cnnc.diagnostics import Code, Diagnostic, Note, Span
from cnnc.expand.infer_node import Refused
from cnnc.expand.scope import Wire
from cnnc.graph.graph import Graph, Ref
from cnnc.language.model import Spec
from cnnc.ops.types import TensorType
from cnnc.text.value import Value

MOST_EXPLAINED = 8  # faults of a check; later ones often have the same cause
CAUSES = 3  # nodes that are named for one fault
EXPLAINED = frozenset({Code.UNEQUAL_SHAPES, Code.WINDOW_MISFIT, Code.WRONG_RANK})


@dataclass(frozen=True, slots=True)
class History:
    """What led to a fault: where a search for ways out begins, chains of sizes, and what single nodes made.

    `blamed` are the steps that `made` is to tell of, once those of all inputs are known.
    """

    found: Found = field(default_factory=Found)
    chains: tuple[Note, ...] = ()
    made: tuple[Note, ...] = ()
    blamed: tuple[Step, ...] = ()


def explain(faults: list[Diagnostic], graph: Graph, spec: Spec, overrides: Mapping[str, Value]) -> list[Diagnostic]:
    """The faults in the same order; those of shapes with notes on causes and tried help."""
    explained = [each for each in faults if isinstance(each.origin, Refused) and _has_cause(each.code, each.origin)]
    if not explained:
        return faults
    chosen = set(map(id, explained[:MOST_EXPLAINED]))
    attempts = Attempts(spec, overrides, faults, graph.node)
    inputs = {each.name: each.type for each in graph.inputs}
    histories = Histories(graph.nodes, inputs, graph.scopes)

    def with_cause(fault: Diagnostic) -> Diagnostic:
        node = fault.origin
        if id(fault) not in chosen or not isinstance(node, Refused):
            return fault
        own = Histories(node.nodes, inputs, graph.scopes) if node.nodes else histories
        return _explained(fault, node, own, attempts)

    return [with_cause(fault) for fault in faults]


def _has_cause(code: Code, node: Refused) -> bool:
    """Whether a cause is looked for; of unknown sizes, for sums alone, which do not take a number per channel."""
    return code in EXPLAINED or (code == Code.UNKNOWN_SIZE and node.op.name == "add")


def _explained(fault: Diagnostic, node: Refused, histories: Histories, attempts: Attempts) -> Diagnostic:
    history = _history(node, histories)
    merged, causes = _with_causes(fault.notes, history.made)
    notes = [*merged[: node.notes], *history.chains, *causes, *merged[node.notes :]]
    ways = remedies(fault, node, history.found, histories, attempts)
    if not ways:
        return replace(fault, notes=tuple(notes))
    choices = tuple(choices_of(ways, node, attempts.spec))
    return replace(fault, notes=tuple(notes), help=", or ".join(each.text for each in ways), choices=choices)


def _with_causes(notes: tuple[Note, ...], causes: Iterable[Note]) -> tuple[list[Note], list[Note]]:
    """Merge causes into the notes on the same nodes; returns these and the notes on other nodes."""
    places = {note.span: place for place, note in enumerate(notes)}
    merged: list[Note] = list(notes)
    more: dict[Span | None, Note] = {}
    for cause in causes:
        place = places.get(cause.span)
        subject, _, rest = cause.message.partition(" ")
        if place is not None and merged[place].message.startswith(f"{subject} is "):
            if rest not in merged[place].message:
                merged[place] = merged[place]._replace(message=f"{merged[place].message}: it {rest}")
        else:
            more.setdefault(cause.span, cause)
    return merged, list(more.values())[:CAUSES]


def _history(node: Refused, histories: Histories) -> History:
    """The history of a node's inputs."""
    if node.refusal.code == Code.UNEQUAL_SHAPES:
        return _parting(node, histories)
    if node.refusal.lacking:
        return _shrinking(node, histories, *node.refusal.lacking)
    if node.refusal.code == Code.WRONG_RANK and node.types[0].is_vector:
        return History(made=tuple(_vectors(histories, node.wires[0].ref)))
    return History()


def _parting(node: Refused, histories: Histories) -> History:
    """Where the sizes of the first input and of each other input began to differ."""
    first, *others = (node.wires[place] for place in node.refusal.inputs)
    parts = [_two(node, first, other, histories) for other in others]
    if None in parts:
        return History(made=tuple(_vectors(histories, *(wire.ref for wire in (first, *others)))))
    known = [part for part in parts if part]
    ways = tuple(way for part in known for way in part.found.ways)
    joined = tuple(step for way in ways for step in way)
    chains = dict.fromkeys(note for part in known for note in part.chains)
    made = _notes(step for part in known for step in part.blamed)
    return History(Found((*ways, joined), all(part.found.even for part in known)), tuple(chains), made)


def _two(node: Refused, a: Wire, b: Wire, histories: Histories) -> History | None:
    """Where the sizes of two maps began to differ; None if they are not maps."""
    if a.type is None or b.type is None or not (a.type.is_map and b.type.is_map):
        return None
    meeting = histories.meeting(a.ref, b.ref)
    one, other = histories.chains(meeting, a.ref), histories.chains(meeting, b.ref)
    axes = differing(node, a.type, b.type)
    pairs = [(a, b) for a, b in ((one[axis], other[axis]) for axis in axes) if a and b]
    if not pairs or len(pairs) < len(axes):
        return History()
    causes = [step for pair in pairs for step in parted(*pair)]
    ways = tuple(tuple(step for step in causes if any(step in pair[at].steps for pair in pairs)) for at in (0, 1))
    even = all(each.rate is not None and each.rate == against.rate for each, against in pairs)
    before = _lost_before(meeting, a.type, b.type, axes, histories) if not even else []
    by_chain: dict[str, tuple[int, ...]] = {}
    for axis, pair in zip(axes, pairs, strict=True):
        for chain in pair:
            if len(chain.steps) > 1:
                by_chain[_chain(chain)] = (*by_chain.get(_chain(chain), ()), axis)
    notes = tuple(Note(f"the {sides(along)} {text}") for text, along in by_chain.items())
    blamed = causes if even or not by_chain else ()  # strides that differ are seen in the chains
    return History(Found((*ways, tuple(before)), even), notes, blamed=(*before, *blamed))


def _lost_before(
    meeting: str | None, a: TensorType, b: TensorType, axes: list[int], histories: Histories
) -> list[Step]:
    """Where rows were lost before two histories part, if one value has a size that the other would have without."""
    if meeting is None or meeting not in histories.nodes:
        return []
    chains = histories.chains(None, Ref(meeting))
    found = [(chain, (a.space[axis], b.space[axis])) for axis, chain in enumerate(chains) if chain and axis in axes]
    return [step for chain, sizes in found for step in lost_before(chain, sizes)]


def _vectors(histories: Histories, *refs: Ref) -> Iterator[Note]:
    """Notes on the maps that vectors were made of."""
    for ref in refs:
        if made := histories.made_vector(ref):
            yield Note(f"`{made.path}` makes a vector of {histories.types(made)[0]}", made.span)


def differing(node: Refused, a: TensorType, b: TensorType) -> list[int]:
    """The axes (0: height, 1: width) along which two maps must be equal but differ."""
    free = getattr(node.op, "axis", None)
    free = None if free is None else free % 3 - 1
    return [axis for axis in (0, 1) if axis != free and a.space[axis] != b.space[axis]]


def _shrinking(node: Refused, histories: Histories, axis: int, least: int) -> History:
    """The node that made a map smaller than needed, and the chain of sizes that led to it."""
    chain = histories.chains(None, node.wires[0].ref)[axis]
    if chain is None:
        return History()
    below = [step for step in chain.steps if step.before >= least > step.after][-1:]
    notes = (Note(f"the {sides((axis,))} {_chain(chain)}"),) if len(chain.steps) > 1 else ()
    return History(Found((chain.steps,), even=True), notes, _notes(below))


def _notes(steps: Iterable[Step]) -> tuple[Note, ...]:
    """What each node makes of sizes: of the height and of the width, if it is not the same."""
    by_node: dict[str, dict[int, Step]] = {}
    for step in steps:
        by_node.setdefault(step.node.path, {})[step.axis] = step
    return tuple(_note(path, [own[axis] for axis in sorted(own)]) for path, own in by_node.items())


def _note(path: str, steps: list[Step]) -> Note:
    changes = list(dict.fromkeys(map(str, steps)))
    if len(changes) > 1:
        changes = [f"the {sides((step.axis,))} from {step}" for step in steps]
    return Note(f"`{path}` changes {' and '.join(changes)}", steps[0].node.span)


def _chain(chain: Chain) -> str:
    return f"of `{chain.end}`, from `{chain.start}` on: {chain}"
