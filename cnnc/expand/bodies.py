"""Builds an item once its inputs are known: a node, a `repeat`, a block, a group, or the rounds of an `each`.

Takes the item, its path, its input wires, and the scope around it; returns the `Bound` for its name.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from itertools import islice
from types import MappingProxyType

from cnnc.diagnostics import CnncError, Code, Diagnostic, Note, counted
from cnnc.diagnostics.suggestions import MOST, nearest
from cnnc.expand.attached_activations import Act
from cnnc.expand.infer_node import Inference
from cnnc.expand.parameters import attributes, instances, parameters, rounds
from cnnc.expand.references import read_source, wire
from cnnc.expand.refusal import Written
from cnnc.expand.scope import FAILED, NOTHING, Binding, Bound, Names, Pending, Scope, Wire, fail
from cnnc.expressions.strings import evaluate_value
from cnnc.language.model import Block, Item
from cnnc.ops import registry
from cnnc.text.value import Value

MAX_DEPTH = 32

Acts = list[Act | None]
Build = Callable[[Item, str, tuple[Wire, ...], Scope, Acts], Bound]
Fill = Callable[[tuple[Item, ...], Scope, Binding | None], Binding | None]


class Bodies:
    """Builds items from ops and `blocks`; `fill` expands the items of a scope."""

    def __init__(self, blocks: Mapping[str, Block], inference: Inference, fill: Fill, *, rehearsed: bool) -> None:
        self.blocks, self.inference, self._fill = blocks, inference, fill
        self.rehearsed = rehearsed
        self._active: list[str] = []
        self._meant: dict[str, str] = {}
        self._meant_by: dict[int, set[str | None]] = {}  # by the value of the spec that holds them

    def knows(self, op: str) -> bool:
        """Whether the name belongs to an op or to a block, but not to both."""
        return (op in registry.PLACES) != (op in self.blocks) or op in ("group", "each")

    def is_op(self, item: Item) -> bool:
        """Whether an item is a single node."""
        return item.body is None and item.op not in self.blocks

    def meant(self, op: str) -> str:
        """The known op or block that a misspelt op most likely means."""
        if op not in self._meant:
            self._meant[op] = nearest(op, [*registry.names(), *self.blocks]) or op
        return self._meant[op]

    def _meant_params(self, block: Block, given: Value) -> set[str | None]:
        """The parameters that misspelt ones most likely mean; searched once for all instances of a line."""
        if id(given) not in self._meant_by:
            keys = given.data if isinstance(given.data, dict) else {}
            unknown = islice((key for key in keys if key not in block.params), MOST)
            self._meant_by[id(given)] = {nearest(key, block.params) for key in unknown}
        return self._meant_by[id(given)]

    def fewest_inputs(self, item: Item) -> int:
        """The minimum number of inputs of an item."""
        block = self.blocks.get(item.op) or item.body
        return len(block.inputs) if block else registry.get(item.op).least_inputs

    def builder(self, item: Item) -> Build:
        """The method that builds an item."""
        if item.repeat is not None:
            return self._chain
        if item.op == "each":
            return self._each
        if item.op == "group":
            return self._group
        return self._instance if item.op in self.blocks else self._op

    def _op(self, item: Item, path: str, wires: tuple[Wire, ...], scope: Scope, acts: Acts) -> Bound:
        values, unknown = attributes(item, scope)
        assert isinstance(values.data, dict)
        if "act" in item.attributes.keys:
            rest = {key: each for key, each in values.data.items() if key != "act"}
            values = Value(rest, values.span, {key: span for key, span in values.keys.items() if key != "act"})
        source = item.source.span if item.source else item.span
        written = Written(item.op, values, item.span, source, unknown - {"act"}, item.allow)
        bound = self.inference.add(written, path, wires, scope)
        for act in filter(None, acts):
            if act.op is None or bound.failed:
                return FAILED
            nothing = Written(act.op, Value({}, act.span), act.span, act.span, allow=item.allow)
            bound = self.inference.add(nothing, scope.path + act.name, (bound.ports[""],), scope)
            act.bound = bound
        return bound

    def _chain(self, item: Item, path: str, wires: tuple[Wire, ...], scope: Scope, acts: Acts) -> Bound:
        """Build a `repeat`: instances `path.0`, `path.1` …, each the input of the next."""
        single = replace(item, repeat=None, name=None, when=None)
        build = self.builder(single)
        inners = instances(item, scope)
        self.inference.step(item.span, scope)
        if item.body is not None or item.op in self.blocks:
            self.inference.scopes[path] = item.op
        taps: dict[str, Wire] = {}
        bound = Bound({"": wires[-1]})
        for index, inner in enumerate(inners):
            self.inference.step(item.span, scope)
            if taps or len(wires) > 1 < len(inners):
                wires = (_only(bound, item, wires),)
            bound = build(single, f"{path}.{inner.variables['i']}", wires, inner, acts[index : index + 1])
            if bound.failed:
                return FAILED
            taps[str(inner.variables["i"])] = bound.ports.get("", NOTHING)
        return Bound({**bound.ports, **taps}) if "" in bound.ports else bound

    def _group(self, item: Item, path: str, wires: tuple[Wire, ...], scope: Scope, acts: Acts) -> Bound:
        assert item.body is not None
        inner = self._inside(item.body, "group", path, wires, item, scope)
        inner = inner.with_variables(scope.variables)
        return self._body(item.body, "group", inner.with_variables(parameters(item.body.params, {}, inner)), wires)

    def _instance(self, item: Item, path: str, wires: tuple[Wire, ...], scope: Scope, acts: Acts) -> Bound:
        block = self.blocks[item.op]
        values, unknown = attributes(item, scope)
        assert isinstance(values.data, dict)
        missing = [name for name, default in block.params.items() if default.data is None]
        missing = [name for name in missing if name not in item.attributes.keys]
        meant = self._meant_params(block, item.attributes)
        for name in missing:
            note = Note(f"`{name}` has no default", block.params[name].span)
            message, way_out = f"`{item.op}` needs `{name}`", f"add `{name}: …`"
            if name not in meant:
                scope.report(Diagnostic(Code.MISSING_ATTRIBUTE, message, item.span, notes=(note,), help=way_out))
        if block.text is None or item.op in self._active:
            return FAILED
        if self.rehearsed and self._active:
            return Bound(dict.fromkeys(block.outputs or [""], NOTHING))
        lost = block.params.keys() & {*unknown, *missing, *meant}
        return self.body(item, path, wires, scope, values.data, lost)

    def body(
        self,
        item: Item,
        path: str,
        wires: tuple[Wire, ...],
        scope: Scope,
        given: Mapping[str, Value] = MappingProxyType({}),
        unknown: Collection[str] = (),
    ) -> Bound:
        """Build an instance of a block with the parameters `given`; the values of `unknown` ones are not known."""
        block = self.blocks[item.op]
        inner = self._inside(block, block.name, path, wires, item, scope)
        own = parameters(block.params, given, inner, unknown)
        return self._body(block, block.name, inner.with_variables(own), wires)

    def _each(self, item: Item, path: str, wires: tuple[Wire, ...], scope: Scope, acts: Acts) -> Bound:
        """Build an `each` with a name: every round is a separate scope, `path.0`, `path.1` …"""
        assert item.body is not None
        self.inference.scopes[path] = "each"
        taps: dict[str, Wire] = {}
        bound = Bound({"": wires[-1]})
        for variables in rounds(item, scope):
            self.inference.step(item.span, scope)
            inner = self._inside(item.body, "each", f"{path}.{variables['i']}", wires, item, scope)
            inner = inner.with_variables({**scope.variables, **variables})
            bound = self._body(item.body, "each", inner, wires)
            if bound.failed:
                return FAILED
            wires = (_only(bound, item, ()),)
            taps[str(variables["i"])] = wires[0]
        return Bound({**bound.ports, **taps})

    def _inside(self, block: Block, kind: str, path: str, wires: tuple[Wire, ...], item: Item, scope: Scope) -> Scope:
        """Create a scope at `path`, with its inputs and without variables."""
        if len(wires) != len(block.inputs):
            names = ", ".join(f"`{name}`" for name in block.inputs)
            count = counted(len(block.inputs), "input")
            message = f"`{item.op}` takes {count} ({names}), got {len(wires)}"
            way_out = f"name {count}: `from: [{', '.join('abcdefgh'[: len(block.inputs)])}]`"
            fail(Code.WRONG_ARITY, message, item.source or item.span, way_out)
        if scope.depth >= MAX_DEPTH:
            message = f"blocks are nested more than {MAX_DEPTH} deep"
            fail(Code.TOO_MANY_NODES, message, item.span, "use fewer levels of blocks")
        self.inference.scopes[path] = kind
        what = f"in `{path}`, an instance of `{kind}`" if kind in self.blocks else f"in `{path}`"
        inputs: dict[str, Binding] = {
            name: Bound({"": wire}, failed=wire.type is None) for name, wire in zip(block.inputs, wires, strict=True)
        }
        given = dict.fromkeys(block.inputs, block.span)
        local = Names(inputs, given=given, by_index=block.index_names, around=scope.local)
        trail = (Note(what, item.span), *scope.trail)
        allow = self.inference.allowed(block.allow, self.inference.allowed(item.allow, scope.allow))
        return Scope(f"{path}.", local, scope.sink, {}, trail, scope.depth + 1, allow, scope.work)

    def _body(self, block: Block, kind: str, inner: Scope, wires: tuple[Wire, ...]) -> Bound:
        """Expand the items of a block, group or round."""
        self._active.append(kind)
        self.inference.link(len(block.outputs or ()), block.span, inner)
        last = self._fill(block.items, inner, inner.find(block.inputs[0]) if len(wires) == 1 else None)
        self._active.pop()
        return shown(block, last, inner)


def shown(block: Block, last: Binding | None, scope: Scope) -> Bound:
    """The outputs of a scope: those that it declares, or its last node."""
    if block.outputs is None:
        bound = last.bound if isinstance(last, Pending) else last
        return bound or FAILED
    ports = {}
    for port, value in block.outputs.items():
        try:
            ports[port] = wire(read_source(evaluate_value(value, scope)), scope)
        except CnncError as error:
            scope.report_all(error)
    if len(ports) < len(block.outputs):
        return FAILED
    return Bound({"": next(iter(ports.values()))}) if len(ports) == 1 else Bound(ports)


def _only(bound: Bound, item: Item, wires: tuple[Wire, ...]) -> Wire:
    """The single value that the next instance takes; raises E215 if there are several."""
    if "" not in bound.ports or len(wires) > 1:
        count = f"{len(wires)} inputs" if len(wires) > 1 else f"{len(bound.ports)} outputs"
        word = "repeat" if item.repeat is not None else "each"
        message = f"`{word}` chains nodes with one input and one output, but `{item.op}` has {count}"
        way_out = "put it into a block with one input and one output, and repeat that"
        fail(Code.BAD_REPEAT, message, item.repeat or item.span, way_out)
    return bound.ports[""]
