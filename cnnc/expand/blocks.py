"""Blocks and their scopes: which blocks there are, how an instance's scope begins, and what is visible of it outside.

A `group`, and each round of an `each`, is an instance of a block that is written where it is used.
"""

from collections.abc import Mapping
from itertools import islice
from typing import NamedTuple, NoReturn

from cnnc.diagnostics import Allow, CnncError, Code, Note, counted, listed
from cnnc.diagnostics.suggestions import MOST, nearest
from cnnc.expand.attached_activations import Act
from cnnc.expand.references import hidden_inputs, read_reference, wire
from cnnc.expand.scope import FAILED, Binding, Bound, Names, Scope, Wires, fail
from cnnc.expressions.strings import evaluate_value
from cnnc.language.model import Block, Item
from cnnc.ops import registry
from cnnc.text.value import Value

MAX_DEPTH = 32


class Blocks:
    """The blocks of a spec by name. What misspelt names mean is searched once for all uses."""

    def __init__(self, blocks: Mapping[str, Block]) -> None:
        self.by_name = blocks
        self._meant: dict[str, str] = {}
        self._meant_params: dict[int, set[str | None]] = {}  # by the value of the spec that holds them

    def knows(self, op: str) -> bool:
        """Whether the name belongs to an op or to a block, but not to both. A block may have the name of a later op."""
        is_block = op in self.by_name
        return registry.reserved(op) != is_block if is_block else op in registry.PLACES or op in ("group", "each")

    def is_op(self, item: Item) -> bool:
        """Whether an item is a single node."""
        return item.body is None and item.op not in self.by_name

    def fewest_inputs(self, item: Item) -> int:
        """The minimum number of inputs of an item."""
        block = self.by_name.get(item.op) or item.body
        if block:
            return len(block.inputs)
        return registry.get(item.op).least_inputs + hidden_inputs(item.op, item.attributes)

    def inputs(self, item: Item) -> tuple[str, ...]:
        """The names of the inputs of a block, group or `each`; empty for an op."""
        block = self.by_name.get(item.op) or item.body
        return block.inputs if block else ()

    def meant(self, op: str) -> str:
        """The known op or block that a misspelt op most likely means."""
        if op not in self._meant:
            self._meant[op] = nearest(op, [*registry.names(), *self.by_name]) or op
        return self._meant[op]

    def meant_params(self, block: Block, given: Value) -> set[str | None]:
        """The parameters that misspelt ones most likely mean."""
        if id(given) not in self._meant_params:
            keys = given.data if isinstance(given.data, dict) else {}
            unknown = islice((key for key in keys if key not in block.params), MOST)
            self._meant_params[id(given)] = {nearest(key, block.params) for key in unknown}
        return self._meant_params[id(given)]


class Instance(NamedTuple):
    """One instance of an item: where it is, and what it takes."""

    item: Item
    path: str
    wires: Wires
    scope: Scope  # around it
    act: Act | None = None
    shares: str | None = None  # the path of the instance whose parameters it shares


def enter(block: Block, instance: Instance, variables: Mapping[str, object], allow: tuple[Allow, ...]) -> Scope:
    """The scope of an instance before its parameters are known; raises CnncError if the inputs do not fit."""
    item, path, wires, scope, _, shares = instance
    if len(wires) != len(block.inputs):
        names = ", ".join(f"`{name}`" for name in block.inputs)
        count = counted(len(block.inputs), "input")
        message = f"`{item.op}` takes {count} ({names}), got {len(wires)}"
        way_out = f"name {count}: `from: [{', '.join('abcdefgh'[: len(block.inputs)])}]`"
        fail(Code.WRONG_ARITY, message, item.source or item.span, way_out)
    if len(scope.inside) >= MAX_DEPTH:
        message = f"blocks are nested more than {MAX_DEPTH} deep"
        fail(Code.TOO_MANY_NODES, message, item.span, "use fewer levels of blocks")
    given = [Bound({"": wire}, failed=wire.type is None) for wire in wires]
    inputs: dict[str, Binding] = dict(zip(block.inputs, given, strict=True))
    spans = dict.fromkeys(block.inputs, block.span)
    local = Names(
        inputs,
        spans,
        by_index=block.index_names,
        around=scope.local,
        last=given[0] if len(given) == 1 else None,
    )
    note = Note(f"in `{path}`" if item.body else f"in `{path}`, an instance of `{item.op}`", item.span)
    inside = (*scope.inside, item.op)
    shared = f"{shares}." if shares else ""
    return Scope(f"{path}.", local, scope.sink, variables, scope.work, (note, *scope.trail), inside, allow, shared)


def block_outputs(block: Block, last: Bound | None, scope: Scope) -> Bound:
    """The outputs of an expanded scope: those that its block declares, or its last node."""
    if block.outputs is None:
        return last or FAILED
    ports = {}
    for port, value in block.outputs.items():
        try:
            ports[port] = wire(read_reference(evaluate_value(value, scope)), scope)
        except CnncError as error:
            scope.report_all(error)
    if len(ports) < len(block.outputs):
        return FAILED
    return Bound({"": next(iter(ports.values()))}) if len(ports) == 1 else Bound(ports)


def next_inputs(bound: Bound, item: Item, inputs: tuple[str, ...], wires: Wires) -> Wires:
    """The values that the next instance takes: the only output, or the outputs with the names of the inputs.

    Raises E215 if there are no such outputs.
    """
    names = ("",) if "" in bound.ports and len(wires) == 1 else inputs
    if not names or not bound.ports.keys() >= set(names):
        _refuse_chain(bound, item, inputs, wires)
    return tuple(bound.ports[name] for name in names)


def _refuse_chain(bound: Bound, item: Item, inputs: tuple[str, ...], wires: Wires) -> NoReturn:
    """Raise E215 with the names of the inputs and outputs."""
    word = "repeat" if item.repeat is not None else "each"
    ports = [] if "" in bound.ports else [f"`{port}`" for port in bound.ports if "." not in port]
    outputs = f"{counted(len(ports), 'output')} ({listed(ports)})" if ports else "1 output"
    named = f" ({listed([f'`{name}`' for name in inputs])})" if inputs else ""
    message = f"`{word}` hands outputs on by the names of the inputs"
    has = f"`{item.op}` has {counted(len(wires), 'input')}{named} and {outputs}"
    way_out = "use a block with one input and one output, or with an output of the same name for each input"
    fail(Code.BAD_REPEAT, f"{message}, but {has}", item.repeat or item.span, way_out)
