"""Checks one node at a time: its attributes, its number of inputs, and its shapes.

Takes the name of an op, its attributes as values, and its input wires; adds a `Node` with its types and cost, or
reports diagnostics. The refusal of an op becomes a diagnostic with the data for the search for its cause.
"""

import re
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from cnnc.diagnostics import Allow, Code, Diagnostic, Note, Report, Span, counted
from cnnc.expand.limits import count_links, require_room
from cnnc.expand.references import hidden_inputs
from cnnc.expand.scope import FAILED, Bound, Scope, Wire, Wires
from cnnc.expand.sharing import Sharing
from cnnc.expressions.budget import Work
from cnnc.graph.graph import Boundary, Node, Ref
from cnnc.language.names import LONGEST
from cnnc.language.validate import ATTRIBUTES, quote, validate
from cnnc.ops import registry
from cnnc.ops.base import Cost, Op, Refusal
from cnnc.ops.types import TensorType, Types
from cnnc.text.value import Value

if TYPE_CHECKING:
    from cnnc.expand.edits import Edits

MAX_PARAMS = 10**10
MAX_ELEMENTS = 10**10
LONGEST_PATH = 256  # characters
SMALLER = "give it fewer channels or features, or a smaller input: a stride, a pool or `global_avg_pool` before it"


class Written(NamedTuple):
    """An op as the spec writes it. `unknown` are the attributes that are written but have no value.

    `named` is its `from`, if it has one.
    """

    op: str
    attributes: Value
    span: Span
    source: Span  # where its inputs are named
    unknown: frozenset[str] = frozenset()
    allow: tuple[Allow, ...] = ()
    share: Span | None = None
    named: Value | None = None


class Refused(NamedTuple):
    """A node that refused its inputs; the search for the cause finds it in `Diagnostic.origin`.

    `scope` is the scope of the node. `names` are the places of the names of its inputs in its `from`: None if it takes
    the node before it, without a `from`, and empty if they are not written one by one. If no size fits the network,
    `nodes` have the types for one size, and there is no scope.
    """

    path: str
    op: Op
    wires: Wires
    refusal: Refusal
    span: Span
    scope: Scope | None = None
    notes: int = 0  # how many of the diagnostic's notes are about its inputs
    nodes: tuple[Node, ...] | None = None
    names: tuple[Span, ...] | None = ()

    @property
    def types(self) -> Types:
        """The types of its inputs, all of which are known."""
        return tuple(wire.type for wire in self.wires if wire.type is not None)


class Inference:
    """The nodes checked so far, their scopes, and their totals."""

    def __init__(self, work: Work, edits: "Edits | None" = None) -> None:
        self.nodes: list[Node] = []
        self.scopes: dict[str, str] = {}
        self.boundaries: dict[str, Boundary] = {}
        self.allows: dict[str, tuple[Allow, ...]] = {}
        self.failures = 0
        self.work = work
        self.edits: Edits = edits or {}
        self.sharing = Sharing(self.nodes, self.scopes)
        self._params = 0
        self._ops: dict[int, tuple[Value, Op]] = {}
        self._inferred: dict[tuple[int, Types], tuple[Op, Types, Cost]] = {}
        self._allowed: dict[tuple[int, int], tuple[tuple[Allow, ...], ...]] = {}

    def add(self, written: Written, path: str, wires: Wires, scope: Scope, shares: str | None = None) -> Bound:
        """Check the node `path` and return the `Bound` for its name; the outputs of a node that fails are unknown.

        `shares` is the path of the node whose parameters it shares.
        """
        require_room(1, written.span, scope)
        scope.work.nodes += 1
        if len(path) > LONGEST_PATH:
            if max(map(len, path.split("."))) <= LONGEST:  # otherwise a name in it has been refused for its length
                scope.report(_too_long(path, written.span))
            self.failures += 1
            return FAILED
        kind = registry.get(written.op)
        op = self._op(kind, written, scope)
        if (edit := self.edits.get(written.span)) and op is not None:
            op, wires = edit.apply(op), edit.connect(wires, scope)
            kind = type(op)
        hidden = hidden_inputs(written.op, written.attributes)
        if not _arity_fits(kind, len(wires) - hidden, written.source, scope.report) or op is None:
            self.failures += 1
            return FAILED
        if allow := self.allowed(written.allow, scope.allow):
            self.allows[path] = allow
        count_links(len(op.ports), written.span, scope)
        found = self._infer(op, written, path, wires, scope, shares)
        self.failures += found is None
        return _bound(op, path, written.span, found)

    def enclose(self, path: str, wires: Wires, bound: Bound, span: Span) -> Bound:
        """Record what a scope takes and gives, and its place; return what it gives."""
        gives: dict[Ref, str] = {}
        for port, wire in bound.ports.items():
            gives.setdefault(wire.ref, port)
        self.boundaries[path] = Boundary(tuple(wire.ref for wire in wires), gives, span)
        return bound

    def allowed(self, own: tuple[Allow, ...], around: tuple[Allow, ...]) -> tuple[Allow, ...]:
        """The `allow`s of an item and of the scopes around it; the same tuple for all instances."""
        if not own:
            return around
        key = id(own), id(around)
        if key not in self._allowed:
            self._allowed[key] = own, around, (*own, *around)  # keeps the objects alive, so that their ids stay valid
        return self._allowed[key][2]

    def _op(self, kind: type[Op], written: Written, scope: Scope) -> Op | None:
        """The op with its attributes, validated once for all instances of a line without expressions."""
        key = id(written.attributes)
        if key in self._ops and not written.unknown:
            return self._ops[key][1]
        what = f"`{written.op}`"
        op = validate(kind, written.attributes, what, scope.report, ATTRIBUTES, written.unknown, scope.knows)
        if op is not None:
            self._ops[key] = written.attributes, op  # keeps the objects alive, so that their ids stay valid
        return op

    def _infer(
        self, op: Op, written: Written, path: str, wires: Wires, scope: Scope, shares: str | None
    ) -> Types | None:
        types = tuple(wire.type for wire in wires)
        known = tuple(each for each in types if each is not None)
        if len(known) < len(types):
            return None
        try:
            outputs, cost = self._outputs(op, known)
        except Refusal as refusal:
            scope.report(_refused(refusal, op, written, path, wires, scope))
            return None
        node = Node(path, op, tuple(wire.ref for wire in wires), outputs, cost, written.span)
        if shares is not None:
            shared = self.sharing.shared(node, known, shares, written.share)
            if isinstance(shared, Node):
                node = shared
            elif not self.failures:  # otherwise the other node may be missing because of another error
                scope.report(shared)
        if objection := self._too_large(path, outputs, node.cost):
            scope.report(Diagnostic(Code.TOO_BIG, objection, written.span, f"the output is {outputs[0]}", help=SMALLER))
            return None
        self.nodes.append(node)
        self.sharing.inputs.append(known)
        return outputs

    def _outputs(self, op: Op, inputs: Types) -> tuple[Types, Cost]:
        """The output types and the cost, inferred once for all instances of an op that have the same input types."""
        key = id(op), inputs
        if key not in self._inferred:
            found = op.infer(*inputs)
            outputs = (found,) if isinstance(found, TensorType) else found
            self._inferred[key] = op, outputs, op.cost(*inputs)  # keeps the op alive, so that its id stays valid
        return self._inferred[key][1:]

    def _too_large(self, path: str, outputs: Types, cost: Cost) -> str | None:
        """Why a node is too large, or makes the network too large; None if it is not."""
        most = max(known_elements(each) for each in outputs)
        before, self._params = self._params, self._params + cost.params
        if most > MAX_ELEMENTS:
            return f"the output of `{path}` has {most:,} elements per sample; at most {MAX_ELEMENTS:,} are allowed"
        if self._params > MAX_PARAMS >= before:
            together = f", which makes {self._params:,} so far" if before else ""
            return f"`{path}` has {cost.params:,} parameters{together}; at most {MAX_PARAMS:,} are allowed"
        return None


