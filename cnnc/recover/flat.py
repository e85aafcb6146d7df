"""A network as a flat spec: a list of nodes, without blocks and groups.

Takes a proved graph; returns the plain spec, and the paths of its nodes in the graph, by their names in the spec.
"""

from typing import Any, NamedTuple

from cnnc.graph.graph import Graph, Ref
from cnnc.recover import header
from cnnc.recover.layout import body
from cnnc.recover.tree import allowed, leaf
from cnnc.recover.words import unused, valid


class Flat(NamedTuple):
    """A flat spec, and the path in the network it was made from of each of its nodes, by the node's name."""

    spec: dict[str, Any]
    paths: dict[str, str]


def flat(graph: Graph) -> dict[str, Any]:
    """Return a network as a flat plain spec, without the attributes that have their default values."""
    return flat_with_paths(graph).spec


def flat_with_paths(graph: Graph) -> Flat:
    """Return a network as a flat plain spec, with the paths of its nodes by their names in the spec."""
    names, allow = _names(graph), allowed(graph)
    items = {node.path: leaf(node, names[node.path], allow.get(node.path)) for node in graph.nodes}
    for item in items.values():
        if item.shares is not None:
            item.share = items[graph.owner(item.shares) or ""], ""
    listed = [*items.values()]
    inner = body(listed, {Ref(each.name): each.name for each in graph.inputs}, {each.ref for each in graph.outputs})
    spec = {**header.before_nodes(graph), "nodes": inner.nodes, **header.outputs(graph, inner.spelt, inner.last)}
    paths = {inner.names[at]: node.path for at, node in enumerate(graph.nodes)}
    return Flat(spec, paths)


def _names(graph: Graph) -> dict[str, str]:
    """Return a valid name for each node: its path with its dots replaced."""
    taken = {each.name for each in graph.inputs}
    found: dict[str, str] = {}
    for node in graph.nodes:
        found[node.path] = name = unused(valid(node.path), taken)
        taken.add(name)
    return found
