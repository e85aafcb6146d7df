"""Turns the refusal of an op into a diagnostic at its place, with the data for the search for its cause.

Takes a `Refusal`, the op as written, and its input wires; returns a diagnostic.
"""

import re
from typing import NamedTuple

from cnnc.diagnostics import Allow, Code, Diagnostic, Note, Span
from cnnc.expand.scope import Scope, Wire
from cnnc.graph.graph import Node
from cnnc.ops.base import Op, Refusal
from cnnc.ops.types import TensorType, Types
from cnnc.text.value import Value


class Written(NamedTuple):
    """An op as the spec writes it. `unknown` are the attributes that are written but have no value."""

    op: str
    attributes: Value
    span: Span
    source: Span  # where its inputs are named
    unknown: frozenset[str] = frozenset()
    allow: tuple[Allow, ...] = ()


class Refused(NamedTuple):
    """A node that refused its inputs; the search for the cause finds it in `Diagnostic.origin`.

    `scope` is the scope of the node. If no size fits the network, `nodes` have the types for one size, and there is no
    scope.
    """

    path: str
    op: Op
    wires: tuple[Wire, ...]
    refusal: Refusal
    span: Span
    scope: Scope | None = None
    notes: int = 0  # how many of the diagnostic's notes are about its inputs
    nodes: tuple[Node, ...] | None = None

    @property
    def types(self) -> Types:
        """The types of its inputs, all of which are known."""
        return tuple(wire.type for wire in self.wires if wire.type is not None)


def refused(refusal: Refusal, op: Op, written: Written, path: str, wires: tuple[Wire, ...], scope: Scope) -> Diagnostic:
    """The diagnostic for a refusal, with notes on the inputs. Replaces `input N` in the op's message by node names."""
    assert isinstance(written.attributes.data, dict)
    blamed = written.attributes.data.get(refusal.attribute) if refusal.attribute else None
    place = blamed.span if blamed is not None else written.span
    if refusal.code == Code.UNEQUAL_SHAPES:
        place = written.source
    notes = tuple(
        Note(f"`{wires[index].ref.node}` is {_shape(wires[index].type)}", wires[index].span)
        for index in refusal.inputs
        if index < len(wires)
    )
    local = path.rpartition(".")[2]
    if not re.search(rf"\b{re.escape(local)}\b", written.span.source.line(written.span.line)):
        notes = (*notes, Note(f"this is the node `{path}`"))
    message = re.sub(r"\binput (\d+)\b", lambda found: f"`{wires[int(found[1])].ref.node}`", refusal.message)
    origin = Refused(path, op, wires, refusal, written.span, scope, len(notes))
    return Diagnostic(refusal.code, message, place, refusal.label, notes, refusal.help, origin=origin)


def _shape(of: TensorType | None) -> str:
    return f"a vector of {of}" if of is not None and of.is_vector else str(of)
