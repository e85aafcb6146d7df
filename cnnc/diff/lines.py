"""The line of a spec that a changed node comes from.

Takes the two graphs; returns a place for each node. A node in a block stands in a line of the block, but the change may
be in the line that uses the block. So the place is the innermost of these lines that the other spec does not have.
"""

from collections.abc import Iterator
from typing import NamedTuple

from cnnc.diagnostics import Span
from cnnc.graph.graph import Graph, Node


class SpecLine(NamedTuple):
    """A line of a file; `used` tells whether the file is one that the spec uses, not the spec itself."""

    file: str
    line: int
    used: bool


class ChangedLines:
    """The places of the nodes of a graph, compared with those of another one."""

    def __init__(self, graph: Graph, other: Graph) -> None:
        self._graph = graph
        self._spec = next((each.span.source for each in graph.inputs if each.span), None)
        self._known = _lines(other)

    def of(self, node: Node) -> SpecLine | None:
        """Return the place of a node; None if the spec is data without a text."""
        if node.span is None or node.span.path is not None:
            return None
        new = (span for span in self._around(node) if span.source.line(span.line).strip() not in self._known)
        span = next(new, node.span)
        return SpecLine(span.source.name, span.line, span.source is not self._spec)

    def _around(self, node: Node) -> Iterator[Span]:
        """Yield the place of a node, then those of the instances around it, the innermost first."""
        if node.span:
            yield node.span
        scope = node.path.rpartition(".")[0]
        while scope:
            boundary = self._graph.boundaries.get(scope)
            if boundary and boundary.span:
                yield boundary.span
            scope = scope.rpartition(".")[0]


def _lines(graph: Graph) -> frozenset[str]:
    """Return the lines of all files that the nodes of a graph come from."""
    sources = {node.span.source for node in graph.nodes if node.span}
    return frozenset(line.strip() for source in sources for line in source.lines)
