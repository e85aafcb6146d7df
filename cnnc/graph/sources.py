"""What `from` means: the values that an item takes, by name or because they stand before it.

In: an item and its scope. Out: `Source`s, which name values that may stand further down, and the `Wire`s that they turn
out to be. Raises CnncError where there is no such value.
"""

from dataclasses import dataclass
from typing import NoReturn

from cnnc.diagnostics import Code, Span
from cnnc.graph.graph import Ref
from cnnc.graph.scope import FAILED, Binding, Bound, Pending, Scope, Wire, fail
from cnnc.spec.expressions import evaluate_value, references
from cnnc.spec.model import Item
from cnnc.spec.suggestions import did_you_mean
from cnnc.spec.validate import show
from cnnc.spec.value import Value

NOTHING = Wire(Ref(""), None)  # what a failed node gives: nothing is known of it


@dataclass(frozen=True, slots=True)
class Source:
    """An input as `from` names it, or the item before, which needs no name."""

    name: str
    port: str
    span: Span
    before: Binding | None = None


def read_sources(item: Item, scope: Scope, before: Binding | None) -> list[Source]:
    """The inputs of an item: those that it names, or what stands before it."""
    if item.source is None:
        if before is None:
            fail(
                Code.WRONG_ARITY,
                f"`{item.op}` is the first node here and there are several inputs",
                item.span,
                f"say which it takes: `from: {next(iter(scope.bindings), 'input')}`",
            )
        return [Source("", "", item.span, before)]
    value = evaluate_value(item.source, scope)
    entries = value.data if isinstance(value.data, tuple) else (value,)
    if not entries:
        fail(
            Code.WRONG_ARITY, "`from` names no input", value, "name a node, or leave `from` out to take the one before"
        )
    return [read_source(entry) for entry in entries]


def read_source(entry: Value) -> Source:
    """One entry of a `from`: a name, or a name and a port."""
    name = str(entry.data) if isinstance(entry.data, int) and not isinstance(entry.data, bool) else entry.data
    if not isinstance(name, str):
        fail(
            Code.UNKNOWN_NODE,
            f"`from` takes names of nodes, got {show(entry.plain())}",
            entry,
            "`from: a` or `from: [a, b]`",
        )
    head, _, port = name.partition(".")
    return Source(head, port, entry.span)


def needs(item: Item, sources: list[Source], scope: Scope) -> tuple["str | Pending", ...]:
    """What an item has to wait for: nodes further down, as inputs or in its expressions."""
    found: list[str | Pending] = []
    for source in sources:
        binding = source.before or scope.find(source.name)
        if isinstance(binding, Pending) and binding.bound is None:
            found.append(binding)
        elif binding is None:
            found.append(source.name)
    for name in _looked_at(item.attributes):
        binding = scope.find(name)
        if isinstance(binding, Pending):
            found.append(binding)
        elif binding is None and name in scope.reserved:
            found.append(name)
    return tuple(found)


def wire(source: Source, scope: Scope) -> Wire:
    """The value that a source names, once it can be known."""
    binding = source.before if source.before is not None else scope.find(source.name)
    if isinstance(binding, Pending):
        binding = binding.bound or FAILED
    if binding is None and f"{source.name}.{source.port}" in scope.given:
        return NOTHING  # a name that was refused for its dot
    if binding is None:
        names = [*scope.bindings, *scope.absent]
        fail(
            Code.UNKNOWN_NODE,
            f"there is no node `{source.name}` in this scope",
            source.span,
            did_you_mean(source.name, names),
        )
    if binding.failed:
        return NOTHING
    if source.port not in binding.ports:
        _no_port(source, binding, scope)
    return binding.ports[source.port]


def _no_port(source: Source, binding: Bound, scope: Scope) -> NoReturn:
    name = source.name or next((name for name in scope.bindings if scope.find(name) is binding), "…")
    ports = [f"`{name}.{port}`" for port in binding.ports if port]
    what = f"`{source.name}`" if source.name else f"the node before, `{name}`,"
    if not ports:
        fail(
            Code.PORT,
            f"{what} has one output, so there is no `{source.name}.{source.port}`",
            source.span,
            f"write `{source.name}`",
        )
    message = f"{what} has no output `{source.port}`" if source.port else f"{what} has {len(ports)} outputs"
    fail(Code.PORT, message, source.span, f"name one of them: {', '.join(ports[:8])}")


def _looked_at(value: Value) -> set[str]:
    """The names of the nodes whose sizes a value's expressions read."""
    if isinstance(value.data, str):
        return references(value.data)
    parts = value.data.values() if isinstance(value.data, dict) else value.data if isinstance(value.data, tuple) else ()
    return {name for part in parts for name in _looked_at(part)}
