"""What a check found out about each line: the nodes that come from it, with their shapes and costs.

Takes the analysis of a file. A line of a block comes from a file that may be used by several others, and gives a node
for each instance of the block. Places are those of the op of an entry.
"""

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from cnnc.analysis.check_report import spell
from cnnc.analysis.cost import bytes_of
from cnnc.analysis.receptive_field import Field, receptive_fields
from cnnc.diagnostics import Span
from cnnc.editor.documents import real
from cnnc.graph.graph import Graph, Node, Ref
from cnnc.ops.types import Types

Place = tuple[str, int, int]
"""A file's key, a line and a column."""


class Fact(NamedTuple):
    """A node, or a scope with all its nodes. `memory` is the size of its outputs in bytes per sample."""

    path: str
    takes: str
    shape: str
    params: int
    macs: int | None
    memory: int | None
    field: Field | None
    node: Node | None


class LineFacts:
    """The facts about all lines of one network, by place."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._keys: dict[str, str] = {}
        self._nodes: dict[Place, list[Node]] = {}
        self._scopes: dict[Place, list[str]] = {}
        for node in graph.nodes:
            if node.span:
                self._nodes.setdefault(self._place(node.span), []).append(node)
        for path, boundary in graph.boundaries.items():
            if boundary.span:
                self._scopes.setdefault(self._place(boundary.span), []).append(path)

    def _place(self, span: Span) -> Place:
        name = span.source.name
        if name not in self._keys:
            self._keys[name] = name if name.startswith("<") else real(Path(name))
        return self._keys[name], span.line, span.column

    def paths(self, place: Place) -> list[str]:
        """The paths of the nodes or scopes of an entry, one for each instance of what is around it."""
        scopes = self._scopes.get(place)
        if scopes is None:
            return [node.path for node in self._nodes.get(place, ())]
        repeated = set(scopes)  # `layer1` stands for its instances `layer1.0` and `layer1.1`
        return [path for path in scopes if path.rpartition(".")[0] not in repeated]

    def shapes(self, place: Place) -> list[str]:
        """The output shapes of an entry, without duplicates."""
        return list(dict.fromkeys(filter(None, map(self._shape, self.paths(place)))))

    def _shape(self, path: str) -> str:
        """The shapes of the outputs of a node or scope; empty if they are not known."""
        if path not in self.graph.boundaries:
            return spell(self.graph.node[path].outputs)
        gives = self.graph.boundaries[path].gives.items()
        refs = [ref for ref, port in gives if not port.partition(".")[0].isdigit()]  # not those of single instances
        return spell(self._types(refs)) if all(map(self._known, refs)) else ""

    def _known(self, ref: Ref) -> bool:
        return ref.node in self.graph.node or any(each.name == ref.node for each in self.graph.inputs)

    def _types(self, refs: Iterable[Ref]) -> Types:
        return tuple(self.graph.type_of(ref) for ref in refs if self._known(ref))

    def of(self, path: str) -> Fact | None:
        """The fact about a node or a scope; None if there is none at the path."""
        node = self.graph.node.get(path)
        if node is None and path not in self.graph.boundaries:
            return None
        nodes = [node] if node else self._inside(path)
        refs = node.inputs if node else self.graph.boundaries[path].takes
        last = node or (nodes[-1] if nodes else None)
        macs, memory = [each.cost.macs for each in nodes], [bytes_of(each.outputs) for each in nodes]
        return Fact(
            path=path,
            takes=", ".join(map(str, self._types(refs))),
            shape=self._shape(path),
            params=sum(each.cost.params for each in nodes),
            macs=None if None in macs else sum(filter(None, macs)),
            memory=None if None in memory else sum(filter(None, memory)),
            field=self._fields.get(last.path) if last else None,
            node=node,
        )

    @cached_property
    def _fields(self) -> dict[str, Field]:
        return receptive_fields(self.graph)

    def _inside(self, path: str) -> list[Node]:
        return [node for node in self.graph.nodes if node.path.startswith(f"{path}.")]

    def ports(self, path: str) -> Iterator[tuple[str, str]]:
        """Yield the named outputs of a node or scope, with their shapes."""
        if node := self.graph.node.get(path):
            yield from zip(filter(None, node.op.ports), map(str, node.outputs), strict=False)
        elif boundary := self.graph.boundaries.get(path):
            for ref, port in boundary.gives.items():
                if port and self._known(ref):
                    yield port, str(self.graph.type_of(ref))
