"""The differences between two networks, node by node and in total.

Takes two proved graphs; returns a `Difference`. A node is `added`, `removed`, `renamed` (the same node at another
path), `changed` (another op, other attributes or other inputs), or `affected`: unchanged itself, but with another
output shape, cost or receptive field.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from cnnc.analysis.cost import FLOAT, Totals, totals
from cnnc.analysis.receptive_field import Field, receptive_fields
from cnnc.diff.lines import ChangedLines, SpecLine
from cnnc.diff.match import Pairs, inputs, match
from cnnc.graph.graph import Graph, Input, Node, Output
from cnnc.ops.types import Types

Kind = Literal["added", "removed", "renamed", "changed", "affected"]
Details = dict[str, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Facts:
    """A node on one side.

    `memory`: the bytes of its outputs, batch 1, float32. `field`: its receptive field in the first input, padding
    included; None if it does not depend on that input, and each number None if it is unknown. `at`: its line.
    """

    path: str
    op: str
    inputs: tuple[str, ...]
    outputs: Types
    params: int
    macs: int | None
    memory: int | None
    field: tuple[int | None, int | None] | None
    at: SpecLine | None


@dataclass(frozen=True, slots=True)
class Change:
    """A node that differs; `details` maps `op`, an attribute, `from` or `share` to its old and new value."""

    kind: Kind
    old: Facts | None
    new: Facts | None
    details: Details

    @property
    def shown(self) -> Facts:
        """The new side, or the old one of a removed node."""
        facts = self.new or self.old
        assert facts is not None
        return facts


@dataclass(frozen=True, slots=True)
class EndChange:
    """A changed input, output or list of labels, old and new as text; None if it is missing."""

    what: str
    old: str | None
    new: str | None


@dataclass(frozen=True)
class Difference:
    """All differences, in the order of the new network; removed nodes follow the node that preceded them."""

    changes: tuple[Change, ...]
    ends: tuple[EndChange, ...]
    nodes: tuple[int, int]
    totals: tuple[Totals, Totals]

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not self.changes and not self.ends

    def with_files(self, old: Callable[[str], str], new: Callable[[str], str]) -> "Difference":
        """Return the same difference with other names of the files of both sides."""
        changes = (replace(each, old=_renamed(each.old, old), new=_renamed(each.new, new)) for each in self.changes)
        return replace(self, changes=tuple(changes))


def compare(old: Graph, new: Graph) -> Difference:
    """Return the difference of two networks."""
    pairs = match(old, new)
    moved_to = inputs(old, new) | pairs
    return Difference(
        changes=tuple(_changes(old, new, pairs, moved_to)),
        ends=tuple(_end_changes(old, new, inputs(old, new))),
        nodes=(len(old.nodes), len(new.nodes)),
        totals=(totals(old), totals(new)),
    )


def _changes(old: Graph, new: Graph, pairs: Pairs, moved_to: Pairs) -> Iterator[Change]:
    fields = receptive_fields(old), receptive_fields(new)
    lines = ChangedLines(old, new), ChangedLines(new, old)
    for before, after in _in_order(old, new, pairs):
        was = None if before is None else _facts(old, before, fields[0].get(before.path), lines[0])
        now = None if after is None else _facts(new, after, fields[1].get(after.path), lines[1])
        if before is None or after is None or was is None or now is None:
            yield Change("added" if before is None else "removed", was, now, {})
        elif details := _details(old, new, before, after, moved_to):
            yield Change("changed", was, now, details)
        elif (before.outputs, before.cost, was.field) != (after.outputs, after.cost, now.field):
            yield Change("affected", was, now, {})
        elif before.path != after.path:
            yield Change("renamed", was, now, {})


def _in_order(old: Graph, new: Graph, pairs: Pairs) -> Iterator[tuple[Node | None, Node | None]]:
    """Yield every node of either side: the new nodes, and each removed node after its old predecessor."""
    removed: dict[str | None, list[Node]] = {}
    last: str | None = None
    for node in old.nodes:
        last = pairs.get(node.path, last)
        if node.path not in pairs:
            removed.setdefault(last, []).append(node)
    came_from = {after: old.node[before] for before, after in pairs.items()}
    yield from ((gone, None) for gone in removed.get(None, ()))
    for node in new.nodes:
        yield came_from.get(node.path), node
        yield from ((gone, None) for gone in removed.get(node.path, ()))


def _details(old: Graph, new: Graph, before: Node, after: Node, moved_to: Pairs) -> Details:
    """Return how a node differs: in its op or its attributes, and in its inputs."""
    found: Details = {}
    if before.op.name != after.op.name:
        found["op"] = (before.op.name, after.op.name)
    elif before.op != after.op:
        values = {key: (getattr(before.op, key), getattr(after.op, key)) for key in type(after.op).model_fields}
        found |= {key: (spell(was), spell(now)) for key, (was, now) in values.items() if was != now}
    if [(moved_to.get(ref.node), ref.port) for ref in before.inputs] != [(ref.node, ref.port) for ref in after.inputs]:
        found["from"] = (_sources(old, before), _sources(new, after))
    if moved_to.get(before.shares or "") != after.shares:
        found["share"] = spell(before.shares), spell(after.shares)
    return found


def _facts(graph: Graph, node: Node, field: Field | None, lines: ChangedLines) -> Facts:
    sizes = [each.elements for each in node.outputs]
    known = [each for each in sizes if each is not None]
    return Facts(
        path=node.path,
        op=node.op.name,
        inputs=tuple(graph.spelling(ref) for ref in node.inputs),
        outputs=node.outputs,
        params=node.cost.params,
        macs=node.cost.macs,
        memory=FLOAT * sum(known) if len(known) == len(sizes) else None,
        field=None if field is None else (field.height.size, field.width.size),
        at=lines.of(node),
    )


def _renamed(facts: Facts | None, rename: Callable[[str], str]) -> Facts | None:
    return replace(facts, at=facts.at._replace(file=rename(facts.at.file))) if facts and facts.at else facts


def _sources(graph: Graph, node: Node) -> str:
    return ", ".join(graph.spelling(ref) for ref in node.inputs)


def _end_changes(old: Graph, new: Graph, same: Pairs) -> Iterator[EndChange]:
    """Yield the changes of inputs, outputs and labels; `same` are the inputs of both by their names."""
    was, now = _ends(old), _ends(new)
    for before, after in same.items():
        if before != after:
            about = was.pop(f"input {before}"), now.pop(f"input {after}")
            more = ["", ""] if about[0] == about[1] else [f", {each}" for each in about]
            yield EndChange(f"input {after}", before + more[0], after + more[1])
    for what in dict.fromkeys((*was, *now)):
        if was.get(what) != now.get(what):
            yield EndChange(what, was.get(what), now.get(what))


def _ends(graph: Graph) -> dict[str, str]:
    found = {f"input {each.name}": _input(each) for each in graph.inputs}
    found |= {f"output {each.name}": _output(graph, each) for each in graph.outputs}
    return found | ({"labels": ", ".join(graph.labels)} if graph.labels else {})


def _input(each: Input) -> str:
    """Return the shape and the picture preprocessing that differs from the defaults."""
    if each.picture is None:
        return str(each.type)
    defaults = each.picture._field_defaults
    fields = each.picture._asdict().items()
    shown = [f"{name} {spell(value)}" for name, value in fields if value and value != defaults.get(name)]
    return ", ".join([str(each.type), *shown])


def _output(graph: Graph, each: Output) -> str:
    source = graph.spelling(each.ref)
    come = f" from {source}" if source != each.name else ""
    kind = "" if each.kind is None else f", as {each.kind}"
    weight = "" if each.weight is None else f", weight {each.weight:g}"
    return f"{graph.type_of(each.ref)}{come}{', train only' if each.train_only else ''}{weight}{kind}"


def spell(value: Any) -> str:
    """Return an attribute's value as written in a spec; a tuple of equal values is written once."""
    if isinstance(value, tuple):
        return spell(value[0]) if len(set(value)) == 1 else f"[{', '.join(map(spell, value))}]"
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