def _too_long(path: str, span: Span) -> Diagnostic:
    message = f"the path {quote(path)} has {len(path)} characters; at most {LONGEST_PATH} are allowed"
    return Diagnostic(Code.BAD_NAME, message, span, help="shorten the names of the scopes around it")


def known_elements(of: TensorType) -> int:
    """The number of elements of a type, with unknown sizes counted as 1."""
    return prod(1 if size is None else size for size in of.shape)


def _bound(op: Op, path: str, span: Span, outputs: Types | None) -> Bound:
    return Bound(
        {port: Wire(Ref(path, index), outputs[index] if outputs else None, span) for index, port in enumerate(op.ports)}
    )


def _arity_fits(op: type[Op], count: int, source: Span, report: Report) -> bool:
    if op.least_inputs <= count <= op.most_inputs:
        return True
    if op.least_inputs == op.most_inputs:
        wanted = counted(op.least_inputs, "input")
    elif count < op.least_inputs:
        wanted = f"{op.least_inputs} or more inputs"
    else:
        wanted = f"at most {op.most_inputs:,} inputs"
    way_out = (
        "name them: `from: [a, b]`"
        if count < op.least_inputs
        else "name one of them in `from`, or `concat` or `add` them first"
    )
    report(Diagnostic(Code.WRONG_ARITY, f"`{op.name}` takes {wanted}, got {count}", source, help=way_out))
    return False


def _refused(refusal: Refusal, op: Op, written: Written, path: str, wires: Wires, scope: Scope) -> Diagnostic:
    """The diagnostic for a refusal, with notes on the inputs. Replaces `input N` in the op's message by node names."""
    assert isinstance(written.attributes.data, dict)
    blamed = written.attributes.data.get(refusal.attribute) if refusal.attribute else None
    place = blamed.span if blamed is not None else written.span
    if refusal.code == Code.UNEQUAL_SHAPES:
        place = written.source
    notes = tuple(
        Note(f"`{wires[index].ref.node}` is {_shown(wires[index].type)}", wires[index].span)
        for index in refusal.inputs
        if index < len(wires)
    )
    local = path.rpartition(".")[2]
    if not re.search(rf"\b{re.escape(local)}\b", written.span.source.line(written.span.line)):
        notes = (*notes, Note(f"this is the node `{path}`"))
    message = re.sub(r"\binput (\d+)\b", lambda found: f"`{wires[int(found[1])].ref.node}`", refusal.message)
    origin = Refused(path, op, wires, refusal, written.span, scope, len(notes), names=_names(written.named, len(wires)))
    return Diagnostic(refusal.code, message, place, refusal.label, notes, refusal.help, origin=origin)


def _names(given: Value | None, count: int) -> tuple[Span, ...] | None:
    """The places of the names in a `from`; empty if it does not name each of `count` inputs."""
    if given is None:
        return None
    entries = given.data if isinstance(given.data, tuple) else (given,)
    plain = all(isinstance(each.data, str) and "$" not in each.data for each in entries)
    return tuple(each.span for each in entries) if plain and len(entries) == count else ()


def _shown(of: TensorType | None) -> str:
    return f"a vector of {of}" if of is not None and of.is_vector else str(of)
