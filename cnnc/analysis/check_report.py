"""The report of `cnnc check`: one row per node, as table rows or as JSON.

Takes a graph, or None if the spec has none. The JSON format is stable.
"""

from collections.abc import Iterator
from itertools import dropwhile, groupby
from typing import Any, Literal, NamedTuple

from cnnc.analysis.cost import Totals, bytes_of, totals
from cnnc.diagnostics import counted
from cnnc.graph.graph import Graph, Node, Output, Ref
from cnnc.ops.types import Types

_NOT_KNOWN = dict.fromkeys(Totals._fields)

Order = Literal["macs", "params", "memory"]


class Row(NamedTuple):
    """One line of the table: a node, or a folded scope with its totals and the path of its last node.

    `memory` is the size of its nodes' outputs in bytes per sample; like `macs`, None if a size is open. `shares`:
    whether it has parameters that are counted elsewhere.
    """

    path: str
    op: str
    inputs: str
    shape: str
    params: int
    macs: int | None
    memory: int | None
    last: str
    shares: bool


def rows(graph: Graph, depth: int | None = None, sort: Order | None = None) -> Iterator[Row]:
    """Return the rows of the nodes, in order or sorted by `sort`, largest first; `depth` folds deeper scopes."""
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
    """Return the scope that a node is folded into: the outermost one whose path has `depth` names or more."""
    if depth is None:
        return ""
    return next((scope for scope in graph.scopes_of(path) if scope.count(".") + 1 >= depth), "")


def _row(graph: Graph, nodes: list[Node], scope: str, depth: int | None) -> Row:
    """Return the row of a node, or of the nodes folded into a scope."""
    last = nodes[-1]
    takes, shapes = last.inputs, last.outputs
    if scope:
        takes, gives, _ = graph.boundaries[scope]
        shapes = tuple(graph.type_of(ref) for ref in gives)
    return Row(
        path=scope or last.path,
        op=graph.scopes[scope] if scope else last.op.name,
        inputs=", ".join(_called(graph, ref, depth) for ref in takes),
        shape=spell(shapes),
        params=sum(node.cost.params for node in nodes),
        macs=_sum([node.cost.macs for node in nodes]),
        memory=_sum([bytes_of(node.outputs) for node in nodes]),
        last=last.path,
        shares=any(node.shares for node in nodes),
    )


def _called(graph: Graph, ref: Ref, depth: int | None) -> str:
    """Return the name of a value: one that a folded scope gives has that of the scope's output."""
    folded = _folded_into(graph, ref.node, depth)
    scopes = dropwhile(folded.__ne__, graph.scopes_of(ref.node)) if folded else ()
    for scope in scopes:  # an output of an instance in a folded `repeat` may be used too
        port = graph.boundaries[scope].gives.get(ref)
        if port is not None:
            return f"{scope}.{port}".rstrip(".")
    return graph.spelling(ref)


def _sum(numbers: list[int | None]) -> int | None:
    known = [each for each in numbers if each is not None]
    return sum(known) if len(known) == len(numbers) else None


def spell(types: Types) -> str:
    """Return the types of several outputs: `4×8×8, 2×8×8`, or `4×8×8 (×3)` for equal ones."""
    counts = ((spelled, len([*equal])) for spelled, equal in groupby(map(str, types)))
    return ", ".join(f"{spelled} (×{count})" if count > 1 else spelled for spelled, count in counts)


def summary(graph: Graph) -> str:
    """Return the counts of nodes, parameters and MACs in one line."""
    sums = totals(graph)
    macs = "?" if sums.macs is None else f"{sums.macs:,}"
    return f"{counted(len(graph.nodes), 'node')}, {sums.params:,} parameters, {macs} MACs"


def as_json(graph: Graph | None, batch: int = 1) -> dict[str, Any]:
    """Return the graph's part of a check's JSON line, with empty or null values if it is unknown."""
    from cnnc.analysis.implied import field_json, implied, implied_json
    from cnnc.analysis.receptive_field import receptive_fields

    if graph is None:
        return {"inputs": {}, "outputs": {}, "nodes": [], "totals": _NOT_KNOWN, "implies": None}
    found = None if graph.partial else implied(graph, batch)
    seen = found.fields if found else receptive_fields(graph)
    return {
        "inputs": {each.name: {"shape": list(each.type.shape)} for each in graph.inputs},
        "outputs": {each.name: _output(graph, each) for each in graph.outputs},
        "nodes": [{**_node(graph, node), **field_json(seen.get(node.path))} for node in graph.nodes],
        "totals": _NOT_KNOWN if graph.partial else totals(graph)._asdict(),
        "implies": implied_json(found) if found else None,
    }


def _output(graph: Graph, output: Output) -> dict[str, Any]:
    kind = None if output.train_only else graph.kind_of(output)
    return {"shape": list(graph.type_of(output.ref).shape), "as": kind}


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
        **({"shares": node.shares} if node.shares else {}),
        **_elsewhere(graph, node),
    }


def _elsewhere(graph: Graph, node: Node) -> dict[str, str]:
    """Return the key `file` if the node is defined in another file than the spec itself."""
    home = next((each.span.source.name for each in graph.inputs if each.span), None)
    own = node.span.source.name if node.span else home
    return {} if own is None or own == home else {"file": own}
