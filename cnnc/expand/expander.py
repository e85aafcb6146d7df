"""Expands the items of a spec to checked nodes, in an order in which every input comes before its users.

Takes items and a scope; adds nodes to `Inference`. Names, conditions and counts are evaluated in the order of the file.
An item whose inputs are further down waits until the whole scope has been read. A block, a group, a repeated node or a
round of an `each` is one item of the scope around it: its nodes are contiguous.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from cnnc.diagnostics import CnncError, Code, Diagnostic, Note
from cnnc.expand.attached_activations import Act, read_acts
from cnnc.expand.bodies import Bodies
from cnnc.expand.future_names import look_ahead
from cnnc.expand.infer_node import Inference
from cnnc.expand.node_count import Estimate
from cnnc.expand.parameters import by_instance, condition, evaluate, indices, named_by_round, rounds
from cnnc.expand.references import Source, find_wire, known_wire, needs, not_yet_known, read_sources
from cnnc.expand.scope import FAILED, Binding, Bound, Pending, Scope, fail
from cnnc.expand.turns import settle
from cnnc.language.model import Block, Item
from cnnc.language.validate import show


class Expander:
    """Expands one spec and adds its nodes and scopes to `inference`.

    In a rehearsal (`rehearsed`), all inputs are unknown, and instances of other blocks inside a block are skipped:
    every unused block is rehearsed by itself.
    """

    def __init__(self, blocks: Mapping[str, Block], inference: Inference, *, rehearsed: bool = False) -> None:
        self.inference = inference
        self.bodies = Bodies(blocks, inference, self.fill, rehearsed=rehearsed)
        self._estimate = Estimate(blocks, inference.work)
        self._passed_by: list[tuple[Source, Scope, Note]] = []

    def fill(self, items: tuple[Item, ...], scope: Scope, before: Binding | None) -> Binding | None:
        """Expand the items of a scope; returns the binding of the last one."""
        look_ahead(items, scope)
        last = self._run(items, scope, before)
        settle(scope.local, scope.report)
        return last

    def passed_by(self) -> dict[str, Note]:
        """The nodes and inputs that a left-out node would use, each with a note on that node."""
        found = {}
        for source, scope, note in self._passed_by:
            passed = known_wire(source, scope)  # errors in a left-out node are ignored
            if passed is not None:
                found[passed.ref.node] = note
        return found

    def _run(self, items: tuple[Item, ...], scope: Scope, before: Binding | None) -> Binding | None:
        for item in items:
            before = self._place(item, scope, before)
        return before

    def _place(self, item: Item, scope: Scope, before: Binding | None) -> Binding | None:
        """Expand one item; returns its binding, or None at the start of a scope with several inputs."""
        self.inference.step(item.span, scope)
        try:
            return self._expand(item, scope, before)
        except CnncError as error:
            scope.report_all(error)
            return self._lose(item, scope)

    def _expand(self, item: Item, scope: Scope, before: Binding | None) -> Binding | None:
        if item.broken or not self.bodies.knows(item.op):
            return self._lose(item, scope)
        deferred = self._may_be_absent(item, scope)
        if item.when is not None and not deferred and not by_instance(item, item.when):
            if not condition(item.when, scope):
                return self._leave(item, scope, before)
            item = replace(item, when=None)
        is_open = item.op == "each" and (item.name is None or named_by_round(item))
        if item.repeat is not None and (is_open or by_instance(item, item.name)):
            for variables in indices(item, scope):
                before = self._place(replace(item, repeat=None), scope.with_variables(variables), before)
                item = replace(item, source=None)
            return before
        return self._open(item, scope, before) if is_open else self._unit(item, scope, before)

    def _may_be_absent(self, item: Item, scope: Scope) -> bool:
        """Whether the `when` of an item depends on nodes further down; only for items with a name."""
        if item.when is None or item.repeat is not None or item.name is None or scope.local.by_index:
            return False
        return any(True for _ in not_yet_known(item.when, scope))

    # -- items with one name in their scope

    def _unit(self, item: Item, scope: Scope, before: Binding | None) -> Binding:
        local = scope.local
        span = item.name.span if item.name else item.span
        name = local.claim(self._name(item, scope), item.op, span, scope.report)
        try:
            sources = read_sources(item, scope, before)
        except CnncError as error:
            scope.report_all(error)
            sources = [Source("", "", item.span, FAILED)] * self.bodies.fewest_inputs(item)
        self.inference.link(len(sources), item.span, scope)
        acts = read_acts(item, scope)
        named = [act for act in acts if act is not None]
        build = self.bodies.builder(item)

        def now() -> Bound:
            wires = tuple(find_wire(source, scope) for source in sources)
            try:
                if item.when is not None and item.repeat is None and not condition(item.when, scope):
                    self._pass_by(item, sources, scope)
                    passed = Bound({"": wires[-1]})
                    for act in named:
                        act.bound = passed
                    return passed
                self._require_room(item, scope)
                return build(item, scope.path + name, wires, scope, acts)
            except CnncError as error:
                scope.report_all(error)
                return FAILED

        waits_for = needs(item, sources, scope)
        if waits_for:
            return self._wait(name, Pending(scope.path + name, item.span, waits_for, now), named, scope)
        local.bindings[name] = bound = now()
        local.bindings.update((act.name, act.bound) for act in named)
        return bound

    def _wait(self, name: str, pending: Pending, acts: list[Act], scope: Scope) -> Pending:
        """Let an item wait for its inputs, and its activations for the item."""
        local = scope.local
        local.bindings[name] = pending
        local.waiting.append(pending)
        for act in acts:
            behind = Pending(scope.path + act.name, act.span, (pending,), partial(getattr, act, "bound"))
            local.bindings[act.name] = behind
            local.waiting.append(behind)
        return pending

    def _require_room(self, item: Item, scope: Scope) -> None:
        """Raise TooMuch for a top-level item that must exceed the limit of nodes, before any of them is built."""
        if scope.depth == 0 and (item.repeat is not None or not self.bodies.is_op(item)):
            span = item.repeat.span if item.repeat is not None else item.span
            self.inference.require_room(self._estimate.least(item, scope.variables), span, scope)

    def _name(self, item: Item, scope: Scope) -> str | None:
        """The name of an item; None if it has none, or an invalid one that is not a string."""
        given = evaluate(item.name, scope) if item.name is not None else None
        if given is None or isinstance(given, str):
            return given
        is_number = isinstance(given, int | float) and not isinstance(given, bool)
        way_out = f'put it in quotes: "{given}"' if is_number else "for example `name: conv1`"
        span = item.name.span if item.name else item.span
        scope.report(Diagnostic(Code.BAD_NAME, f"a name must be a string, got {show(given)}", span, help=way_out))
        return str(given) if isinstance(given, int) and is_number and str(given) not in scope.local.given else None

    # -- an `each` whose rounds are in the scope around it

    def _open(self, item: Item, scope: Scope, before: Binding | None) -> Binding | None:
        """Expand an `each` to its nodes or, if its name differs between rounds, to one scope per round."""
        assert item.body is not None
        if item.source is not None:
            sources = read_sources(item, scope, before)
            if len(sources) > 1:
                fail(Code.WRONG_ARITY, f"`each` takes one input, got {len(sources)}", item.source, None)
            before = self._alias(item, sources[0], scope)
        for variables in rounds(item, scope):
            self.inference.step(item.span, scope)
            inner = scope.with_variables(variables)
            if item.name is None:
                inner = replace(inner, allow=self.inference.allowed(item.allow, inner.allow))
                before = self._run(item.body.items, inner, before)
            else:
                before = self._place(replace(item, op="group", source=None), inner, before)
        return before

    # -- items that are left out

    def _leave(self, item: Item, scope: Scope, before: Binding | None) -> Binding | None:
        """Leave out a node: its last input takes its place."""
        if item.source is not None:
            sources = read_sources(item, scope, before)
            self._pass_by(item, sources, scope)
            before = self._alias(item, sources[-1], scope)
        if item.name is not None and before is not None:
            try:
                name = evaluate(item.name, scope)
            except CnncError:
                return before  # errors in a left-out node are ignored
            if isinstance(name, str):
                scope.local.leave(name, before)
        return before

    def _pass_by(self, item: Item, sources: list[Source], scope: Scope) -> None:
        message = f"this `{item.op}` is left out, and only its last input takes its place"
        note = Note(message, item.span)
        self._passed_by += [(source, scope, note) for source in sources[:-1]]

    def _alias(self, item: Item, source: Source, scope: Scope) -> Binding:
        """The binding of an input, which may be pending."""

        def now() -> Bound:
            return Bound({"": find_wire(source, scope)})

        binding = source.before or scope.find(source.name)
        if isinstance(binding, Bound):
            return now() if source.port or binding.failed else binding
        if binding is not None and not source.port:
            return binding
        pending = Pending(source.name, item.span, (binding or source.name,), now, passage=True)
        scope.local.waiting.append(pending)
        return pending

    def _lose(self, item: Item, scope: Scope) -> Binding:
        """Bind the names of a node that cannot be read, so that references to them are not errors."""
        local = scope.local
        self.inference.failures += 1
        if item.op == "each" and item.name is None and item.body is not None:
            for each in item.body.items:
                self._lose(each, scope)
            local.lost = True
        elif item.name is not None and isinstance(item.name.data, str) and "$" not in item.name.data:
            local.bindings.setdefault(item.name.data, FAILED)
            local.given.setdefault(item.name.data, item.span)
            local.ahead[item.name.data] = 0
        elif item.name is None and item.op:
            op = item.op if self.bodies.knows(item.op) else self.bodies.meant(item.op)
            local.bindings[local.claim(None, op, item.span, lambda _: None)] = FAILED
        else:
            local.lost = True
        return FAILED
