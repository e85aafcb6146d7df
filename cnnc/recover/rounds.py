"""Lists of modules whose members take turns: `for conv, norm in zip(self.convs, self.norms)`.

Each list would have to run before and after the others, so none can be a group. Takes a graph and the paths of its
nodes; returns paths in which `convs.0` and `norms.0` are `layer0.conv` and `layer0.norm`, together with the nodes
without parameters that every round has.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, takewhile

import networkx as nx

from cnnc.graph.graph import Graph, Node
from cnnc.language.names import LONGEST
from cnnc.recover.words import unused

Paths = Mapping[str, str]
PREFIXES = ("layer", "stage", "round")


def with_rounds(graph: Graph, paths: Paths) -> Paths:
    """Return paths with a scope for each round of such lists."""
    inside: dict[str, list[Node]] = {"": [*graph.nodes]}
    for node in graph.nodes:
        path = paths[node.path]
        for at, letter in enumerate(path):
            if letter == ".":
                inside.setdefault(path[:at], []).append(node)
    for scope in sorted(inside, key=lambda scope: -len(scope)):  # the inner ones first
        paths = {**paths, **_in_scope(inside[scope], paths, scope)}
    return paths


def _in_scope(nodes: Sequence[Node], paths: Paths, scope: str) -> Paths:
    """Return the new paths of the nodes in this scope that are in rounds."""
    inner = {node.path: paths[node.path].removeprefix(scope).removeprefix(".").split(".") for node in nodes}
    found: dict[str, str] = {}
    if len(_lists(nodes, inner)) > 1:
        for knot in reversed([*nx.strongly_connected_components(_needs(nodes, inner))]):  # the last comes first
            members = [node for node in nodes if _item(node, inner) in knot]
            rounds = _rounds(nodes, inner, members)
            found |= rounds.paths({path.partition(".")[0] for path in found.values()}) if rounds else {}
    return {path: f"{scope}.{new}".removeprefix(".") for path, new in found.items()}


Inner = Mapping[str, Sequence[str]]  # the parts of a node's path in the scope


def _item(node: Node, inner: Inner) -> tuple[str, bool]:
    """Return the item of the scope that a node is or is in; several nodes may have one name."""
    first, *rest = inner[node.path]
    return (first, True) if rest else (node.path, False)


def _needs(nodes: Iterable[Node], inner: Inner) -> "nx.DiGraph[tuple[str, bool]]":
    """Return the graph of the items, with an edge to each from those whose values it takes."""
    items = {node.path: _item(node, inner) for node in nodes}
    found: nx.DiGraph[tuple[str, bool]] = nx.DiGraph()
    for node in nodes:
        sources = (items[ref.node] for ref in node.inputs if ref.node in items)
        found.add_edges_from((source, items[node.path]) for source in sources if source != items[node.path])
    return found


def _lists(nodes: Iterable[Node], inner: Inner) -> dict[str, int]:
    """Return the lists of modules that these nodes are in, with their lengths."""
    members: dict[str, set[str]] = {}
    for node in nodes:
        first, *rest = inner[node.path]
        if rest:
            members.setdefault(first, set()).add(rest[0])
    return {name: len(each) for name, each in members.items() if each == {*map(str, range(max(2, len(each))))}}


def _rounds(nodes: Sequence[Node], inner: Inner, members: Sequence[Node]) -> "_Rounds | None":
    """Return the rounds of the lists among these members of a scope; None if they are in no such order."""
    lists = _lists(members, inner)
    for count in _counts(lists) if len(lists) > 1 else ():
        numbers = {
            node.path: int(inner[node.path][1]) // max(1, lists[inner[node.path][0]] // count)
            for node in members
            if inner[node.path][0] in lists and len(inner[node.path]) > 1
        }
        order = [*numbers.values()]
        if order == sorted(order):
            return _Rounds(nodes, inner, {node.path for node in members}, lists, numbers)
    return None


def _counts(lists: Mapping[str, int]) -> Iterator[int]:
    """Yield possible numbers of rounds: that of the shortest list's members, if the others have several for each."""
    least = min(lists.values())
    if all(length % least == 0 for length in lists.values()):
        yield least
    yield max(lists.values())


