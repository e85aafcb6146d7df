"""What random networks have covered: ops, their attributes and targets by how often, constructs by how many had them.

In: specs as plain data, and the graphs that they mean. Out: counts, and the names of what was never seen.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from cnnc.graph.graph import Graph
from cnnc.ops import registry

CONSTRUCTS = (
    *("act", "when", "repeat", "each", "named each", "group", "block", "names: index", "parameter", "expression"),
    *("forward reference", "several inputs", "open size", "several outputs", "only: train", "as", "inputs of a block"),
    *("outputs of a block", "block in a block", "node that is not there", "vector input", "share"),
    *("share: false", "repeat of several values"),
)


@dataclass
class Coverage:
    """How often ops, their attributes (other than by default) and constructs occurred, and how large networks were."""

    wanted: tuple[str, ...] = CONSTRUCTS
    ops: Counter[str] = field(default_factory=Counter)
    attributes: Counter[str] = field(default_factory=Counter)
    constructs: Counter[str] = field(default_factory=Counter)
    targets: Counter[str] = field(default_factory=Counter)
    sizes: list[int] = field(default_factory=list)
    refused: int = 0

    def add(self, spec: dict[str, Any], graph: Graph, more: Iterable[str] = ()) -> None:
        """Count what one network holds, and `more` constructs that somebody else has seen in it."""
        self.sizes.append(len(graph.nodes))
        for node in graph.nodes:
            self.ops[node.op.name] += 1
            given = node.op.model_dump(exclude_defaults=True)
            self.attributes.update(f"{node.op.name}.{name}" for name in given)
        self.constructs.update({*_constructs(spec, graph), *more})

    def merge(self, other: "Coverage") -> None:
        """Count what another has counted."""
        for name in ("ops", "attributes", "constructs", "targets"):
            getattr(self, name).update(getattr(other, name))
        self.sizes += other.sizes
        self.refused += other.refused

    @property
    def ops_missing(self) -> list[str]:
        return [name for name in registry.names() if not self.ops[name]]

    @property
    def attributes_missing(self) -> list[str]:
        every = [f"{op}.{name}" for op in registry.names() for name in registry.get(op).model_fields]
        return [name for name in every if not self.attributes[name]]

    @property
    def constructs_missing(self) -> list[str]:
        return [name for name in self.wanted if not self.constructs[name]]

    def as_text(self) -> str:
        """Ops with their attributes, constructs by how many networks had them, and sizes."""
        if not self.sizes:
            return "no networks"
        lines = []
        for op in registry.names():
            fields = registry.get(op).model_fields
            counts = ", ".join(f"{name} {self.attributes[f'{op}.{name}']}" for name in fields)
            lines.append(f"  {op:<20}{self.ops[op]:>7}  {counts}".rstrip())
        sizes = sorted(self.sizes)
        tenths = ", ".join(str(sizes[len(sizes) * k // 10]) for k in range(1, 10))
        had = ", ".join(f"{name} {self.constructs[name]}" for name in self.wanted)
        missing = [*self.ops_missing, *self.attributes_missing, *self.constructs_missing]
        built = ", ".join(f"{name} {count}" for name, count in sorted(self.targets.items()))
        return "\n".join(
            [
                f"{len(sizes)} networks of {sum(sizes):,} nodes; deciles of their sizes: {tenths}, at most {sizes[-1]}",
                *([f"{self.refused} more specs were refused"] if self.refused else []),
                "nodes by op, and how many set an attribute:",
                *lines,
                f"networks with a construct: {had}",
                *([f"networks built for a target: {built}"] if built else []),
                f"never seen: {', '.join(missing) or 'nothing'}",
            ]
        )


def _constructs(spec: dict[str, Any], graph: Graph) -> Iterator[str]:
    """The constructs that a spec uses; some again and again."""
    blocks = spec.get("blocks") or {}
    yield from ["several inputs"] * (len(graph.inputs) > 1)
    yield from ["vector input"] * any(each.type.is_vector for each in graph.inputs)
    yield from ["open size"] * any(not each.type.known for each in graph.inputs)
    yield from ["several outputs"] * (len(graph.outputs) > 1)
    yield from ["as"] * any(each.kind is not None for each in graph.outputs)
    yield from ["only: train"] * any(each.train_only for each in graph.outputs)
    for block in blocks.values():
        yield from ["inputs of a block"] * (len(block.get("inputs", [])) > 1)
        yield from ["outputs of a block"] * (len(block.get("outputs", [])) > 1)
        inside = {op for op, _ in items(block["nodes"])}
        yield from ["block in a block"] * any(op in blocks for op in inside)
    for nodes in [spec["nodes"], *(block["nodes"] for block in blocks.values())]:
        yield from ["forward reference"] * _looks_forward(nodes)
        for op, words in items(nodes):
            yield from _of_item(op, words, blocks)


def _of_item(op: str, words: dict[str, Any], blocks: dict[str, Any]) -> Iterator[str]:
    yield from (word for word in ("act", "when", "repeat", "share") if words.get(word) not in (None, False))
    yield from ["share: false"] * (words.get("share") is False)
    several = len((blocks.get(op) or words).get("inputs") or "") > 1
    yield from ["repeat of several values"] * (several and ("repeat" in words or op == "each"))
    yield from ["node that is not there"] * (words.get("out") == "$(1 // 0)" or words.get("when") is False)
    yield from ["names: index"] * ("names" in words)
    yield from ["block"] * (op in blocks) + [op] * (op in ("group", "each"))
    yield from ["named each"] * (op == "each" and "name" in words)
    for value in words.values():
        if isinstance(value, str) and value.startswith("$"):
            yield "expression" if value.startswith("$(") else "parameter"


def items(nodes: list[Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every item of a list, and those within it, as its op and its words."""
    for item in nodes:
        [(op, words)] = item.items() if isinstance(item, dict) else [(item, {})]
        yield op, words or {}
        if op in ("group", "each"):
            yield from items(words["nodes"])


def _looks_forward(nodes: list[Any]) -> bool:
    words = [next(iter(item.values())) or {} if isinstance(item, dict) else {} for item in nodes]
    names = [each.get("name") for each in words]
    for at, each in enumerate(words):
        source = each.get("from", [])
        taken = [source] if isinstance(source, str) else source
        if any(str(name).partition(".")[0] in names[at + 1 :] for name in taken):
            return True
    return False
