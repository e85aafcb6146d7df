"""Divide a flat graph into nested scopes, which become modules.

Takes a Graph, in which the nodes of a scope are contiguous; returns its outermost `ModuleScope`, which contains nodes
and inner scopes in the graph's order. A scope takes the outside values that it uses and gives the values that are used
outside, both in order of first use.

A scope whose nodes share the parameters of another scope runs that scope's module, if its nodes do the same and none
has parameters of its own. Otherwise it has no module, and its nodes belong to the scope around it, whose module can
reach the parameters.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from cnnc.graph.graph import Graph, Node, Ref
from cnnc.ops.recorder import record

Use = tuple[str, Ref]  # of a value, outside the scope at this path


@dataclass
class ModuleScope:
    """A block instance, group or round; the outermost has the empty path and the graph's inputs and outputs.

    `runs` is the path of the scope whose module it runs instead of its own.
    """

    path: str
    block: str
    takes: list[Ref] = field(default_factory=list)
    gives: list[Ref] = field(default_factory=list)
    items: "list[Node | ModuleScope]" = field(default_factory=list)
    runs: str | None = None

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
    root = _divide(graph)
    if not any(node.shares for node in graph.nodes):
        return root
    plan = _Plan(graph, root)
    uses: set[Use] = set()
    while True:
        root = _divide(graph, plan.without_module, uses)
        more = plan.connect(root) - uses
        if not more:
            return root
        uses |= more


def _divide(graph: Graph, without_module: Collection[str] = (), uses: Collection[Use] = ()) -> ModuleScope:
    """Return the outermost scope; `uses` are uses of values outside a scope in addition to those by nodes."""
    chains = {
        node.path: tuple(scope for scope in graph.scopes_of(node.path) if scope not in without_module)
        for node in graph.nodes
    }
    scopes = {path: ModuleScope(path, graph.scopes[path]) for chain in chains.values() for path in chain}
    root = ModuleScope("", graph.name, [Ref(each.name) for each in graph.inputs], [each.ref for each in graph.outputs])
    for node in graph.nodes:
        _place(node, [root, *(scopes[path] for path in chains[node.path])])
    takes: dict[str, dict[Ref, None]] = {path: {} for path in scopes}
    gives: dict[str, dict[Ref, None]] = {path: {} for path in scopes}
    by_nodes = [(chains[node.path], ref) for node in graph.nodes for ref in node.inputs]
    more = [(chains[ref.node][: chains[ref.node].index(scope)], ref) for scope, ref in uses]
    for around, ref in [*by_nodes, *(((), each.ref) for each in graph.outputs), *more]:
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


def scopes(scope: ModuleScope) -> Iterator[ModuleScope]:
    """Yield the scopes in a scope, each before those in it."""
    for item in scope.items:
        if isinstance(item, ModuleScope):
            yield item
            yield from scopes(item)


def _nodes(scope: ModuleScope) -> Iterator[Node]:
    for item in scope.items:
        yield from _nodes(item) if isinstance(item, ModuleScope) else [item]


class _Plan:
    """Which scopes run the module of another (`runs`), and which have no module, because it could not be reached."""

    def __init__(self, graph: Graph, root: ModuleScope) -> None:
        self._graph = graph
        self._scopes = {scope.path: scope for scope in scopes(root)}
        self.runs: dict[str, str] = {}
        self.without_module: set[str] = set()
        self._visit(root)

    def _visit(self, around: ModuleScope) -> None:
        for scope in around.items:
            if not isinstance(scope, ModuleScope):
                continue
            outside = next((each for each in _nodes(scope) if not each.keys.startswith(f"{scope.path}.")), None)
            other = self._counterpart(scope, outside) if outside else None
            if other and self._same(scope, other):
                self.runs[scope.path] = other.path
                continue
            if outside:
                self.without_module.add(scope.path)
            self._visit(scope)

    def _counterpart(self, scope: ModuleScope, node: Node) -> ModuleScope | None:
        """Return the scope that has a module with the parameters of `node` at the same place."""
        path = node.keys.removesuffix(f".{scope.local(node.path)}")
        return None if path in self.without_module | self.runs.keys() else self._scopes.get(path)

    def _same(self, ours: ModuleScope, theirs: ModuleScope) -> bool:
        """Whether two scopes compute the same from what they take, with the same parameters."""
        nodes = list(_nodes(ours)), list(_nodes(theirs))
        if len(nodes[0]) != len(nodes[1]) or len(ours.takes) != len(theirs.takes):
            return False
        values = dict(zip(ours.takes, theirs.takes, strict=True))
        for mine, its in zip(*nodes, strict=True):
            if (
                ours.local(mine.path) != theirs.local(its.path)
                or (mine.cost.params or mine.cost.buffers)  # those of its own
                or mine.shares not in (None, its.keys)
                or [values.get(ref) for ref in mine.inputs] != list(its.inputs)
                or self._recorded(mine) != self._recorded(its)
            ):
                return False
            values.update((Ref(mine.path, port), Ref(its.path, port)) for port in range(len(mine.outputs)))
        return True

    def _recorded(self, node: Node) -> object:
        return record(node.op, self._graph.input_types(node), node.outputs)

    def connect(self, root: ModuleScope) -> set[Use]:
        """Set `runs` of the scopes, and make all runs of a module give the same values in the same order.

        Returns further uses of values that some of them do not give yet.
        """
        by_path = {scope.path: scope for scope in scopes(root)}
        place = {node.path: index for index, node in enumerate(self._graph.nodes)}
        given: dict[str, set[Ref]] = {}
        alike = [*self.runs.items(), *((module, module) for module in dict.fromkeys(self.runs.values()))]
        for path, module in alike:
            local = {Ref(by_path[path].local(ref.node), ref.port) for ref in by_path[path].gives}
            given[module] = given.get(module, set()) | local
        missing = set()
        for path, module in alike:
            by_path[path].runs = module if path != module else None
            every = [Ref(f"{path}.{ref.node}", ref.port) for ref in given[module]]
            missing |= {(path, ref) for ref in set(every) - set(by_path[path].gives)}
            by_path[path].gives = sorted(every, key=lambda ref: (place[ref.node], ref.port))
        return missing
