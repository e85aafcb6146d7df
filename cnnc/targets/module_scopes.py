"""Divide a flat graph into nested scopes, which become modules.

Takes a Graph, in which the nodes of a scope are contiguous; returns its outermost `ModuleScope`, which contains nodes
and inner scopes in the graph's order. A scope takes the outside values that it uses and gives the values that are used
outside, both in order of first use.
"""

from dataclasses import dataclass, field
from itertools import pairwise

from cnnc.graph.graph import Graph, Node, Ref


@dataclass
class ModuleScope:
    """A block instance, group or round; the outermost has the empty path and the graph's inputs and outputs."""

    path: str
    block: str
    takes: list[Ref] = field(default_factory=list)
    gives: list[Ref] = field(default_factory=list)
    items: "list[Node | ModuleScope]" = field(default_factory=list)

    def local(self, path: str) -> str:
        """Return a path in this scope relative to the scope."""
        return path[len(self.path) + 1 :] if self.path else path


def called(graph: Graph, ref: Ref) -> str:
    """Return the name of a value in a scope that takes it from outside: the last part of its path, and the port."""
    node = graph.node.get(ref.node)
    port = node.op.ports[ref.port] if node else ""
    return ref.node.rpartition(".")[2] + (f"_{port}" if port else "")


def divide(graph: Graph) -> ModuleScope:
    """Return the outermost scope of `graph`."""
    chains = {node.path: tuple(graph.scopes_of(node.path)) for node in graph.nodes}
    scopes = {path: ModuleScope(path, graph.scopes[path]) for chain in chains.values() for path in chain}
    root = ModuleScope("", graph.name, [Ref(each.name) for each in graph.inputs], [each.ref for each in graph.outputs])
    for node in graph.nodes:
        _place(node, [root, *(scopes[path] for path in chains[node.path])])
    takes: dict[str, dict[Ref, None]] = {path: {} for path in scopes}
    gives: dict[str, dict[Ref, None]] = {path: {} for path in scopes}
    uses = [(chains[node.path], ref) for node in graph.nodes for ref in node.inputs]
    for around, ref in [*uses, *(((), each.ref) for each in graph.outputs)]:
        home = chains.get(ref.node, ())
        shared = sum(mine == its for mine, its in zip(around, home, strict=False))
        for path in around[shared:]:
            takes[path][ref] = None
        for path in home[shared:]:
            gives[path][ref] = None
    for path, scope in scopes.items():
        scope.takes, scope.gives = list(takes[path]), list(gives[path])
    return root


def _place(node: Node, around: list[ModuleScope]) -> None:
    """Append `node` to the innermost of the scopes around it, and each new scope to its outer one."""
    for outer, inner in pairwise(around):
        if not outer.items or outer.items[-1] is not inner:
            outer.items.append(inner)
    around[-1].items.append(node)