@dataclass(frozen=True)
class _Rounds:
    """The rounds of lists in a scope.

    `members` are the paths of all nodes that take turns, and `numbers` the rounds of those in a list.
    """

    nodes: Sequence[Node]
    inner: Inner
    members: set[str]
    lists: Mapping[str, int]
    numbers: Mapping[str, int]

    def paths(self, taken: set[str]) -> dict[str, str]:
        """Return the new paths, inside the scope, of the nodes in rounds; those of other lists there are `taken`."""
        names, prefix = self._names(), self._prefix(taken)
        alone = [number for number in range(self._count) if [*self.numbers.values()].count(number) == 1]
        found = {path: f"{prefix}{number}.{self.inner[path][-1]}" for path, number in self._others().items()}
        for path, number in self.numbers.items():
            name, index, *rest = self.inner[path]
            several = self.lists[name] // self._count
            name = f"{names[name]}{1 + int(index) % several if several > 1 else ''}"[-LONGEST:].lstrip("_-")
            found[path] = ".".join([f"{prefix}{number}", *([] if number in alone else [name]), *rest])
        return found

    @cached_property
    def _count(self) -> int:
        return 1 + max(self.numbers.values())

    def _names(self) -> dict[str, str]:
        """Return the name in a round of each list's member: `conv` for `convs`."""
        found = {name: _singular(name) for name in self.lists}
        return found if len({*found.values()}) == len(found) else {name: name for name in self.lists}

    def _prefix(self, taken: set[str]) -> str:
        taken = taken | {parts[0] for parts in self.inner.values()} - self.lists.keys()
        free = (each for each in PREFIXES if taken.isdisjoint(f"{each}{at}" for at in range(self._count)))
        return next(free, "_".join(self.lists))

    def _others(self) -> dict[str, int]:
        """Return the rounds of nodes without parameters: those between layers, and what comes with all rounds alike.

        The last round may lack members of some lists; then it is not compared with the others.
        """
        spans = self._spans()
        inside = [self._turning(first + 1, last) for first, last in spans]
        between = [self._turning(last + 1, first) for (_, last), (first, _) in pairwise(spans)]
        after = [*takewhile(self._is_free, self.nodes[spans[-1][1] + 1 :])]
        before = [*takewhile(self._is_free, reversed(self.nodes[: spans[0][0]]))]
        sizes = [[*self.numbers.values()].count(number) for number in (0, self._count - 1)]
        ends = [*between, after] if sizes[1] == sizes[0] else between
        tail = _alike(ends)
        head = _alike([before, *([*reversed(each[tail:])] for each in between)])
        heads = [before[:head], *(each[max(tail, len(each) - head) :] for each in between)]
        rows = (inside, [each[:tail] for each in ends], heads)
        return {node.path: number for row in rows for number, each in enumerate(row) for node in each}

    def _spans(self) -> list[tuple[int, int]]:
        """Return the positions of the first and the last layer of each round."""
        places: dict[int, list[int]] = {}
        for at, node in enumerate(self.nodes):
            if node.path in self.numbers:
                places.setdefault(self.numbers[node.path], []).append(at)
        return [(places[number][0], places[number][-1]) for number in range(self._count)]

    def _turning(self, start: int, end: int) -> list[Node]:
        return [node for node in self.nodes[start:end] if self._is_free(node) and node.path in self.members]

    def _is_free(self, node: Node) -> bool:
        """Whether a node may be in a round: it has no parameters, and is in no other scope."""
        has_tensors = node.cost.params or node.cost.buffers or node.shares
        return not has_tensors and len(self.inner[node.path]) == 1


def _alike(rows: Sequence[Sequence[Node]]) -> int:
    """Return how many nodes from the start are the same op in all rows."""
    ops = [[(node.op.name, node.op.model_dump(exclude={"like"})) for node in row] for row in rows]
    return sum(1 for _ in takewhile(lambda each: all(one == each[0] for one in each), zip(*ops, strict=False)))


def _singular(name: str) -> str:
    """Return `conv` for `convs`, and `norm1` for `norms1`; the name itself if it has no singular that may be a name."""
    found = re.sub(r"(?<=[^isu_\d])s(?=\d*$)", "", name) if name != "bias" else name
    return found if unused(found, set()) == found else name
