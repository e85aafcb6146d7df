"""Resolves `from`: the inputs of an item, by name or by position.

Takes an item and its scope; returns `InputReference`s to values that may be further down, and then the `Wire`s for
them. Raises CnncError if there is no such value.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Literal, NamedTuple, NoReturn

from cnnc.diagnostics import Advice, CnncError, Code, Diagnostic, Fix, Span, Write, counted
from cnnc.diagnostics.suggestions import effort, nearest, respelt
from cnnc.expand.scope import FAILED, UNKNOWN_WIRE, Binding, Bound, Pending, Scope, Wire, fail
from cnnc.expressions.strings import evaluate_value, references
from cnnc.language.model import Item
from cnnc.language.validate import is_computed, show
from cnnc.ops import registry
from cnnc.text.value import Value

Need = str | Pending


class InputReference(NamedTuple):
    """An input named by `from`, or the item before, which needs no name."""

    name: str
    port: str
    span: Span
    before: Binding | None = None

    @property
    def spelling(self) -> str:
        """The reference as written."""
        return f"{self.name}.{self.port}" if self.port else self.name


def read_sources(item: Item, scope: Scope, *, is_op: bool) -> list[InputReference]:
    """The inputs of an item, at least one: hidden ones, and those in `from`, or the item before.

    An op that takes no input has the first input of its scope as a hidden one.
    """
    if is_op and registry.is_source(item.op):
        return [_of_batch(item, scope)]
    assert isinstance(item.attributes.data, dict)
    like = item.attributes.data.get("like") if is_op and registry.takes_like(item.op) else None
    named = _named(item, scope)
    like = evaluate_value(like, scope) if like is not None else None
    if like is None or like.data is None:
        return named
    is_name = isinstance(like.data, str | int) and not isinstance(like.data, bool)  # otherwise the op refuses the value
    found = read_reference(like) if is_name else InputReference("", "", like.span, FAILED)
    return [found, *named]  # first, because the last input takes the place of a left-out node


def hidden_inputs(op: str, attributes: Value) -> int:
    """The number of inputs that an op does not name in `from`; they come first.

    They are the batch size of an op that takes no input, and the node in `like`.
    """
    assert isinstance(attributes.data, dict)
    like = attributes.data.get("like") if registry.takes_like(op) else None
    return int(registry.is_source(op) or (like is not None and like.data is not None))


def read_share(item: Item, scope: Scope) -> InputReference | Literal[False] | None:
    """The node that `share` names, or False if the item must share nothing; None if it shares what its scope shares."""
    value = None if item.share is None else evaluate_value(item.share, scope)
    if value is None or value.data is None:
        return None
    return False if value.data is False else read_reference(value, "share")


def _of_batch(item: Item, scope: Scope) -> InputReference:
    faults = {"from": item.source, "when": item.when, "repeat": item.repeat}
    for word, value in faults.items():
        if value is not None:
            way_out = f"remove `{word}`" if word == "from" else f"put it into a `group` with the `{word}`"
            fail(Code.WRONG_ARITY, f"`{item.op}` takes no input, so it cannot have `{word}`", value, way_out)
    first = next(iter(scope.local.bindings.values()), FAILED)  # there is none where `input` itself is missing
    return InputReference("", "", item.span, first)


def _named(item: Item, scope: Scope) -> list[InputReference]:
    """The inputs in `from`, or the item before."""
    if item.source is None:
        if scope.local.last is None:
            message = f"`{item.op}` is the first node here, and there are several inputs"
            way_out = f"name its input: `from: {next(iter(scope.local.bindings), 'input')}`"
            fail(Code.WRONG_ARITY, message, item.span, way_out)
        return [InputReference("", "", item.span, scope.local.last)]
    value = evaluate_value(item.source, scope)
    entries = value.data if isinstance(value.data, tuple) else (value,)
    if not entries:
        way_out = "name a node, or leave out `from` to take the node before"
        fail(Code.WRONG_ARITY, "`from` names no input", value, way_out)
    if faults := [
        _counted_back(entry, entry.data, len(entries) == 1, scope)
        for entry in entries
        if isinstance(entry.data, int) and entry.data < 0
    ]:
        raise CnncError(faults)
    return [read_reference(entry) for entry in entries]


def _counted_back(entry: Value, at: int, alone: bool, scope: Scope) -> Diagnostic:
    """E306 for a node given by a negative index, as in YOLO configurations."""
    names = list(islice(reversed(scope.local.bindings), -at))
    help = (
        f"write the node's name: `{names[-1]}`" if len(names) == -at else "give the node a `name`, and write the name"
    )
    if at == -1 and alone:
        help = "leave out `from`: a node takes the one before it"
    return Diagnostic(Code.UNKNOWN_NODE, f"`from` must name nodes, got {at}", entry.span, help=help)


def read_reference(entry: Value, word: str = "from") -> InputReference:
    """Read one entry of a `from`: a name, or a name and a port; or the node in another `word`."""
    name = str(entry.data) if isinstance(entry.data, int) and not isinstance(entry.data, bool) else entry.data
    if not isinstance(name, str):
        message = f"`{word}` must name {'nodes' if word == 'from' else 'a node'}, got {show(entry.plain())}"
        way_out = "write `from: a` or `from: [a, b]`" if word == "from" else f"write `{word}: a`"
        fail(Code.UNKNOWN_NODE, message, entry, way_out)
    if "," in name:
        names = [part.strip() for part in name.split(",")]
        fix = Fix((Write(entry.span, names),), certain=word == "from") if not is_computed(entry.span) else None
        help = f"write several as a list: `from: [{', '.join(names)}]`"
        fail(Code.UNKNOWN_NODE, f"{show(name)} is not the name of a node", entry, help, fix)
    head, _, port = name.partition(".")
    return InputReference(head, port, entry.span)


def needs(item: Item, sources: Iterable[InputReference], scope: Scope) -> tuple[Need, ...]:
    """The nodes further down that an item has to wait for, as inputs or in its expressions."""
    found: list[Need] = []
    for source in sources:
        binding = source.before or scope.find(source.name)
        if isinstance(binding, Pending) and binding.bound is None:
            found.append(binding)
        elif binding is None:
            found.append(source.name)
    if item.op != "group":  # expressions inside a group use the group's own scope
        found += not_yet_known(item.attributes, scope)
    if item.repeat is not None:
        found += not_yet_known(item.repeat, scope)
    if item.when is not None:
        found += not_yet_known(item.when, scope)
    return tuple(found)


def not_yet_known(value: Value, scope: Scope) -> Iterator[Need]:
    """The nodes whose sizes a value's expressions use and that have not been built yet."""
    for name in _looked_at(value):
        binding = scope.find(name)
        if isinstance(binding, Pending):
            yield binding
        elif binding is None and name not in scope.variables:
            yield name


