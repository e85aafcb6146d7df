"""Expansion: from the items of a spec to proved nodes, in an order in which every input comes before its users.

In: a `Spec`. Out: nodes (through `Inference`), and the scopes that they lie in. Names, conditions and counts are settled
in the order of the file; an item whose inputs stand further down waits until its scope is read, and then has its turn.
A block, a group, a repeated node or a round of an `each` is one item of the scope around it: its nodes are contiguous.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import networkx as nx

from cnnc.diagnostics import CnncError, Code, Diagnostic, Note, Span
from cnnc.graph.infer import MAX_NODES, Inference
from cnnc.graph.scope import FAILED, SILENT, Binding, Bound, Pending, Scope, Wire, literal_names, mentions
from cnnc.ops.activation_names import ACTIVATIONS
from cnnc.spec.expressions import evaluate_value, references
from cnnc.spec.model import Block, Item
from cnnc.spec.nodes import TAKES_ACT
from cnnc.spec.validate import did_you_mean, show
from cnnc.spec.value import Value

MAX_DEPTH = 32
MAX_STEPS = 10 * MAX_NODES  # items looked at, those that are not there included

Report = Callable[[Diagnostic], None]
Build = Callable[[Item, str, tuple[Wire, ...], Scope], Bound]


class TooMuch(Exception):
    """The expansion has outgrown its limits: what follows is not looked at."""


@dataclass(frozen=True, slots=True)
class Source:
    """An input as `from` names it, or the item before, which needs no name."""

    name: str
    port: str
    span: Span
    before: Binding | None = None


class Expander:
    """Expands one spec. `scopes` fills with the path of each scope and what it is an instance of."""

    def __init__(self, blocks: Mapping[str, Block], report: Report) -> None:
        self.blocks, self._report = blocks, report
        self.inference = Inference()
        self.scopes: dict[str, str] = {}
        self.active: list[str] = []
        self.steps = 0

    # -- a scope

    def run(self, items: tuple[Item, ...], scope: Scope, before: Binding | None) -> Binding | None:
        """Expand a list of items; gives what the last one stands for."""
        for item in items:
            before = self.place(item, scope, before)
        return before

    def settle(self, scope: Scope) -> None:
        """Give those their turn that waited for nodes further down, inputs first; report cycles and names that nobody has."""
        waiting: nx.DiGraph[Pending] = nx.DiGraph()
        waiting.add_nodes_from(scope.waiting)
        for pending in scope.waiting:
            for need in pending.needs:
                other = scope.find(need) if isinstance(need, str) else need
                if isinstance(other, Pending) and other.bound is None:
                    waiting.add_edge(other, pending)
        for loop in list(nx.strongly_connected_components(waiting)):
            inside = waiting.subgraph(loop)
            if inside.number_of_edges():
                self._report_cycle([a for a, _ in nx.find_cycle(inside)], scope)
                for pending in loop:
                    pending.bound = FAILED
        order = {pending: index for index, pending in enumerate(scope.waiting)}
        waiting.remove_nodes_from([each for each in scope.waiting if each.bound])
        for pending in nx.lexicographical_topological_sort(waiting, key=order.__getitem__):
            pending.bound = pending.build()
        scope.waiting.clear()

    def _report_cycle(self, loop: list[Pending], scope: Scope) -> None:
        names = [each.name for each in loop]
        way = " → ".join(f"`{name}`" for name in [*names, names[0]])
        notes = tuple(Note(f"`{each.name}` stands here", each.span) for each in loop[1:])
        message = f"`{names[0]}` takes itself as an input" if len(loop) == 1 else f"these nodes form a cycle: {way}"
        self.report(
            scope, Diagnostic(Code.CYCLE, message, loop[0].span, notes=notes, help="a network has no way back: change one of the `from`")
        )

    # -- an item

    def place(self, item: Item, scope: Scope, before: Binding | None) -> Binding:
        """Expand one item; gives what it stands for."""
        self.steps += 1
        if self.steps > MAX_STEPS or len(self.inference.nodes) > MAX_NODES:
            self._too_many(item.span, scope)
        try:
            return self._place(item, scope, before)
        except CnncError as error:
            self.report_all(scope, error, item.span)
            return self._bind_failed(item, scope)

    def _place(self, item: Item, scope: Scope, before: Binding | None) -> Binding:
        if item.broken:
            return self._bind_failed(item, scope)
        rounds_known = item.repeat is not None and mentions(item.when, ("i", "n"))
        if item.when is not None and not rounds_known and not self._condition(item.when, scope):
            return self._absent(item, scope, before)
        if item.op == "each" and (item.name is None or mentions(item.name, self._round_names(item))):
            return self._each_here(item, scope, before)
        if item.repeat is not None and mentions(item.name, ("i", "n")):
            for variables in self._indices(item, scope):
                before = self.place(replace(item, repeat=None), scope.with_variables(variables), before)
                item = replace(item, source=None)
            return before or FAILED
        return self._unit(item, scope, before)

    def _unit(self, item: Item, scope: Scope, before: Binding | None) -> Binding:
        """An item that is one name in its scope."""
        given = self.evaluate(item.name, scope) if item.name is not None else None
        if given is not None and not isinstance(given, str):
            _fail(Code.BAD_NAME, f"a name is text, got {show(given)}", item.name, "put it in quotes")
        span = item.name.span if item.name else item.span
        name = scope.claim(given, item.op, span, lambda each: self.report(scope, each))
        sources = self._sources(item, scope, before)
        if name is None:
            return FAILED
        build = self._builder(item)

        def now() -> Bound:
            wires = tuple(self._wire(source, scope) for source in sources)
            try:
                return build(item, scope.path + name, wires, scope)
            except CnncError as error:
                self.report_all(scope, error, item.span)
                return FAILED

        needs = self._needs(item, sources, scope)
        if needs:
            pending = Pending(scope.path + name, item.span, needs, now)
            scope.bindings[name] = pending
            scope.waiting.append(pending)
            return pending
        scope.bindings[name] = bound = now()
        return bound

    def _builder(self, item: Item) -> Build:
        if item.op == "each":
            return self._each
        if item.repeat is not None:
            return self._chain
        if item.op == "group":
            return self._group
        return self._instance if item.op in self.blocks else self._op

    def _absent(self, item: Item, scope: Scope, before: Binding | None) -> Binding:
        """A node that is not there: its last input passes through."""
        sources = self._sources(item, scope, before)
        last = sources[-1]
        binding = last.before if last.before is not None else scope.find(last.name)
        if last.port or binding is None:
            binding = self._alias(item, last, scope)
        if item.name is not None:
            name = self.evaluate(item.name, scope)
            if isinstance(name, str):
                scope.absent[name] = binding
        return binding

    def _alias(self, item: Item, source: Source, scope: Scope) -> Binding:
        """What one port, or a name further down, will stand for."""

        def now() -> Bound:
            return Bound({"": self._wire(source, scope)})

        binding = scope.find(source.name)
        if isinstance(binding, Bound):
            return now()
        pending = Pending(source.name, item.span, (source.name,), now)
        scope.waiting.append(pending)
        return pending

    def _bind_failed(self, item: Item, scope: Scope) -> Binding:
        """What is left of a node that cannot be read: a name whose users are not blamed."""
        if item.name is not None and isinstance(item.name.data, str):
            scope.bindings.setdefault(item.name.data, FAILED)
            scope.given.setdefault(item.name.data, item.span)
        return FAILED

    # -- inputs

    def _sources(self, item: Item, scope: Scope, before: Binding | None) -> list[Source]:
        if item.source is None:
            if before is None:
                _fail(
                    Code.WRONG_ARITY,
                    f"`{item.op}` is the first node here and there are several inputs",
                    item.span,
                    f"say which it takes: `from: {next(iter(scope.bindings), 'input')}`",
                )
            return [Source("", "", item.span, before)]
        value = evaluate_value(item.source, scope)
        entries = value.data if isinstance(value.data, tuple) else (value,)
        if not entries:
            _fail(Code.WRONG_ARITY, "`from` names no input", value, "name a node, or leave `from` out to take the one before")
        return [self._source(entry) for entry in entries]

    def _source(self, entry: Value) -> Source:
        name = str(entry.data) if isinstance(entry.data, int) and not isinstance(entry.data, bool) else entry.data
        if not isinstance(name, str):
            _fail(Code.UNKNOWN_NODE, f"`from` takes names of nodes, got {show(entry.plain())}", entry, "`from: a` or `from: [a, b]`")
        head, _, port = name.partition(".")
        return Source(head, port, entry.span)

    def _needs(self, item: Item, sources: list[Source], scope: Scope) -> tuple[str | Pending, ...]:
        """What an item has to wait for: nodes further down, as inputs or in its expressions."""
        needs: list[str | Pending] = []
        for source in sources:
            binding = source.before or scope.find(source.name)
            if isinstance(binding, Pending) and binding.bound is None:
                needs.append(binding)
            elif binding is None:
                needs.append(source.name)
        for name in _looked_at(item.attributes):
            binding = scope.find(name)
            if isinstance(binding, Pending):
                needs.append(binding)
            elif binding is None and name in scope.reserved:
                needs.append(name)
        return tuple(needs)

    def _wire(self, source: Source, scope: Scope) -> Wire:
        """The value that a source names, once it can be known."""
        binding = source.before if source.before is not None else scope.find(source.name)
        if isinstance(binding, Pending):
            binding = binding.bound or FAILED
        if binding is None:
            names = [*scope.bindings, *scope.absent]
            _fail(
                Code.UNKNOWN_NODE,
                f"there is no node `{source.name}` in this scope",
                source.span,
                did_you_mean(source.name, names),
            )
        if binding.failed:
            raise SILENT
        if source.port not in binding.ports:
            _no_port(source, binding)
        return binding.ports[source.port]

    # -- what items build

    def _op(self, item: Item, path: str, wires: tuple[Wire, ...], scope: Scope) -> Bound:
        attributes = evaluate_value(item.attributes, scope)
        assert isinstance(attributes.data, dict)
        act = attributes.data.get("act") if item.op in TAKES_ACT else None
        if act is not None:
            attributes = Value({key: each for key, each in attributes.data.items() if key != "act"}, attributes.span, attributes.keys)
        source = item.source.span if item.source else item.span

        def report(diagnostic: Diagnostic) -> None:
            self.report(scope, diagnostic)

        bound = self.inference.add(item.op, path, item.span, attributes, wires, source, report)
        if act is None or act.data is None:
            return bound
        if act.data not in ACTIVATIONS:
            way_out = did_you_mean(str(act.data), ACTIVATIONS)
            _fail(Code.BAD_ATTRIBUTE, f"`act` of `{item.op}` must be the name of an activation, got {show(act.plain())}", act, way_out)
        name = scope.claim(None, act.data, act.span, report)
        if bound.failed or name is None:
            return FAILED
        inner = self.inference.add(act.data, scope.path + name, act.span, Value({}, act.span), (bound.ports[""],), act.span, report)
        scope.bindings[name] = inner
        return inner

    def _group(self, item: Item, path: str, wires: tuple[Wire, ...], scope: Scope) -> Bound:
        assert item.body is not None
        variables = {**scope.variables, **self.parameters(item.body.params, {}, scope.variables, scope)}
        return self._body(item.body, "group", path, wires, variables, item, scope)

    def _instance(self, item: Item, path: str, wires: tuple[Wire, ...], scope: Scope) -> Bound:
        block = self.blocks[item.op]
        attributes = evaluate_value(item.attributes, scope)
        assert isinstance(attributes.data, dict)
        missing = [name for name, default in block.params.items() if default.data is None and name not in attributes.data]
        for name in missing:
            note = Note(f"`{name}` has no default", block.params[name].span)
            diagnostic = Diagnostic(Code.MISSING_ATTRIBUTE, f"`{item.op}` needs `{name}`", item.span, notes=(note,), help=f"add `{name}: …`")
            self.report(scope, diagnostic)
        if missing or item.op in self.active:
            return FAILED
        variables = self.parameters(block.params, attributes.data, {}, scope)
        return self._body(block, block.name, path, wires, variables, item, scope)

    def _chain(self, item: Item, path: str, wires: tuple[Wire, ...], scope: Scope) -> Bound:
        """`repeat`: instances `path.0`, `path.1` …, each the input of the next."""
        single = replace(item, repeat=None, name=None)
        build = self._builder(single)
        is_scope = item.op == "group" or item.op in self.blocks
        if is_scope:
            self.scopes[path] = item.op
        bound: Bound | None = None
        for variables in self._indices(item, scope):
            inner = scope.with_variables(variables)
            if item.when is not None and not self._condition(item.when, inner):
                continue
            bound = build(single, f"{path}.{variables['i']}", wires, inner)
            if bound.failed:
                return FAILED
            wires = (self._only(bound, item, wires),)
        return bound if bound is not None else Bound({"": wires[-1]})

    def _only(self, bound: Bound, item: Item, wires: tuple[Wire, ...]) -> Wire:
        if "" not in bound.ports or len(wires) > 1:
            count = f"{len(wires)} inputs" if len(wires) > 1 else f"{len(bound.ports)} outputs"
            _fail(Code.BAD_REPEAT, f"`repeat` chains nodes of one input and one output, but `{item.op}` has {count}", item.repeat, None)
        return bound.ports[""]

    def _each(self, item: Item, path: str, wires: tuple[Wire, ...], scope: Scope) -> Bound:
        """An `each` with a name: every round is a scope of its own, `path.0`, `path.1` …"""
        assert item.body is not None
        self.scopes[path] = "each"
        bound = Bound({"": wires[-1]})
        for variables in self._rounds(item, scope):
            inner = {**scope.variables, **variables}
            bound = self._body(item.body, "each", f"{path}.{variables['i']}", wires, inner, item, scope)
            if bound.failed:
                return FAILED
            wires = (bound.ports[""],)
        return bound

    def _each_here(self, item: Item, scope: Scope, before: Binding | None) -> Binding:
        """An `each` whose rounds lie in the scope around it: their nodes, or, where its name tells them apart, a scope each."""
        assert item.body is not None
        if item.source is not None:
            source = self._sources(item, scope, before)[-1]
            before = self._alias(item, source, scope)
        for variables in self._rounds(item, scope):
            inner = scope.with_variables(variables)
            if item.name is None:
                before = self.run(item.body.items, inner, before)
            else:
                before = self.place(replace(item, op="group", source=None, when=None, repeat=None), inner, before)
        return before or FAILED

    def _body(
        self, block: Block, kind: str, path: str, wires: tuple[Wire, ...], variables: dict[str, object], item: Item, scope: Scope
    ) -> Bound:
        """The inside of a block, group or round as a scope at `path`."""
        if len(wires) != len(block.inputs):
            names = ", ".join(f"`{name}`" for name in block.inputs)
            source = item.source or item.span
            _fail(Code.WRONG_ARITY, f"`{item.op}` takes {len(block.inputs)} inputs ({names}), got {len(wires)}", source, None)
        if scope.depth >= MAX_DEPTH:
            _fail(Code.TOO_MANY_NODES, f"blocks are nested more than {MAX_DEPTH} deep", item.span, "use fewer levels of blocks")
        self.scopes[path] = kind
        bindings: dict[str, Binding] = {name: Bound({"": wire}) for name, wire in zip(block.inputs, wires, strict=True)}
        trail = (Note(f"in `{path}`, an instance of `{kind}`" if kind in self.blocks else f"in `{path}`", item.span), *scope.trail)
        given = dict.fromkeys(block.inputs, block.span)
        inner = Scope(f"{path}.", variables, bindings, literal_names(block.items), block.index_names, trail, scope.depth + 1, given=given)
        self.active.append(kind)
        last = self.run(block.items, inner, bindings[block.inputs[0]] if len(wires) == 1 else None)
        self.settle(inner)
        self.active.pop()
        return self.ports(block, last, inner)

    def ports(self, block: Block, last: Binding | None, scope: Scope) -> Bound:
        """What a scope shows to the outside."""
        if block.outputs is None:
            bound = last.bound if isinstance(last, Pending) else last
            return bound or FAILED
        ports = {}
        for port, value in block.outputs.items():
            try:
                ports[port] = self._wire(self._source(evaluate_value(value, scope)), scope)
            except CnncError as error:
                self.report_all(scope, error, value.span)
                return FAILED
        return Bound({"": next(iter(ports.values()))}) if len(ports) == 1 else Bound(ports)

    # -- values

    def evaluate(self, value: Value, scope: Scope) -> Any:
        """The plain value of a piece of the spec."""
        return evaluate_value(value, scope).plain()

    def parameters(
        self, declared: Mapping[str, Value], given: Mapping[str, Value], around: Mapping[str, object], scope: Scope
    ) -> dict[str, object]:
        """The values of parameters: what is given, or the default, which may speak of the parameters before it."""
        lookup = Scope(scope.path, dict(around), {}, trail=scope.trail)
        for name, default in declared.items():
            lookup.variables[name] = given[name].plain() if name in given else self.evaluate(default, lookup)
        return {name: lookup.variables[name] for name in declared}

    def _condition(self, value: Value, scope: Scope) -> bool:
        found = self.evaluate(value, scope)
        if not isinstance(found, bool):
            _fail(Code.BAD_ATTRIBUTE, f"`when` must be true or false, got {show(found)}", value, "compare it: `$(stride != 1)`")
        return found

    def _indices(self, item: Item, scope: Scope) -> Iterator[dict[str, object]]:
        """`i` and `n` for every instance of a repeated item."""
        assert item.repeat is not None
        count = self.evaluate(item.repeat, scope)
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            _fail(Code.BAD_REPEAT, f"`repeat` must be an integer of at least 1, got {show(count)}", item.repeat, "leave a node out with `when: false`")
        if count > MAX_NODES:
            _fail(Code.TOO_MANY_NODES, f"`repeat: {count}` makes more than {MAX_NODES:,} nodes", item.repeat, "repeat it less often")
        return ({"i": index, "n": count} for index in range(count))

    def _round_names(self, item: Item) -> tuple[str, ...]:
        over = item.attributes.at("over").data
        return ("i", "n", *(over if isinstance(over, dict) else ()))

    def _rounds(self, item: Item, scope: Scope) -> list[dict[str, object]]:
        """The variables of every round of an `each`."""
        over = evaluate_value(item.attributes.at("over"), scope)
        if not isinstance(over.data, dict) or not over.data or not all(isinstance(each.data, tuple) for each in over.data.values()):
            _fail(Code.BAD_REPEAT, "`over` must be a mapping of names to lists", over, "for example `over: {out: [64, 128]}`")
        columns = over.plain()
        lengths = {name: len(column) for name, column in columns.items()}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"`{name}` has {length}" for name, length in lengths.items())
            _fail(Code.BAD_REPEAT, f"the lists of `over` differ in length: {told}", over, "give each as many entries")
        count = next(iter(lengths.values()))
        if not count:
            _fail(Code.BAD_REPEAT, "the lists of `over` are empty", over, "give each at least one entry")
        rows = zip(*columns.values(), strict=True)
        return [{**dict(zip(columns, row, strict=True)), "i": index, "n": count} for index, row in enumerate(rows)]

    # -- reports

    def report(self, scope: Scope, diagnostic: Diagnostic) -> None:
        """Report from inside a scope: with the instances around it."""
        self._report(replace(diagnostic, notes=(*diagnostic.notes, *scope.trail)))

    def report_all(self, scope: Scope, error: CnncError, span: Span) -> None:
        """Report an error's diagnostics; one without a place of its own stands at `span`."""
        for diagnostic in error.diagnostics:
            self.report(scope, diagnostic if diagnostic.span else replace(diagnostic, span=span))

    def _too_many(self, span: Span, scope: Scope) -> NoReturn:
        message = f"the network has more than {MAX_NODES:,} nodes"
        self.report(scope, Diagnostic(Code.TOO_MANY_NODES, message, span, help="repeat less often"))
        raise TooMuch


def _fail(code: Code, message: str, at: Value | Span | None, help: str | None) -> NoReturn:
    raise CnncError.of(code, message, at.span if isinstance(at, Value) else at, help=help)


def _no_port(source: Source, binding: Bound) -> NoReturn:
    ports = [f"`{source.name}.{port}`" for port in binding.ports if port]
    what = f"`{source.name}`" if source.name else "the node before"
    if not ports:
        _fail(Code.PORT, f"{what} has one output, so there is no `{source.name}.{source.port}`", source.span, f"write `{source.name}`")
    message = f"{what} has no output `{source.port}`" if source.port else f"{what} has {len(ports)} outputs"
    _fail(Code.PORT, message, source.span, f"name one of them: {', '.join(ports[:8])}")


def _looked_at(value: Value) -> set[str]:
    """The names of the nodes whose sizes a value's expressions read."""
    if isinstance(value.data, str):
        return references(value.data)
    parts = value.data.values() if isinstance(value.data, dict) else value.data if isinstance(value.data, tuple) else ()
    return {name for part in parts for name in _looked_at(part)}
