"""Shared parameters: finds the node whose parameters a node uses, and checks that they fit.

`share` names an item. Every node with parameters in the sharing item uses those of the node at the same place in the
named item. What cannot be shared is E315.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cnnc.diagnostics import Code, Diagnostic, Note, Span
from cnnc.expand.references import InputReference, bound, wire
from cnnc.expand.scope import Scope, fail
from cnnc.graph.graph import Node
from cnnc.language.model import Item
from cnnc.ops.types import Types

if TYPE_CHECKING:
    from cnnc.ops.recorder import RecordedCall


class Sharing:
    """The nodes so far with the types of their inputs, and the scopes.

    `repeated` holds the paths of every `repeat` and every `each` with a name, `acts` the activation after a node.
    """

    def __init__(self, nodes: list[Node], scopes: dict[str, str]) -> None:
        self.nodes = nodes
        self.scopes = scopes
        self.inputs: list[Types] = []
        self.repeated: set[str] = set()
        self.acts: dict[str, str] = {}
        self._index: dict[str, int] = {}
        self._indexed = 0

    def named(self, source: InputReference, item: Item, scope: Scope, *, is_op: bool) -> str | None:
        """The path of the item that a `share` names; None if it failed. Raises CnncError if it cannot be shared."""
        found = bound(source, scope)
        if found is None:
            wire(source, scope)  # raises E306, unless the name may be that of an item that could not be read
        if found is None or found.failed or any(each.type is None for each in found.ports.values()):
            return None
        name, path = source.name, scope.path + source.spelling
        if name in scope.local.absent:
            fail(Code.UNSHARABLE, f"`{name}` is left out, so it has no parameters to share", source.span, OTHER)
        if not (self._known(path) or path in self.scopes or path in self.repeated):
            if source.port:
                message, way_out = f"`{name}` has no instance `{source.port}`", f"write `share: {name}`"
                fail(Code.UNSHARABLE, message, source.span, way_out)
            fail(Code.UNSHARABLE, f"`{name}` is an input, so it has no parameters to share", source.span, OTHER)
        if not is_op and self.scopes.get(path) != item.op:
            theirs = self.scopes.get(path) or (self.nodes[self._index[path]].op.name if self._known(path) else "node")
            message = f"`{source.spelling}` is a `{theirs}`, so `{item.op}` cannot share its parameters"
            fail(Code.UNSHARABLE, message, source.span, OTHER)
        return path

    def instance(self, path: str | None, index: object) -> str | None:
        """The counterpart of an instance: the instance of a repeated item at this index, or the item itself."""
        return f"{path}.{index}" if path in self.repeated else path

    def shared(self, node: Node, inputs: Types, path: str, named: Span | None) -> Node | Diagnostic:
        """The node with the parameters of the node at `path`, or what prevents that; `named` is its own `share`."""
        place = named or node.span
        if not (node.cost.params or node.cost.buffers):
            return _fault(f"`{node.path}` has no parameters to share", place, "remove `share`") if named else node
        if not self._known(path):
            return _fault(f"there is no node `{path}` whose parameters `{node.path}` could share", place, ALIKE)
        at = self._index[path]
        theirs = self.nodes[at]
        from cnnc.ops.recorder import registered  # a network without shared parameters does not need it

        if difference := _difference(
            registered(node.op, inputs, node.outputs), registered(theirs.op, self.inputs[at], theirs.outputs)
        ):
            shapes = ", ".join(map(str, inputs)), ", ".join(map(str, self.inputs[at]))
            notes = [Note(f"`{node.path}` takes {shapes[0]}, and `{path}` takes {shapes[1]}", theirs.span)]
            message = f"`{node.path}` cannot share the parameters of `{path}`: {difference}"
            return _fault(message, place, ALIKE, notes)
        return replace(node, cost=node.cost.shared, shares=theirs.keys)

    def _known(self, path: str) -> bool:
        """Whether there is a node at a path."""
        for index in range(self._indexed, len(self.nodes)):
            self._index[self.nodes[index].path] = index
        self._indexed = len(self.nodes)
        return path in self._index


ALIKE = "a node can share the parameters of one with the same op, attributes and input channels"
OTHER = "name a node with the same op, or another instance of the same block"


def _fault(message: str, at: Span | None, help: str, notes: Sequence[Note] = ()) -> Diagnostic:
    return Diagnostic(Code.UNSHARABLE, message, at, notes=tuple(notes), help=help)


def _difference(ours: "Sequence[RecordedCall]", theirs: "Sequence[RecordedCall]") -> str | None:
    """How the modules and tensors that two nodes register differ; None if they are equal."""
    if [each[:2] for each in ours] != [each[:2] for each in theirs]:
        kinds = [", ".join(each.what for each in steps) or "nothing" for steps in (ours, theirs)]
        return f"it is a {kinds[0]}, not a {kinds[1]}"
    for mine, its in zip(ours, theirs, strict=True):
        for name, value in mine.arguments.items():
            if value != its.arguments.get(name):
                return f"its `{name}` is {value}, not {its.arguments.get(name)}"
    return None
