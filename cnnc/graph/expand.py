"""Expansion: from the items of a spec to proved nodes, in an order in which every input comes before its users.

In: a `Spec`. Out: nodes (through `Inference`), and the scopes that they lie in. Names, conditions and counts are settled
in the order of the file; an item whose inputs stand further down waits until its scope is read, and then has its turn.
A block, a group, a repeated node or a round of an `each` is one item of the scope around it: its nodes are contiguous.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NoReturn

from cnnc.diagnostics import CnncError, Code, Diagnostic, Note, Span
from cnnc.graph.infer import MAX_NODES, Inference
from cnnc.graph.scope import FAILED, Binding, Bound, Pending, Scope, Wire, fail, literal_names, mentions
from cnnc.graph.sources import NOTHING, Source, needs, read_source, read_sources, wire
from cnnc.graph.values import attributes as evaluate_attributes
from cnnc.graph.values import condition, evaluate, indices, parameters, report_all, round_names, rounds
from cnnc.ops import registry
from cnnc.ops.activation_names import ACTIVATIONS
from cnnc.spec.expressions import evaluate_value
from cnnc.spec.model import Block, Item
from cnnc.spec.nodes import TAKES_ACT
from cnnc.spec.suggestions import did_you_mean, nearest
from cnnc.spec.validate import show
from cnnc.spec.value import Value

MAX_DEPTH = 32
MAX_STEPS = 10 * MAX_NODES  # items looked at, those that are not there included

Report = Callable[[Diagnostic], None]
Build = Callable[[Item, str, tuple[Wire, ...], Scope], Bound]


class TooMuch(Exception):
    """The expansion has outgrown its limits: what follows is not looked at."""


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
        if not scope.waiting:
            return
        import networkx as nx  # most specs have no forward references, and it takes as long to import as the rest

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
            scope,
            Diagnostic(
                Code.CYCLE,
                message,
                loop[0].span,
                notes=notes,
                help="a network has no way back: change one of the `from`",
            ),
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
        if item.broken or not self._is_known(item.op):
            return self._bind_failed(item, scope)
        rounds_known = item.repeat is not None and mentions(item.when, ("i", "n"))
        if item.when is not None and not rounds_known and not condition(item.when, scope):
            return self._absent(item, scope, before)
        if item.op == "each" and (item.name is None or mentions(item.name, round_names(item))):
            return self._each_here(item, scope, before)
        if item.repeat is not None and mentions(item.name, ("i", "n")):
            for variables in indices(item, scope):
                before = self.place(replace(item, repeat=None), scope.with_variables(variables), before)
                item = replace(item, source=None)
            return before or FAILED
        return self._unit(item, scope, before)

    def _unit(self, item: Item, scope: Scope, before: Binding | None) -> Binding:
        """An item that is one name in its scope."""
        span = item.name.span if item.name else item.span
        name = scope.claim(self._name(item, scope), item.op, span, lambda each: self.report(scope, each))
        scope.bindings[name] = FAILED
        try:
            sources = read_sources(item, scope, before)
        except CnncError as error:
            self.report_all(scope, error, item.span)
            sources = [Source("", "", item.span, FAILED)]
        build = self._builder(item)

        def now() -> Bound:
            wires = tuple(self._wire(source, scope) for source in sources)
            try:
                return build(item, scope.path + name, wires, scope)
            except CnncError as error:
                self.report_all(scope, error, item.span)
                return FAILED

        waits_for = needs(item, sources, scope)
        if waits_for:
            pending = Pending(scope.path + name, item.span, waits_for, now)
            scope.bindings[name] = pending
            scope.waiting.append(pending)
            return pending
        scope.bindings[name] = bound = now()
        return bound

    def _name(self, item: Item, scope: Scope) -> str | None:
        """The name that an item is given; None where it is given none, or one that is no text."""
        given = evaluate(item.name, scope) if item.name is not None else None
        if given is None or isinstance(given, str):
            return given
        is_number = isinstance(given, int | float) and not isinstance(given, bool)
        way_out = f'put it in quotes: "{given}"' if is_number else "for example `name: conv1`"
        span = item.name.span if item.name else item.span
        self.report(scope, Diagnostic(Code.BAD_NAME, f"a name is text, got {show(given)}", span, help=way_out))
        return str(given) if is_number and str(given) not in scope.given else None

    def _wire(self, source: Source, scope: Scope) -> Wire:
        """The value that a source names; where there is none, that is said, and the rest of the node still proved."""
        try:
            return wire(source, scope)
        except CnncError as error:
            self.report_all(scope, error, source.span)
            return NOTHING

    def _is_known(self, op: str) -> bool:
        return op in registry.PLACES or op in self.blocks or op in ("group", "each")

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
        sources = read_sources(item, scope, before)
        last = sources[-1]
        binding = last.before if last.before is not None else scope.find(last.name)
        if last.port or binding is None:
            binding = self._alias(item, last, scope)
        if item.name is not None:
            name = evaluate(item.name, scope)
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
        if item.op == "each" and item.name is None and item.body is not None:
            for each in item.body.items:
                self._bind_failed(each, scope)
        elif item.name is None and item.op:
            meant = item.op if self._is_known(item.op) else nearest(item.op, (*self.blocks, *registry.PLACES))
            scope.bindings[scope.claim(None, meant or item.op, item.span, lambda _: None)] = FAILED
        elif item.name is not None and isinstance(item.name.data, str):
            scope.bindings.setdefault(item.name.data, FAILED)
            scope.given.setdefault(item.name.data, item.span)
        return FAILED

    # -- what items build

    def _op(self, item: Item, path: str, wires: tuple[Wire, ...], scope: Scope) -> Bound:
        def report(diagnostic: Diagnostic) -> None:
            self.report(scope, diagnostic)

        attributes, unknown = evaluate_attributes(item, scope, report)
        assert isinstance(attributes.data, dict)
        act = attributes.data.get("act") if item.op in TAKES_ACT else None
        if act is not None:
            attributes = Value(
                {key: each for key, each in attributes.data.items() if key != "act"}, attributes.span, attributes.keys
            )
        source = item.source.span if item.source else item.span
        bound = self.inference.add(item.op, path, item.span, attributes, wires, source, report, unknown - {"act"})
        if act is None or act.data is None:
            return bound
        if act.data not in ACTIVATIONS:
            way_out = did_you_mean(str(act.data), ACTIVATIONS)
            fail(
                Code.BAD_ATTRIBUTE,
                f"`act` of `{item.op}` must be the name of an activation, got {show(act.plain())}",
                act,
                way_out,
            )
        name = scope.claim(None, act.data, act.span, report)
        scope.bindings[name] = FAILED
        if bound.failed:
            return FAILED
        inner = self.inference.add(
            act.data, scope.path + name, act.span, Value({}, act.span), (bound.ports[""],), act.span, report
        )
        scope.bindings[name] = inner
        return inner

    def _group(self, item: Item, path: str, wires: tuple[Wire, ...], scope: Scope) -> Bound:
        assert item.body is not None
        own = parameters(item.body.params, {}, scope.variables, lambda each: self.report(scope, each))
        variables = {**scope.variables, **own}
        return self.body(item.body, "group", path, wires, variables, item, scope)

    def _instance(self, item: Item, path: str, wires: tuple[Wire, ...], scope: Scope) -> Bound:
        block = self.blocks[item.op]
        attributes, unknown = evaluate_attributes(item, scope, lambda each: self.report(scope, each))
        assert isinstance(attributes.data, dict)
        missing = [name for name, default in block.params.items() if default.data is None]
        missing = [name for name in missing if name not in item.attributes.keys]
        meant = {nearest(key, block.params) for key in item.attributes.keys if key not in block.params}
        for name in missing:
            note = Note(f"`{name}` has no default", block.params[name].span)
            diagnostic = Diagnostic(
                Code.MISSING_ATTRIBUTE, f"`{item.op}` needs `{name}`", item.span, notes=(note,), help=f"add `{name}: …`"
            )
            if name not in meant:
                self.report(scope, diagnostic)
        if item.op in self.active:
            return FAILED
        lost = [name for name in block.params if name in {*unknown, *missing, *meant}]
        variables = parameters(block.params, attributes.data, {}, lambda each: self.report(scope, each), lost)
        return self.body(block, block.name, path, wires, variables, item, scope)

    def _chain(self, item: Item, path: str, wires: tuple[Wire, ...], scope: Scope) -> Bound:
        """`repeat`: instances `path.0`, `path.1` …, each the input of the next."""
        single = replace(item, repeat=None, name=None)
        build = self._builder(single)
        is_scope = item.op == "group" or item.op in self.blocks
        if is_scope:
            self.scopes[path] = item.op
        bound: Bound | None = None
        for variables in indices(item, scope):
            inner = scope.with_variables(variables)
            if item.when is not None and not condition(item.when, inner):
                continue
            bound = build(single, f"{path}.{variables['i']}", wires, inner)
            if bound.failed:
                return FAILED
            wires = (self._only(bound, item, wires),)
        return bound if bound is not None else Bound({"": wires[-1]})

    def _only(self, bound: Bound, item: Item, wires: tuple[Wire, ...]) -> Wire:
        if "" not in bound.ports or len(wires) > 1:
            count = f"{len(wires)} inputs" if len(wires) > 1 else f"{len(bound.ports)} outputs"
            fail(
                Code.BAD_REPEAT,
                f"`repeat` chains nodes of one input and one output, but `{item.op}` has {count}",
                item.repeat,
                None,
            )
        return bound.ports[""]

    def _each(self, item: Item, path: str, wires: tuple[Wire, ...], scope: Scope) -> Bound:
        """An `each` with a name: every round is a scope of its own, `path.0`, `path.1` …"""
        assert item.body is not None
        self.scopes[path] = "each"
        bound = Bound({"": wires[-1]})
        for variables in rounds(item, scope):
            inner = {**scope.variables, **variables}
            bound = self.body(item.body, "each", f"{path}.{variables['i']}", wires, inner, item, scope)
            if bound.failed:
                return FAILED
            wires = (bound.ports[""],)
        return bound

    def _each_here(self, item: Item, scope: Scope, before: Binding | None) -> Binding:
        """An `each` whose rounds lie in the scope around it: their nodes, or, where its name tells them apart, a scope each."""
        assert item.body is not None
        if item.source is not None:
            source = read_sources(item, scope, before)[-1]
            before = self._alias(item, source, scope)
        for variables in rounds(item, scope):
            inner = scope.with_variables(variables)
            if item.name is None:
                before = self.run(item.body.items, inner, before)
            else:
                before = self.place(replace(item, op="group", source=None, when=None, repeat=None), inner, before)
        return before or FAILED

    def body(
        self,
        block: Block,
        kind: str,
        path: str,
        wires: tuple[Wire, ...],
        variables: dict[str, object],
        item: Item,
        scope: Scope,
    ) -> Bound:
        """The inside of a block, group or round as a scope at `path`."""
        if len(wires) != len(block.inputs):
            names = ", ".join(f"`{name}`" for name in block.inputs)
            source = item.source or item.span
            fail(
                Code.WRONG_ARITY,
                f"`{item.op}` takes {len(block.inputs)} inputs ({names}), got {len(wires)}",
                source,
                None,
            )
        if scope.depth >= MAX_DEPTH:
            fail(
                Code.TOO_MANY_NODES,
                f"blocks are nested more than {MAX_DEPTH} deep",
                item.span,
                "use fewer levels of blocks",
            )
        self.scopes[path] = kind
        bindings: dict[str, Binding] = {name: Bound({"": wire}) for name, wire in zip(block.inputs, wires, strict=True)}
        trail = (
            Note(f"in `{path}`, an instance of `{kind}`" if kind in self.blocks else f"in `{path}`", item.span),
            *scope.trail,
        )
        given = dict.fromkeys(block.inputs, block.span)
        inner = Scope(
            f"{path}.",
            variables,
            bindings,
            literal_names(block.items),
            block.index_names,
            trail,
            scope.depth + 1,
            given=given,
        )
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
                ports[port] = wire(read_source(evaluate_value(value, scope)), scope)
            except CnncError as error:
                self.report_all(scope, error, value.span)
                return FAILED
        return Bound({"": next(iter(ports.values()))}) if len(ports) == 1 else Bound(ports)

    # -- reports

    def report(self, scope: Scope, diagnostic: Diagnostic) -> None:
        """Report from inside a scope: with the instances around it."""
        self._report(replace(diagnostic, notes=(*diagnostic.notes, *scope.trail)))

    def report_all(self, scope: Scope, error: CnncError, span: Span) -> None:
        """Report an error's diagnostics; one without a place of its own stands at `span`."""
        report_all(error, span, lambda each: self.report(scope, each))

    def _too_many(self, span: Span, scope: Scope) -> NoReturn:
        message = f"the network has more than {MAX_NODES:,} nodes"
        self.report(scope, Diagnostic(Code.TOO_MANY_NODES, message, span, help="repeat less often"))
        raise TooMuch
