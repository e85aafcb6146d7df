"""Builds the units of a spec: nodes, repeats, instances of blocks, groups, and rounds of an `each`.

Takes items and a scope; adds nodes to `Inference`, in an order in which every input comes before its users. A unit is
built as soon as it has been read, or after the whole scope has been read if it waits for a node further down. It is one
item of the scope around it: its nodes are contiguous.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import chain, repeat
from typing import NamedTuple

from cnnc.diagnostics import CnncError, Code, Diagnostic, Note
from cnnc.expand.blocks import Blocks, Instance, block_outputs, enter, next_inputs
from cnnc.expand.infer_node import Inference, Written
from cnnc.expand.limits import Estimate, count_links, count_step, require_room
from cnnc.expand.parameters import attributes, condition, instances, parameters, rounds
from cnnc.expand.reading import Passage, Reader, Unit
from cnnc.expand.references import InputReference, find_wire, hidden_inputs, known_wire, needs
from cnnc.expand.scope import FAILED, UNKNOWN_WIRE, Bound, Pending, Scope, Wire, Wires, fail
from cnnc.language.model import Block, Item
from cnnc.text.value import Value

Waiting = dict[Pending, Unit | Passage | None]  # None for an activation, which is bound with the unit before it


class BuiltUnit(NamedTuple):
    """The binding of a unit, and those of its instances, whose activations have the same bindings."""

    bound: Bound
    instances: Sequence[Bound] = ()


class Expander:
    """Expands one spec and adds its nodes and scopes to `inference`.

    In a rehearsal (`rehearsed`), all inputs are unknown, and instances of other blocks inside a block are skipped:
    every unused block is rehearsed by itself.
    """

    def __init__(self, blocks: Blocks, inference: Inference, *, rehearsed: bool = False) -> None:
        self._blocks, self._inference, self._rehearsed = blocks, inference, rehearsed
        self._reader = Reader(blocks)
        self._estimate = Estimate(blocks.by_name, inference.work)
        self._passed_by: list[tuple[InputReference, Scope, Note]] = []

    def expand_items(self, items: tuple[Item, ...], scope: Scope) -> Bound | None:
        """Expand the items of a scope; returns the binding of the last item, if there is any, or of the only input."""
        waiting: Waiting = {}
        for found in self._reader.read(items, scope):
            if isinstance(found, Unit):
                self._place(found, waiting)
            elif isinstance(found, Passage):
                self._pass_on(found, waiting)
            else:
                self._inference.failures += 1
        self._settle(waiting, scope)
        last = scope.local.last
        return last.bound if isinstance(last, Pending) else last

    def passed_by(self) -> dict[str, Note]:
        """The nodes and inputs that a left-out node would use, each with a note on that node."""
        found = {}
        for source, scope, note in self._passed_by:
            passed = known_wire(source, scope)  # errors in a left-out node are ignored
            if passed is not None:
                found[passed.ref.node] = note
        return found

    # -- the items of one scope

    def _place(self, unit: Unit, waiting: Waiting) -> None:
        """Build a unit, or let it wait for nodes further down, and its activations for it."""
        names = unit.scope.local
        named = [*unit.sources, unit.share] if unit.share else unit.sources
        waits_for = needs(unit.item, named, unit.scope)
        if not waits_for:
            self._bind(unit, self._build(unit))
        else:
            pending = Pending(unit.path, unit.item.span, waits_for)
            names.bind(unit.name, pending)
            waiting[pending] = unit
            for act in filter(None, unit.acts or ()):
                behind = Pending(unit.scope.path + act.name, act.span, (pending,))
                names.bind(act.name, behind)
                waiting[behind] = None
        names.last = names.bindings[unit.name]

    def _pass_on(self, passage: Passage, waiting: Waiting) -> None:
        """Make the last source of a passage the input of the next item."""
        self._note_passed_by(passage)
        names, source = passage.scope.local, passage.sources[-1]
        binding = source.before or names.find(source.name)
        if isinstance(binding, Bound) and (source.port or binding.failed):
            binding = Bound({"": find_wire(source, passage.scope)})
        elif binding is None or (isinstance(binding, Pending) and source.port):
            binding = Pending(source.name, passage.item.span, (binding or source.name,), passage=True)
            waiting[binding] = passage
        names.last = binding

    def _note_passed_by(self, left_out: Unit | Passage) -> None:
        item = left_out.item
        note = Note(f"this `{item.op}` is left out, and only its last input takes its place", item.span)
        self._passed_by += [(source, left_out.scope, note) for source in left_out.sources[:-1]]

    def _settle(self, waiting: Waiting, scope: Scope) -> None:
        """Build the waiting items of a scope that has been read; items on a cycle are reported and fail."""
        if not waiting:
            return
        from cnnc.expand.order import in_order  # most networks are written in order, and do not need it

        order = in_order(tuple(waiting), scope.local)
        self._build_waiting(order.first, waiting)
        for cycle in order.cycles:
            scope.report(cycle.fault)
            for pending in cycle.pending:
                pending.bound = FAILED
        self._build_waiting(order.last, waiting)

    def _build_waiting(self, ready: Sequence[Pending], waiting: Waiting) -> None:
        for pending in ready:
            found = waiting[pending]
            if isinstance(found, Unit):
                self._bind(found, self._build(found))
            elif found is not None:
                pending.bound = Bound({"": find_wire(found.sources[-1], found.scope)})
            elif pending.bound is None:
                pending.bound = FAILED  # its unit is on a cycle

    def _bind(self, unit: Unit, built: BuiltUnit) -> None:
        """Bind the names of a unit and of its activations; those after instances that were not built fail."""
        names = unit.scope.local
        names.bind(unit.name, built.bound)
        if unit.acts:
            for act, bound in zip(unit.acts, chain(built.instances, repeat(FAILED)), strict=False):
                if act is not None:
                    names.bind(act.name, bound)

    # -- one unit, whose inputs are known

    def _build(self, unit: Unit) -> BuiltUnit:
        item, scope = unit.item, unit.scope
        wires = tuple(find_wire(source, scope) for source in unit.sources)
        try:
            if item.when is not None and item.repeat is None and not condition(item.when, scope):
                self._note_passed_by(unit)
                passed = Bound({"": wires[-1]})
                return BuiltUnit(passed, [passed])
            if not scope.inside and (item.repeat is not None or not self._blocks.is_op(item)):
                require_room(self._estimate.least(item, scope.variables), (item.repeat or item).span, scope)
            if item.repeat is not None:
                return self._repeat(unit, wires)
            act, shares = next(iter(unit.acts or ()), None), self._shares(unit)
            bound = self._instance(Instance(item, unit.path, wires, scope, act, shares))
            return BuiltUnit(bound, [bound])
        except CnncError as error:
            scope.report_all(error)
            return BuiltUnit(FAILED)

    def _shares(self, unit: Unit) -> str | None:
        """The path of the item whose parameters a unit shares; None if it has its own."""
        if unit.share is False:
            return None
        if unit.share is None or self._rehearsed:
            return unit.scope.shares + unit.name if unit.scope.shares else None
        return self._inference.sharing.named(unit.share, unit.item, unit.scope, is_op=self._blocks.is_op(unit.item))

    def _repeat(self, unit: Unit, wires: Wires) -> BuiltUnit:
        """Build the instances `path.0`, `path.1` …, each the input of the next."""
        item, scope, path = unit.item, unit.scope, unit.path
        single = item._replace(repeat=None, name=None, when=None)
        inners = instances(item, scope)
        if unit.acts is None:
            message = f"`act` needs the number of instances of `{item.op}`, which depends on nodes further down"
            way_out = "write the activation as a node after it in a block, and repeat the block"
            fail(Code.BAD_REPEAT, message, item.attributes.at("act"), way_out)
        count_step(item.span, scope)
        if not self._blocks.is_op(item):
            self._inference.scopes[path] = item.op
        sharing, shares = self._inference.sharing, self._shares(unit)
        sharing.repeated.add(path)
        built: list[Bound] = []
        taps: dict[str, Wire] = {}
        takes, bound, inputs = wires, Bound({"": wires[-1]}), self._blocks.inputs(item)
        for inner, act in zip(inners, chain(unit.acts, repeat(None)), strict=False):
            count_step(item.span, scope)
            if built or (len(wires) > 1 < len(inners) and not inputs):
                wires = next_inputs(bound, item, inputs, wires)
            index = inner.variables["i"]
            shared = sharing.instance(shares, index)
            bound = self._instance(Instance(single, f"{path}.{index}", wires, inner, act, shared))
            built.append(bound)
            if bound.failed:
                return BuiltUnit(FAILED, built)
            taps |= {f"{index}.{port}".rstrip("."): wire for port, wire in bound.ports.items()}
        self._inference.enclose(path, takes, bound, item.span)
        return BuiltUnit(Bound({**bound.ports, **taps}), built)

    # -- one instance

    def _instance(self, instance: Instance) -> Bound:
        item = instance.item
        if item.body is None:
            return self._node(instance) if self._blocks.is_op(item) else self._block(instance)
        if item.op == "each":
            return self._each(instance, item.body)
        return self.expand_block(item.body, instance, instance.scope.variables, {})

    def _node(self, instance: Instance) -> Bound:
        """Infer a node and the activation after it; the binding is that of the activation."""
        item, path, wires, scope, act, shares = instance
        values, unknown = attributes(item, scope)
        assert isinstance(values.data, dict)
        if "act" in item.attributes.keys:
            rest = {key: each for key, each in values.data.items() if key != "act"}
            values = Value(rest, values.span, {key: span for key, span in values.keys.items() if key != "act"})
        hidden = hidden_inputs(item.op, values)
        wires = (*wires[hidden:], *wires[:hidden])  # an op takes them last
        source = item.source.span if item.source else item.span
        share = item.share.span if item.share else None
        written = Written(item.op, values, item.span, source, unknown - {"act"}, item.allow, share, item.source)
        bound = self._inference.add(written, path, wires, scope, shares)
        if act is None:
            return bound
        if act.op is None or bound.failed:
            return FAILED
        written = Written(act.op, Value({}, act.span), act.span, act.span, allow=item.allow)
        acts, behind = self._inference.sharing.acts, scope.path + act.name
        acts[path] = behind
        return self._inference.add(written, behind, (bound.ports[""],), scope, acts.get(shares or ""))

    def _block(self, instance: Instance) -> Bound:
        """Expand an instance of a block after checking its parameters."""
        item, scope = instance.item, instance.scope
        block = self._blocks.by_name[item.op]
        values, unknown = attributes(item, scope)
        assert isinstance(values.data, dict)
        missing = [name for name, default in block.params.items() if default.data is None]
        missing = [name for name in missing if name not in item.attributes.keys]
        meant = self._blocks.meant_params(block, item.attributes)
        for name in missing:
            note = Note(f"`{name}` has no default", block.params[name].span)
            message, way_out = f"`{item.op}` needs `{name}`", f"add `{name}: …`"
            if name not in meant:
                scope.report(Diagnostic(Code.MISSING_ATTRIBUTE, message, item.span, notes=(note,), help=way_out))
        if block.text is None or item.op in scope.inside:
            return FAILED
        if self._rehearsed:
            ports = block.outputs or {}
            return Bound(dict.fromkeys(ports if len(ports) > 1 else [""], UNKNOWN_WIRE))
        return self.expand_block(block, instance, {}, values.data, block.params.keys() & {*unknown, *missing, *meant})

    def _each(self, instance: Instance, body: Block) -> Bound:
        """Expand an `each` with a name: every round is a separate scope, `path.0`, `path.1` …"""
        item, path, wires, scope, _, shares = instance
        self._inference.scopes[path] = "each"
        self._inference.sharing.repeated.add(path)
        taps: dict[str, Wire] = {}
        bound = Bound({"": wires[-1]})
        for variables in rounds(item, scope):
            count_step(item.span, scope)
            if taps:
                wires = next_inputs(bound, item, body.inputs, wires)
            shared = self._inference.sharing.instance(shares, variables["i"])
            turn = Instance(item, f"{path}.{variables['i']}", wires, scope, shares=shared)
            bound = self.expand_block(body, turn, {**scope.variables, **variables}, {})
            if bound.failed:
                return FAILED
            taps |= {f"{variables['i']}.{port}".rstrip("."): wire for port, wire in bound.ports.items()}
        self._inference.enclose(path, instance.wires, bound, item.span)
        return Bound({**bound.ports, **taps})

    def expand_block(
        self,
        block: Block,
        at: Instance,
        variables: Mapping[str, object],
        given: Mapping[str, Value],
        unknown: Collection[str] = (),
    ) -> Bound:
        """Expand a block in a scope of its own, and return what is visible of it outside.

        The scope sees `variables` and the block's parameters: the values `given`, or the defaults. The values of
        `unknown` parameters are not known.
        """
        allow = self._inference.allowed(block.allow, self._inference.allowed(at.item.allow, at.scope.allow))
        inner = enter(block, at, variables, allow)
        self._inference.scopes[at.path] = at.item.op
        inner = inner.with_variables(parameters(block.params, given, inner, unknown))
        count_links(len(block.outputs or ()), block.span, inner)
        bound = block_outputs(block, self.expand_items(block.items, inner), inner)
        return self._inference.enclose(at.path, at.wires, bound, at.item.span)
