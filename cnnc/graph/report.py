"""What a check tells of a network: one row a node, as a table for people or as JSON for programs.

In: a graph, or None where too little could be found out. The JSON's form is a promise to other programs.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

from cnnc.graph.cost import Totals, totals
from cnnc.graph.graph import Graph, Node
from cnnc.ops.types import Types

_NOT_KNOWN = {field.name: None for field in fields(Totals)}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: a node, or a folded scope with what it adds up to."""

    path: str
    op: str
    inputs: str
    shape: str
    params: int
    macs: int | None


def rows(graph: Graph, depth: int | None = None) -> Iterator[Row]:
    """The nodes in order; with a depth, scopes that lie deeper than that many levels are folded into one row each."""
    folded: list[Node] = []
    around = ""
    for node in graph.nodes:
        scope = "" if depth is None else _folded_into(graph, node.path, depth)
        if scope != around and folded:
            yield _fold(graph, around, folded)
            folded = []
        around = scope
        if scope:
            folded.append(node)
        else:
            inputs = ", ".join(graph.spelling(ref) for ref in node.inputs)
            yield Row(node.path, node.op.name, inputs, _spell(node.outputs), node.cost.params, node.cost.macs)
    if folded:
        yield _fold(graph, around, folded)


def _folded_into(graph: Graph, path: str, depth: int) -> str:
    """The scope that a node is folded into: the outermost one of `depth` names or more."""
    return next((scope for scope in graph.scopes_of(path) if scope.count(".") + 1 >= depth), "")


def _fold(graph: Graph, scope: str, nodes: list[Node]) -> Row:
    inside = {node.path for node in nodes}
    inputs = dict.fromkeys(graph.spelling(ref) for node in nodes for ref in node.inputs if ref.node not in inside)
    macs = [node.cost.macs for node in nodes]
    known = [each for each in macs if each is not None]
    total = sum(known) if len(known) == len(macs) else None
    op = graph.scopes[scope]
    return Row(scope, op, ", ".join(inputs), _spell(nodes[-1].outputs), sum(node.cost.params for node in nodes), total)


def _spell(types: Types) -> str:
    return ", ".join(map(str, types))


def table(graph: Graph, depth: int | None = None) -> str:
    """The table as text, with totals."""
    head = ("node", "op", "inputs", "output", "params", "MACs")
    sums = totals(graph)
    cells = [head]
    cells += [
        (_clip(row.path), row.op, _clip(row.inputs), row.shape, _number(row.params), _number(row.macs))
        for row in rows(graph, depth)
    ]
    last = ("total", "", "", "", _number(sums.params), _number(sums.macs))
    widths = [max(len(line[column]) for line in [*cells, last]) for column in range(len(head))]
    rule = "─" * (sum(widths) + 2 * (len(widths) - 1))
    lines = [_line(line, widths) for line in cells]
    return "\n".join([lines[0], rule, *lines[1:], rule, _line(last, widths), _footnote(sums)])


def summary(graph: Graph) -> str:
    """A network in one line."""
    sums = totals(graph)
    nodes = f"{len(graph.nodes):,} node{'s' * (len(graph.nodes) != 1)}"
    return f"{nodes}, {sums.params:,} parameters, {_number(sums.macs) or 0} MACs"


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    parts = [
        cell.ljust(width) if index < 4 else cell.rjust(width)
        for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(parts).rstrip()


def _footnote(sums: Totals) -> str:
    running = f" and {sums.buffers:,} running statistics" if sums.buffers else ""
    memory = "unknown" if sums.activation_bytes is None else f"{sums.activation_bytes / 1e6:,.2f} MB"
    activations = f"activations {memory} at batch 1 in float32"
    return f"{sums.params:,} parameters{running}; {activations}; MACs: conv and linear multiply-adds"


def _number(value: int | None) -> str:
    return "?" if value is None else f"{value:,}" if value else ""


def _clip(text: str, width: int = 48) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def as_json(graph: Graph | None) -> dict[str, Any]:
    """The graph's part of a check's JSON line: empty or null where it could not be found out."""
    if graph is None:
        return {"inputs": {}, "outputs": {}, "nodes": [], "totals": _NOT_KNOWN}
    return {
        "inputs": {each.name: {"shape": list(each.type.shape)} for each in graph.inputs},
        "outputs": {each.name: {"shape": list(graph.type_of(each.ref).shape)} for each in graph.outputs},
        "nodes": [_node(graph, node) for node in graph.nodes],
        "totals": _NOT_KNOWN if graph.partial else asdict(totals(graph)),
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
        "line": node.span.line if node.span else None,
    }
