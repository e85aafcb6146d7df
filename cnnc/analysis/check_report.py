"""What a check tells of a network: one row a node, as a table for people or as JSON for programs.

In: a graph, or None where too little could be found out. The JSON's form is a promise to other programs.
"""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from cnnc.analysis.cost import Totals, bytes_of, totals
from cnnc.diagnostics import counted
from cnnc.graph.graph import Graph, Node
from cnnc.ops.types import Types

_NOT_KNOWN = dict.fromkeys(Totals._fields)

Order = Literal["macs", "params", "memory"]


class Row(NamedTuple):
    """One line of the table: a node, or a folded scope with what it adds up to and the path of its last node.

    `memory` is what its nodes' outputs take, in bytes per sample; None where a size is open, as for `macs`.
    """

    path: str
    op: str
    inputs: str
    shape: str
    params: int
    macs: int | None
    memory: int | None
    last: str


def rows(graph: Graph, depth: int | None = None, sort: Order | None = None) -> Iterator[Row]:
    """The nodes in order, or those with the most of something first; with a depth, deeper scopes are a row each."""
    unsorted = _rows(graph, depth)
    if sort is None:
        return unsorted
    return iter(sorted(unsorted, key=lambda row: -(getattr(row, sort) or 0)))


def _rows(graph: Graph, depth: int | None) -> Iterator[Row]:
    folded: list[Node] = []
    around = ""
    for node in graph.nodes:
        scope = _folded_into(graph, node.path, depth)
        if scope != around and folded:
            yield _row(graph, folded, around, depth)
            folded = []
        around = scope
        if scope:
            folded.append(node)
        else:
            yield _row(graph, [node], "", depth)
    if folded:
        yield _row(graph, folded, around, depth)


def _folded_into(graph: Graph, path: str, depth: int | None) -> str:
    """The scope that a node is folded into: the outermost one of `depth` names or more."""
    if depth is None:
        return ""
    return next((scope for scope in graph.scopes_of(path) if scope.count(".") + 1 >= depth), "")


def _row(graph: Graph, nodes: list[Node], scope: str, depth: int | None) -> Row:
    """A node's row, or that of the nodes that are folded into a scope."""
    inside = {node.path for node in nodes} if scope else set()
    outside = [ref for node in nodes for ref in node.inputs if ref.node not in inside]
    inputs = [_folded_into(graph, ref.node, depth) or graph.spelling(ref) for ref in outside]
    last = nodes[-1]
    return Row(
        path=scope or last.path,
        op=graph.scopes[scope] if scope else last.op.name,
        inputs=", ".join(dict.fromkeys(inputs) if scope else inputs),
        shape=_spell(last.outputs),
        params=sum(node.cost.params for node in nodes),
        macs=_sum([node.cost.macs for node in nodes]),
        memory=_sum([bytes_of(node.outputs) for node in nodes]),
        last=last.path,
    )


def _sum(numbers: list[int | None]) -> int | None:
    known = [each for each in numbers if each is not None]
    return sum(known) if len(known) == len(numbers) else None


def _spell(types: Types) -> str:
    return ", ".join(map(str, types))


def summary(graph: Graph) -> str:
    """A network in one line."""
    sums = totals(graph)
    macs = "?" if sums.macs is None else f"{sums.macs:,}"
    return f"{counted(len(graph.nodes), 'node')}, {sums.params:,} parameters, {macs} MACs"


def as_json(graph: Graph | None, batch: int = 1) -> dict[str, Any]:
    """The graph's part of a check's JSON line: empty or null where it could not be found out."""
    from cnnc.analysis.implied import field_json, implied, implied_json
    from cnnc.analysis.receptive_field import receptive_fields

    if graph is None:
        return {"inputs": {}, "outputs": {}, "nodes": [], "totals": _NOT_KNOWN, "implies": None}
    found = None if graph.partial else implied(graph, batch)
    seen = found.fields if found else receptive_fields(graph)
    return {
        "inputs": {each.name: {"shape": list(each.type.shape)} for each in graph.inputs},
        "outputs": {each.name: {"shape": list(graph.type_of(each.ref).shape)} for each in graph.outputs},
        "nodes": [{**_node(graph, node), **field_json(seen.get(node.path))} for node in graph.nodes],
        "totals": _NOT_KNOWN if graph.partial else totals(graph)._asdict(),
        "implies": implied_json(found) if found else None,
    }


def _node(graph: Graph, node: Node) -> dict[str, Any]:
    shapes = [list(each.shape) for each in node.outputs]
    return {
        "name": node.path,
        "op": node.op.name,
        "from": [graph.spelling(ref) for ref in node.inputs],
        "shape": shapes[0] if len(shapes) == 1 else shapes,
        "params": node.cost.params,
        "macs": node.cost.macs,
        "line": node.span.line if node.span and node.span.path is None else None,
        **_elsewhere(graph, node),
    }


def _elsewhere(graph: Graph, node: Node) -> dict[str, str]:
    """The file that a node's line is in, where that is not the spec itself but one that it uses."""
    home = next((each.span.source.name for each in graph.inputs if each.span), None)
    own = node.span.source.name if node.span else home
    return {} if own is None or own == home else {"file": own}
