"""Trial changes to lines of a spec, to find out whether they correct an error; the proof applies them.

Takes an `Edit` by the span of its line; returns the changed op and inputs. An edit of a line in a block applies to all
instances, like an edit in the file.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from pydantic import ValidationError

from cnnc.diagnostics import Span
from cnnc.expand.scope import Bound, Scope, Wire, Wires
from cnnc.ops import registry
from cnnc.ops.base import Op, Refusal
from cnnc.ops.types import TensorType

Attributes = Mapping[str, Any]
NOTHING: Mapping[Any, Any] = MappingProxyType({})


class Impossible(Exception):
    """The edit cannot be applied."""


class Edit(NamedTuple):
    """New attributes, another op, names of other inputs, and ops to insert before inputs.

    An input in `projected` gets a 1×1 convolution that changes its shape to that of another input.
    """

    attributes: Attributes = NOTHING
    op: str | None = None
    sources: Mapping[int, str] = NOTHING
    before: Mapping[int, tuple[tuple[str, Attributes], ...]] = NOTHING
    projected: Mapping[int, int] = NOTHING

    def apply(self, op: Op) -> Op:
        """The changed op; raises Impossible."""
        kind = type(op) if self.op is None else registry.get(self.op)
        given = {name: value for name, value in op.model_dump().items() if name in kind.model_fields}
        return _made(kind, {**given, **self.attributes})

    def connect(self, wires: Wires, scope: Scope) -> Wires:
        """The changed inputs; raises Impossible."""
        connected = [self._connected(at, wire, scope) for at, wire in enumerate(wires)]
        for at, other in self.projected.items():
            projected = _given(_projection(wires[at], wires[other]), wires[at].type)
            connected[at] = Wire(wires[at].ref, projected, wires[at].span)
        return tuple(connected)

    def _connected(self, at: int, wire: Wire, scope: Scope) -> Wire:
        if at in self.sources:
            binding = scope.find(self.sources[at])
            if not isinstance(binding, Bound) or "" not in binding.ports:
                raise Impossible
            wire = binding.ports[""]
        type = wire.type
        for name, attributes in self.before.get(at, ()):
            type = _given(_made(registry.get(name), attributes), type)
        return Wire(wire.ref, type, wire.span)


Edits = Mapping[Span, Edit]


def _made(kind: type[Op], attributes: Attributes) -> Op:
    try:
        return kind.model_validate(dict(attributes))
    except ValidationError:
        raise Impossible from None


def _projection(given: Wire, wanted: Wire) -> Op:
    """The 1×1 convolution that changes `given` to the shape of `wanted`; raises Impossible."""
    if given.type is None or wanted.type is None or not (given.type.is_map and wanted.type.is_map):
        raise Impossible
    sizes = zip(given.type.space, wanted.type.space, strict=True)
    stride = [-(-size // least) for size, least in sizes if size and least]
    attributes = {"out": wanted.type.channels, "kernel": 1, "stride": stride}
    return _made(registry.get("conv"), attributes if len(stride) == 2 else {**attributes, "stride": 1})


def _given(op: Op, type: TensorType | None) -> TensorType:
    if type is None:
        raise Impossible
    try:
        found = op.infer(type)
    except Refusal:
        raise Impossible from None
    if not isinstance(found, TensorType):
        raise Impossible
    return found
