"""`python -m tests.fuzz 10000 [--seed 7]`: random networks through the agreement test, and what they covered.

Ends with 1 at the first that does not agree, made as small as it can be; it is printed as a spec to keep.
"""

import argparse
import random
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from cnnc.compiler import load
from cnnc.graph.graph import Graph
from cnnc.ops import registry
from tests.agreement.whole import agree
from tests.strategies import specs

ROUND = 500  # networks drawn at a time: hypothesis looks for what is new among those that it knows

CONSTRUCTS = (
    *("act", "when", "repeat", "each", "named each", "group", "block", "names: index", "parameter", "expression"),
    *("forward reference", "several inputs", "open size", "several outputs", "only: train", "inputs of a block"),
    *("outputs of a block", "block in a block", "node that is not there", "vector input"),
)


@dataclass
class Coverage:
    """How often ops, their attributes (other than by default) and constructs occurred, and how large networks were."""

    ops: Counter[str] = field(default_factory=Counter)
    attributes: Counter[str] = field(default_factory=Counter)
    constructs: Counter[str] = field(default_factory=Counter)
    sizes: list[int] = field(default_factory=list)

    def add(self, spec: dict[str, Any], graph: Graph) -> None:
        """Count what one network holds."""
        self.sizes.append(len(graph.nodes))
        for node in graph.nodes:
            self.ops[node.op.name] += 1
            given = node.op.model_dump(exclude_defaults=True)
            self.attributes.update(f"{node.op.name}.{name}" for name in given)
        self.constructs.update(set(_constructs(spec, graph)))

    @property
    def ops_missing(self) -> list[str]:
        return [name for name in registry.names() if not self.ops[name]]

    @property
    def attributes_missing(self) -> list[str]:
        every = [f"{op}.{name}" for op in registry.names() for name in registry.get(op).model_fields]
        return [name for name in every if not self.attributes[name]]

    @property
    def constructs_missing(self) -> list[str]:
        return [name for name in CONSTRUCTS if not self.constructs[name]]

    def as_text(self) -> str:
        """Ops with their attributes, constructs by how many networks had them, and sizes."""
        lines = []
        for op in registry.names():
            fields = registry.get(op).model_fields
            counts = ", ".join(f"{name} {self.attributes[f'{op}.{name}']}" for name in fields)
            lines.append(f"  {op:<20}{self.ops[op]:>7}  {counts}".rstrip())
        sizes = sorted(self.sizes)
        tenths = ", ".join(str(sizes[len(sizes) * k // 10]) for k in range(1, 10)) if sizes else "none"
        had = ", ".join(f"{name} {self.constructs[name]}" for name in CONSTRUCTS)
        missing = [*self.ops_missing, *self.attributes_missing, *self.constructs_missing]
        return "\n".join(
            [
                f"{len(sizes)} networks of {sum(sizes):,} nodes; deciles of their sizes: {tenths}, at most {sizes[-1]}",
                "nodes by op, and how many set an attribute:",
                *lines,
                f"networks with a construct: {had}",
                f"never seen: {', '.join(missing) or 'nothing'}",
            ]
        )


def _constructs(spec: dict[str, Any], graph: Graph) -> Iterator[str]:
    """The constructs that a spec uses; some again and again."""
    inputs = spec["inputs"] if "inputs" in spec else spec["input"]
    yield from ["several inputs"] * ("inputs" in spec)
    yield from ["vector input"] * any(len(shape) == 1 for shape in inputs.values())
    yield from ["open size"] * any(None in shape for shape in inputs.values())
    yield from ["several outputs"] * (len(graph.outputs) > 1)
    yield from ["only: train"] * any(each.train_only for each in graph.outputs)
    for block in spec["blocks"].values():
        yield from ["inputs of a block"] * (len(block.get("inputs", [])) > 1)
        yield from ["outputs of a block"] * (len(block.get("outputs", [])) > 1)
        inside = {op for op, _ in _items(block["nodes"])}
        yield from ["block in a block"] * any(op in spec["blocks"] for op in inside)
    for nodes in [spec["nodes"], *(block["nodes"] for block in spec["blocks"].values())]:
        yield from ["forward reference"] * _looks_forward(nodes)
        for op, words in _items(nodes):
            yield from _of_item(op, words, spec)


def _of_item(op: str, words: dict[str, Any], spec: dict[str, Any]) -> Iterator[str]:
    yield from (word for word in ("act", "when", "repeat") if words.get(word) is not None)
    yield from ["node that is not there"] * (words.get("out") == "$(1 // 0)")
    yield from ["names: index"] * ("names" in words)
    yield from ["block"] * (op in spec["blocks"]) + [op] * (op in ("group", "each"))
    yield from ["named each"] * (op == "each" and "name" in words)
    for value in words.values():
        if isinstance(value, str) and value.startswith("$"):
            yield "expression" if value.startswith("$(") else "parameter"


def _items(nodes: list[Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every item of a list, and those within it, as its op and its words."""
    for item in nodes:
        [(op, words)] = item.items() if isinstance(item, dict) else [(item, {})]
        yield op, words
        if op in ("group", "each"):
            yield from _items(words["nodes"])


def _looks_forward(nodes: list[Any]) -> bool:
    names = [next(iter(item.values())).get("name") if isinstance(item, dict) else None for item in nodes]
    for at, item in enumerate(nodes):
        source = next(iter(item.values())).get("from", []) if isinstance(item, dict) else []
        taken = [source] if isinstance(source, str) else source
        if any(each.partition(".")[0] in names[at + 1 :] for each in taken):
            return True
    return False


def fuzz(count: int, first: int, coverage: Coverage) -> None:
    """Try `count` networks, drawn from seeds from `first` on; raises what the first that disagrees raises."""
    for at in range(0, count, ROUND):

        @seed(first + at)
        @settings(
            max_examples=min(ROUND, count - at),
            deadline=None,
            database=None,
            derandomize=False,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],
            report_multiple_bugs=False,
        )
        @given(specs(), st.integers(0, 99))
        def try_one(spec: dict[str, Any], drawn: int) -> None:
            try:
                graph = load(spec)
                coverage.add(spec, graph)
                agree(graph, drawn)
            except Exception as error:
                error.add_note(yaml.safe_dump(spec, sort_keys=False, default_flow_style=None) + f"# seed {drawn}")
                raise

        try_one()
        print(f"{len(coverage.sizes)} of {count} networks agree", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Random networks that are to agree.")
    parser.add_argument("count", nargs="?", type=int, default=1000, help="how many networks (default: 1000)")
    parser.add_argument(
        "--seed", type=int, default=random.randrange(10**9), help="draws them (default: another each time)"
    )
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    torch.set_num_threads(1)
    coverage = Coverage()
    try:
        fuzz(asked.count, asked.seed, coverage)
    finally:
        print(coverage.as_text(), flush=True)


if __name__ == "__main__":
    main()
