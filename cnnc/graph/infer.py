"""One node at a time: from written attributes to a proved node.

In: an op's name, its attributes as values, and the wires that it takes. Out: a `Node` with its types and cost, or
diagnostics. The limits on the size of a network are kept here, before anything of that size is built.
"""

from collections.abc import Callable

from cnnc.diagnostics import Code, Diagnostic, Note, Span
from cnnc.graph.graph import Node, Ref
from cnnc.graph.scope import FAILED, Bound, Wire
from cnnc.ops import registry
from cnnc.ops.base import Cost, Op, Refusal
from cnnc.ops.types import TensorType, Types
from cnnc.spec.validate import ATTRIBUTES, validate
from cnnc.spec.value import Value

MAX_PARAMS = 10**10
MAX_ELEMENTS = 10**10
MAX_NODES = 100_000

Report = Callable[[Diagnostic], None]


class Inference:
    """The nodes proved so far, and what they add up to."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.params = 0

    def add(
        self,
        kind: str,
        path: str,
        span: Span,
        attributes: Value,
        wires: tuple[Wire, ...],
        source: Span,
        report: Report,
        unknown: frozenset[str] = frozenset(),
    ) -> Bound:
        """Prove the node `path` and give what its name stands for; a node that fails stands for unknown values.

        `unknown` are the attributes that are written but have no value.
        """
        op = validate(registry.get(kind), attributes, f"`{kind}`", report, ATTRIBUTES, unknown)
        if not _arity_fits(registry.get(kind), len(wires), source, report) or op is None:
            return FAILED
        types = tuple(wire.type for wire in wires)
        known = tuple(each for each in types if each is not None)
        if len(known) < len(types):
            return _bound(op, path, span, None)
        try:
            found = op.infer(*known)
        except Refusal as refusal:
            report(_refused(refusal, span, attributes, wires, source))
            return _bound(op, path, span, None)
        outputs = (found,) if isinstance(found, TensorType) else found
        cost = op.cost(*known)
        if not self._within_limits(op, path, span, outputs, cost, report):
            return _bound(op, path, span, None)
        self.nodes.append(Node(path, op, tuple(wire.ref for wire in wires), outputs, cost, span))
        return _bound(op, path, span, outputs)

    def _within_limits(self, op: Op, path: str, span: Span, outputs: Types, cost: Cost, report: Report) -> bool:
        most = max(known_elements(each) for each in outputs)
        before, self.params = self.params, self.params + cost.params
        if most > MAX_ELEMENTS:
            message = f"the output of `{path}` has {most:,} elements per sample, at most {MAX_ELEMENTS:,} are allowed"
        elif self.params > MAX_PARAMS >= before:
            message = f"`{path}` has {cost.params:,} parameters, which makes {self.params:,} so far; at most {MAX_PARAMS:,} are allowed"
        else:
            return True
        report(Diagnostic(Code.TOO_BIG, message, span, label=f"{op.name} gives {outputs[0]}", help="make it smaller"))
        return False


def known_elements(of: TensorType) -> int:
    """The elements of a type, its unknown sizes counted as 1."""
    return TensorType(tuple(1 if size is None else size for size in of.shape)).elements or 0


def _bound(op: Op, path: str, span: Span, outputs: Types | None) -> Bound:
    return Bound(
        {port: Wire(Ref(path, index), outputs[index] if outputs else None, span) for index, port in enumerate(op.ports)}
    )


def _arity_fits(op: type[Op], count: int, source: Span, report: Report) -> bool:
    if op.least_inputs <= count <= op.most_inputs:
        return True
    if op.least_inputs == op.most_inputs:
        wanted = f"{op.least_inputs} input{'s' * (op.least_inputs > 1)}"
    else:
        wanted = f"{op.least_inputs} or more inputs"
    way_out = (
        "name them: `from: [a, b]`"
        if count < op.least_inputs
        else "name one of them in `from`, or `concat` or `add` them first"
    )
    report(Diagnostic(Code.WRONG_ARITY, f"`{op.name}` takes {wanted}, got {count}", source, help=way_out))
    return False


def _refused(refusal: Refusal, span: Span, attributes: Value, wires: tuple[Wire, ...], source: Span) -> Diagnostic:
    """A refusal at its place, with the places that the shapes come from."""
    assert isinstance(attributes.data, dict)
    blamed = attributes.data.get(refusal.attribute) if refusal.attribute else None
    place = blamed.span if blamed is not None else span
    if refusal.code == Code.UNEQUAL_SHAPES:
        place = source
    notes = tuple(
        Note(f"`{wires[index].ref.node}` is {wires[index].type}", wires[index].span)
        for index in refusal.inputs
        if index < len(wires)
    )
    return Diagnostic(refusal.code, refusal.message, place, refusal.label, notes, refusal.help)
