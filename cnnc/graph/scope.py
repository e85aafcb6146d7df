"""A scope while it is expanded: its names, its parameters, and what stands around it.

A name stands for a `Bound` (ports with their wires) or for a `Pending` item, which waits for a node further down.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NoReturn

from cnnc.diagnostics import CnncError, Code, Diagnostic, Note, Span
from cnnc.graph.graph import Ref
from cnnc.ops.types import TensorType
from cnnc.spec.model import Item
from cnnc.spec.names import check_name
from cnnc.spec.value import Value

SILENT = CnncError([])  # something that has been reported already is why this cannot be said
UNKNOWN: Final = object()  # the value of a parameter that could not be had: whoever asks for it stays silent


@dataclass(frozen=True, slots=True)
class Wire:
    """A value that a node may take. Its type is unknown (None) where its node failed: its users then stay silent."""

    ref: Ref
    type: TensorType | None
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Bound:
    """What a name stands for: its ports. The port with the empty name is the one that the name alone reaches."""

    ports: Mapping[str, Wire] = field(default_factory=dict)
    failed: bool = False


FAILED = Bound(failed=True)


@dataclass(eq=False, slots=True)
class Pending:
    """An item that waits for `needs`, names further down in its scope or other pending items; `build` then gives its ports."""

    name: str
    span: Span
    needs: tuple["str | Pending", ...]
    build: Callable[[], Bound]
    bound: Bound | None = None


Binding = Bound | Pending


@dataclass(slots=True)
class Scope:
    """A scope: the nodes at `path` see `bindings`, their parameters are `variables`, `trail` tells the instances around."""

    path: str
    variables: dict[str, object]
    bindings: dict[str, Binding]
    reserved: frozenset[str] = frozenset()
    index_names: bool = False
    trail: tuple[Note, ...] = ()
    depth: int = 0
    absent: dict[str, Binding] = field(default_factory=dict)
    given: dict[str, Span] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    waiting: list[Pending] = field(default_factory=list)

    def with_variables(self, more: Mapping[str, object]) -> "Scope":
        """The same scope, its bindings shared, with further variables: a round of an `each` or a `repeat`."""
        return replace(self, variables={**self.variables, **more})

    def claim(self, name: str | None, op: str, span: Span, report: Callable[[Diagnostic], None]) -> str:
        """The local name of a new node: the given one, even where it is refused, or the default."""
        position = self.counts.get("", 0)
        self.counts[""] = position + 1
        if name is None:
            name = str(position) if self.index_names else self._default(op)
        else:
            check_name(name, span, report)
        if name in self.given:
            report(
                Diagnostic(
                    Code.DUPLICATE_NAME,
                    f"the name `{name}` is given twice in this scope",
                    span,
                    notes=(Note("first here", self.given[name]),),
                    help=f"call one of them `{name}_2`, say",
                )
            )
            name = self._default(name)
        self.given[name] = span
        return name

    def _default(self, op: str) -> str:
        """The op's name, or the first of op_2, op_3 … that is free."""
        while True:
            count = self.counts[op] = self.counts.get(op, 0) + 1
            name = op if count == 1 else f"{op}_{count}"
            if name not in self.given and name not in self.reserved:
                return name

    def find(self, name: str) -> Binding | None:
        """What a name stands for by now; None where it has not been given yet."""
        binding = self.bindings.get(name) or self.absent.get(name)
        if isinstance(binding, Pending) and binding.bound is not None:
            return binding.bound
        return binding

    # What expressions may ask: cnnc.spec.expressions.Lookup

    def variable(self, name: str) -> object:
        if self.variables[name] is UNKNOWN:
            raise SILENT
        return self.variables[name]

    def attribute(self, name: str, attribute: str) -> int:
        binding = self.find(name)
        if binding is None:
            raise KeyError(name)
        if isinstance(binding, Pending):
            fail(
                Code.FAILED_EXPRESSION,
                f"the shape of `{name}` is not known here yet",
                None,
                "only nodes above can be looked at here",
            )
        wire = binding.ports.get("")
        if binding.failed or (wire is not None and wire.type is None):
            raise SILENT
        if wire is None or wire.type is None:
            fail(Code.FAILED_EXPRESSION, f"`{name}` has several outputs, so it has no `{attribute}`", None)
        return size(name, wire.type, attribute)

    def names(self) -> Iterable[str]:
        return [*self.variables, *self.bindings, *self.absent]


def size(name: str, of: TensorType, attribute: str) -> int:
    """One of the four sizes of a type; raises CnncError where there is none."""
    index = {"channels": 0, "features": 0, "height": 1, "width": 2}[attribute]
    fits = of.is_map if attribute in ("height", "width") else of.is_vector if attribute == "features" else True
    if not fits:
        has = "`features`" if of.is_vector else "`channels`, `height` and `width`"
        fail(Code.FAILED_EXPRESSION, f"`{name}` is {of}, which has no `{attribute}`", None, f"it has {has}")
    found = of.shape[index]
    if found is None:
        fail(
            Code.FAILED_EXPRESSION,
            f"the {attribute} of `{name}` is unknown until run time",
            None,
            "give the input a fixed height and width",
        )
    return found


def fail(code: Code, message: str, at: Value | Span | None, help: str | None = None) -> NoReturn:
    """Raise the diagnostic of one fault, at a value or a span; without a place it stands where the item does."""
    raise CnncError.of(code, message, at.span if isinstance(at, Value) else at, help=help)


def literal_names(items: Iterable[Item]) -> frozenset[str]:
    """The names that items of a scope are given as plain text: defaults keep clear of them, wherever they stand."""
    found = set()
    for item in items:
        if item.name is not None and isinstance(item.name.data, str):
            found.add(item.name.data)
        elif item.op == "each" and item.body is not None:
            found |= literal_names(item.body.items)
    return frozenset(found)


def mentions(value: Value | None, names: Iterable[str]) -> bool:
    """Whether a string value holds an expression that speaks of one of `names`."""
    if value is None or not isinstance(value.data, str) or "$" not in value.data:
        return False
    words = set(re.findall(r"[A-Za-z_][A-Za-z0-9_]*", value.data))
    return not words.isdisjoint(names)