def find_wire(source: InputReference, scope: Scope) -> Wire:
    """The value that a source names; if there is none, reports the error and returns an unknown value."""
    try:
        return wire(source, scope)
    except CnncError as error:
        scope.report_all(error)
        return UNKNOWN_WIRE


def known_wire(source: InputReference, scope: Scope) -> Wire | None:
    """The value that a source names; None if there is none."""
    binding = bound(source, scope)
    return None if binding is None else binding.ports.get(source.port)


def bound(source: InputReference, scope: Scope) -> Bound | None:
    """The binding of a source's name, once all names are known."""
    binding = source.before if source.before is not None else scope.find(source.name)
    return binding.bound or FAILED if isinstance(binding, Pending) else binding


def wire(source: InputReference, scope: Scope) -> Wire:
    """The value that a source names, once it is known; raises CnncError if there is none."""
    binding = bound(source, scope)
    if binding is None and (scope.local.lost or f"{source.name}.{source.port}" in scope.local.given):
        return UNKNOWN_WIRE  # a name that could not be read, or was refused for its dot
    if binding is None:
        message = f"there is no node `{source.name}` in this scope"
        fail(Code.UNKNOWN_NODE, message, source.span, *_known(source, scope))
    if binding.failed:
        return UNKNOWN_WIRE
    if source.port not in binding.ports:
        _no_port(source, binding, scope)
    return binding.ports[source.port]


def _known(source: InputReference, scope: Scope) -> Advice:
    """The advice for an unknown name: similar names in the scope, except those of items that wait for it."""
    name = source.name
    if name in scope.local.nameless:
        return Advice(f"`when` leaves out the `{name}`: give it the name `{name}`, which then names its input")
    pending = {key: each for key, each in scope.local.bindings.items() if isinstance(each, Pending)}
    waiting = {key for key, each in pending.items() if name in each.needs}
    names = [key for key in (*scope.local.bindings, *scope.local.absent) if key not in waiting]
    scope.spend(len(names) // 8 + sum(len(each.needs) for each in pending.values()) // 8 + 2 * effort(name, names))
    way_out, fix = respelt(name, source.span, names, own=True)
    near = nearest(name, names)
    around = scope.local.around
    while around is not None and near is None:
        if name in around.bindings:
            own = ", ".join(f"`{key}`" for key in names[:8])
            kinds = "a block or group sees only its own inputs and nodes"
            return Advice(f"{kinds} ({own}): add `{name}` to its `inputs`, and to the `from` where it is used")
        around = around.around
    line = source.span.source.line(source.span.line)
    if line[source.span.column - 1 : source.span.end_column - 1].strip("'\"") != source.spelling:
        return Advice(way_out)  # an expression, or a name that the next round of an `each` takes over
    if fix and near and source.port:
        fix = Fix((Write(source.span, f"{near}.{source.port}"),), fix.certain)
    return Advice(way_out, fix)


def _no_port(source: InputReference, binding: Bound, scope: Scope) -> NoReturn:
    scope.spend(len(scope.local.bindings) // 8)
    name = source.name or next((name for name in scope.local.bindings if scope.find(name) is binding), "…")
    ports = [f"`{name}.{port}`" for port in binding.ports if port]
    what = f"`{source.name}`" if source.name else f"the node before, `{name}`,"
    if not ports:
        message = f"{what} has one output, so there is no `{source.name}.{source.port}`"
        fail(Code.PORT, message, source.span, f"write `{source.name}`")
    message = f"{what} has no output `{source.port}`" if source.port else f"{what} has {counted(len(ports), 'output')}"
    fail(Code.PORT, message, source.span, f"name one of them: {', '.join(ports[:8])}")


def _looked_at(value: Value) -> Iterator[str]:
    """The names of the nodes whose sizes a value's expressions read."""
    if isinstance(value.data, str):
        yield from references(value.data)
    elif isinstance(value.data, dict):
        for part in value.data.values():
            yield from _looked_at(part)
    elif isinstance(value.data, tuple):
        for part in value.data:
            yield from _looked_at(part)
