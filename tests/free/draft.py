"""A spec in the making, as plain data, and what the compiler says of it.

In: a random number generator. Out: a spec that is right by construction, and the places in any spec where edits may be
made: its scopes, its items, and whatever stands in them.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from cnnc.analysis.cost import totals
from cnnc.compiler import check
from cnnc.graph.graph import Graph
from cnnc.ops.types import TensorType
from tests.free.names import fresh
from tests.free.scopes import Item, Scope, is_small, sizes

MOST_PARAMS = 200_000
MOST_NODES = 60
OUTER = ("group", "each")


class Unchecked(Exception):
    """A check has failed by an exception: whoever tries the spec will see the same."""


@dataclass
class Draft:
    """A spec, the values that its parameters are set to, and the graph that it was last seen to mean."""

    spec: dict[str, Any]
    settings: dict[str, Any] = field(default_factory=dict)
    graph: Graph | None = None

    def copy(self) -> "Draft":
        return Draft(copy.deepcopy(self.spec), copy.deepcopy(self.settings), self.graph)

    def is_right(self) -> bool:
        """Whether a check says so, and it is small enough to be built many thousand times."""
        try:
            checked = check(self.spec, set=self.settings)
        except Exception as error:
            raise Unchecked from error
        graph = checked.graph
        if not checked.ok or graph is None or not _small(graph):
            return False
        self.graph = graph
        return True

    @property
    def near(self) -> tuple[int, ...]:
        """Sizes of the values in the network."""
        graph = self.graph
        assert graph is not None
        types = [*(each.type for each in graph.inputs), *(out for node in graph.nodes for out in node.outputs)]
        return sizes(*types)[:40] or (1,)


def _small(graph: Graph) -> bool:
    values = all(is_small(out) for node in graph.nodes for out in node.outputs)
    inputs = all(is_small(each.type) for each in graph.inputs)
    return values and inputs and len(graph.nodes) <= MOST_NODES and totals(graph).params <= MOST_PARAMS


def right(rng: Random) -> Draft:
    """A spec that is right, with every value that nothing uses among its outputs."""
    while True:
        shapes = _inputs(rng)
        blocks: dict[str, Any] = {}
        top = Scope(rng, blocks, {name: TensorType(tuple(shape)) for name, shape in shapes.items()})
        top.fill(rng.randint(1, 6))
        for name in [each for each in top.unused if each in top.inputs]:
            end = fresh(rng, top.names)
            top.items.append({rng.choice(("identity", "relu", "scale", "dropout")): {"name": end, "from": name}})
            top.names.add(end)
            top.unused[end] = top.unused.pop(name)
        outputs: dict[str, str] = {}
        for name in top.unused:
            outputs[fresh(rng, outputs | dict.fromkeys(shapes, ""))] = name
        spec = {
            "cnnc": 1,
            ("input" if len(shapes) == 1 and rng.random() < 0.7 else "inputs"): shapes,
            "outputs": outputs,
            **({"blocks": blocks} if blocks else {}),
            "nodes": top.items,
        }
        found = Draft(spec)
        if found.is_right():
            return found


def _inputs(rng: Random) -> dict[str, list[int | None]]:
    """One to three inputs: maps, whose height or width may be open, and vectors."""
    shapes: dict[str, list[int | None]] = {}
    is_open = rng.random() < 0.3
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        channels = rng.choice((1, 1, 2, 3, 3, 4, 6, 8))
        sides = [None if is_open and rng.random() < 0.8 else rng.choice((1, 2, 4, 5, 6, 7, 8, 9, 12)) for _ in range(2)]
        shapes[fresh(rng, shapes)] = [channels] if rng.random() < 0.2 else [channels, *sides]
    return shapes


@dataclass
class Place:
    """A list of items in a spec, what holds it, and the names that can be seen in it."""

    holder: dict[str, Any]
    items: list[Item]
    kind: str  # "spec", "block", "group" or "each"
    inputs: list[str]

    @property
    def names(self) -> list[str]:
        """The names of the items of this scope, and of its inputs."""
        return [*self.inputs, *dict.fromkeys(_named(self.items))]


def _named(items: list[Item]) -> Iterator[str]:
    for item in items:
        for op, words in item.items():
            if isinstance(words.get("name"), str):
                yield words["name"]
            elif op == "each":
                yield from _named(words["nodes"])


def places(spec: dict[str, Any]) -> list[Place]:
    """Every list of items: the spec's own, those of its blocks, and those of the groups and `each` in them."""
    inputs = [*(spec.get("input") or {}), *(spec.get("inputs") or {})]
    found = [Place(spec, spec["nodes"], "spec", inputs)]
    blocks = (spec.get("blocks") or {}).values()
    found += [Place(block, block["nodes"], "block", block.get("inputs", ["input"])) for block in blocks]
    for place in found:  # which grows on the way
        for item in place.items:
            for op, words in item.items() if isinstance(item, dict) else ():  # damage may leave only the op
                if op in OUTER:
                    found.append(Place(words, words["nodes"], op, words.get("inputs", ["input"])))
    return found
