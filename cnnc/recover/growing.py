"""Concatenations that grow: each layer of a dense block takes the outputs of all layers before it.

Code often lists them all: layers then concatenate two, three, four … values, and no two layers are alike. Takes a graph
and the paths of its nodes; returns both with each such concatenation made of the one before it and of what is new. The
values are the same.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace

from cnnc.graph.graph import Graph, Node, Ref
from cnnc.graph.rebuild import rebuild
from cnnc.ops.merge import Concat

FEWEST = 3  # concatenations in a row
Paths = Mapping[str, str]


def with_growing(graph: Graph, paths: Paths) -> tuple[Graph, Paths, Collection[str]]:
    """Return the graph, the paths, and the paths in the graph of the nodes that are changed or moved."""
    before = _before(graph)
    first: dict[str, str] = {}  # of each row
    for path, earlier in before.items():
        first[path] = first.get(earlier, earlier)
    lengths = Counter(first.values())
    growing = {path for path, start in first.items() if lengths[start] + 1 >= FEWEST}
    if not growing:
        return graph, paths, ()
    nodes = [_shortened(node, graph.node[before[node.path]]) if node.path in growing else node for node in graph.nodes]
    grown = rebuild(graph, nodes)
    changed = growing | {first[path] for path in growing}
    return grown, {**paths, **{path: _outside(grown.node[path], paths) for path in changed}}, changed


def _before(graph: Graph) -> dict[str, str]:
    """Return the concatenation that each other one continues: the one with the most of its first inputs."""
    seen: dict[tuple[int, tuple[Ref, ...]], str] = {}
    found: dict[str, str] = {}
    for node in graph.nodes:
        if isinstance(node.op, Concat):
            starts = (node.inputs[:count] for count in range(len(node.inputs) - 1, 1, -1))
            earlier = next((seen[node.op.axis, start] for start in starts if (node.op.axis, start) in seen), None)
            if earlier is not None:
                found[node.path] = earlier
            seen.setdefault((node.op.axis, node.inputs), node.path)
    return found


def _shortened(node: Node, before: Node) -> Node:
    return replace(node, inputs=(Ref(before.path), *node.inputs[len(before.inputs) :]))


def _outside(node: Node, paths: Paths) -> str:
    """Return the path of a node outside of the scopes that make none of its inputs."""
    scope, _, name = paths[node.path].rpartition(".")
    sources = [paths.get(ref.node, "") for ref in node.inputs]
    while scope and not any(source.startswith(f"{scope}.") for source in sources):
        scope = scope.rpartition(".")[0]
    return f"{scope}.{name}".removeprefix(".")
