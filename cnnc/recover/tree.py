"""The tree of a network: its nodes, and the scopes around them, by the parts of their paths.

Takes a proved graph and a path for each of its nodes; returns the outermost scope. Every item names its inputs and
outputs by the values of the graph, so items can move between scopes without renaming anything.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

from cnnc.analysis.lint import lint
from cnnc.graph.graph import Graph, Node, Ref
from cnnc.language.names import LONGEST, numbered
from cnnc.ops import registry
from cnnc.ops.activation_names import ACTIVATIONS
from cnnc.recover.attributes import plain

GROUP = "group"
Paths = Mapping[str, str]


@dataclass(eq=False)
class TreeItem:
    """A node, a group, or an instance of a block.

    `outputs` maps its values that other items use to their ports. `items` are those of a scope, or the nodes of a node
    with an `act`. `takes` are the inputs of a scope, with their names. The name of an `exact` item is part of a key of
    the state_dict. `shares` is the node that has its parameters, and `share` the item to name for that, with the path
    in it.
    """

    op: str
    attributes: dict[str, Any] = field(default_factory=dict)
    inputs: list[Ref] = field(default_factory=list)
    outputs: dict[Ref, str] = field(default_factory=dict)
    like: Ref | None = None
    name: str | None = None
    exact: bool = False
    shares: str | None = None
    when: str | None = None
    repeat: Any = None
    last: str | None = None  # the name of the last instance, if every instance has a name of its own
    share: "tuple[TreeItem, str] | bool | None" = None
    items: list["TreeItem"] = field(default_factory=list)
    node: Node | None = None
    path: str = ""  # of a scope
    stem: str = ""  # the kind of a scope that was found by structure
    is_scope: bool = False
    takes: dict[Ref, str] = field(default_factory=dict)
    by_index: bool = False
    allow: set[str] = field(default_factory=set)
    usual: dict[str, Any] = field(default_factory=dict)  # the defaults of the parameters of an instance's block
    own_names: int = 0  # how many instances of a repeated item have names of their own

    @property
    def used(self) -> list[Ref]:
        """The values that it takes."""
        return [*self.inputs, *([self.like] if self.like else [])]

    @property
    def positions(self) -> int:
        """How many default names it takes: an `act` takes one of its own."""
        return (self.own_names or 1) + self.acts

    @property
    def acts(self) -> int:
        """How many activations its `act` adds."""
        times = self.repeat if isinstance(self.repeat, int) else 1
        return 0 if self.is_scope or "act" not in self.attributes else times

    def nodes(self) -> Iterator[Node]:
        """Yield its nodes, in the order in which a spec lists them."""
        stack = [self]
        while stack:
            item = stack.pop()
            if item.node is not None:
                yield item.node
            stack += reversed(item.items)


def allowed(graph: Graph) -> dict[str, set[str]]:
    """Return the codes of the warnings that the network has and allows, by node."""
    found: dict[str, set[str]] = {}
    for node, warning in lint(graph) if graph.allows else ():
        if warning.code in {each.code for each in graph.allows.get(node.path, ())}:
            found.setdefault(node.path, set()).add(str(warning.code))
    return found


def leaf(node: Node, name: str | None, allow: set[str] | None = None) -> TreeItem:
    """Return the item of a node; `allow` are the codes of the warnings that it silences."""
    like = node.inputs[-1] if getattr(node.op, "like", None) is not None else None
    inputs = [] if registry.is_source(node.op.name) else [*node.inputs[: len(node.inputs) - (like is not None)]]
    outputs = {Ref(node.path, at): port for at, port in enumerate(node.op.ports)}
    exact = bool(node.cost.params or node.cost.buffers or node.shares)
    found = TreeItem(node.op.name, plain(node.op), inputs, outputs, like, name, exact, node.shares, node=node)
    found.allow |= allow or set()
    return found


def grown(graph: Graph, paths: Paths) -> TreeItem:
    """Return the outermost scope of the tree that these paths describe.

    A group that would have to run before and after another item is dissolved: its name becomes part of its nodes'.
    """
    paths = _with_activations(graph, paths)
    for _ in range(len(graph.nodes) + 1):
        root, around = _planted(graph, paths)
        cycle = _arrange(graph, root, around)
        if not cycle:
            _join(graph, around)
            return root
        paths = _mended(paths, cycle, around)
    raise AssertionError("a graph without scopes is in order")


def _with_activations(graph: Graph, paths: Paths) -> Paths:
    """Return paths with activations beside the layers before them, if those are the instances of a repeated layer."""
    names: dict[str, list[Node]] = {}
    for node in graph.nodes:
        names.setdefault(paths[node.path].rpartition(".")[0], []).append(node)
    repeated = {
        scope
        for scope, nodes in names.items()
        if scope and registry.takes_act(nodes[0].op.name) and len({node.op.name for node in nodes}) == 1
        if [paths[node.path].rpartition(".")[2] for node in nodes] == [str(at) for at in range(len(nodes))]
    }
    if not repeated:
        return paths
    layers = {Ref(node.path): scope for scope in repeated for node in names[scope]}
    acts = [node for node in graph.nodes if node.op.name in ACTIVATIONS and node.inputs[0] in layers]
    return {**paths, **{node.path: f"{layers[node.inputs[0]]}.{node.op.name}" for node in acts}}


def _planted(graph: Graph, paths: Paths) -> tuple[TreeItem, dict[str, list[TreeItem]]]:
    """Return the outermost scope, and for each node the items around it and its own, outermost first."""
    root = TreeItem(GROUP, is_scope=True)
    groups: dict[str, TreeItem] = {"": root}
    around: dict[str, list[TreeItem]] = {}
    allow = allowed(graph)
    for node in graph.nodes:
        *scopes, name = paths[node.path].split(".")
        chain, at = [root], ""
        for scope in scopes:
            at = f"{at}.{scope}"
            if at not in groups:
                groups[at] = TreeItem(GROUP, name=scope, path=at[1:], is_scope=True)
                chain[-1].items.append(groups[at])
            chain.append(groups[at])
        item = leaf(node, name, allow.get(node.path))
        chain[-1].items.append(item)
        around[node.path] = [*chain, item]
    return root, around


def _arrange(graph: Graph, root: TreeItem, around: Mapping[str, list[TreeItem]]) -> list[TreeItem]:
    """Put inputs before their users in all scopes; return the items on a cycle if that cannot be."""
    needs: dict[int, dict[int, set[int]]] = {}
    for node in graph.nodes:
        for source in [*(ref.node for ref in node.inputs), *([node.shares] if node.shares else [])]:
            if source in around:
                scope, theirs, ours = _parted(around[source], around[node.path])
                needs.setdefault(id(scope), {}).setdefault(id(ours), set()).add(id(theirs))
    stack = [root]
    while stack:
        scope = stack.pop()
        found, left = _in_order(scope.items, needs.get(id(scope), {}))
        if left:
            return left
        scope.items = found
        stack += [each for each in found if each.is_scope]
    return []


def _parted(first: list[TreeItem], second: list[TreeItem]) -> tuple[TreeItem, TreeItem, TreeItem]:
    """Return the innermost scope around two nodes, and the items in it that hold them."""
    at = next(at for at, (a, b) in enumerate(zip(first, second, strict=False)) if a is not b)
    return first[at - 1], first[at], second[at]


def _in_order(items: list[TreeItem], needs: Mapping[int, set[int]]) -> tuple[list[TreeItem], list[TreeItem]]:
    """Return the items in an order that respects their needs, and those on a cycle if there is none."""
    places = {id(item): at for at, item in enumerate(items)}
    missing = {at: len(needs.get(id(item), ())) for at, item in enumerate(items)}
    users: dict[int, list[int]] = {}
    for at, item in enumerate(items):
        for each in needs.get(id(item), ()):
            users.setdefault(places[each], []).append(at)
    ready = [at for at, count in missing.items() if not count]
    found: list[int] = []
    while ready:
        found.append(heappop(ready))
        for at in users.get(found[-1], ()):
            missing[at] -= 1
            if not missing[at]:
                heappush(ready, at)
    left = [item for at, item in enumerate(items) if missing[at]]
    return [items[at] for at in found], _cycle(left, needs) if left else []


def _cycle(items: list[TreeItem], needs: Mapping[int, set[int]]) -> list[TreeItem]:
    left = {id(item): item for item in items}
    seen: list[int] = []
    known: set[int] = set()
    at = id(items[0])
    while at not in known:
        known.add(at)
        seen.append(at)
        at = next(each for each in needs[at] if each in left)
    return [left[each] for each in seen[seen.index(at) :]]


def _mended(paths: Paths, cycle: list[TreeItem], around: Mapping[str, list[TreeItem]]) -> Paths:
    """Return paths without this cycle: nodes without parameters move into its only group, or a group is dissolved."""
    groups = [item for item in cycle if item.is_scope]
    group = min(groups, key=lambda group: sum(1 for _ in group.nodes()))
    rest = [item for item in cycle if not item.is_scope]
    changed = dict(paths)
    if len(groups) == 1 and not any(item.exact for item in rest):
        for item in rest:
            for node in item.nodes():
                changed[node.path] = f"{group.path}.{item.name}"
        return changed
    for node in group.nodes():
        depth = around[node.path].index(group) - 1
        parts = paths[node.path].split(".")
        joined = f"{parts[depth]}_{parts[depth + 1]}"[-LONGEST:].lstrip("_-")
        changed[node.path] = ".".join([*parts[:depth], joined, *parts[depth + 2 :]])
    return changed


def _join(graph: Graph, around: Mapping[str, list[TreeItem]]) -> None:
    """Set what each group takes and gives."""
    shown = {each.ref for each in graph.outputs}
    used = shown | {ref for node in graph.nodes if not registry.is_source(node.op.name) for ref in node.inputs}
    for node in graph.nodes:
        source = registry.is_source(node.op.name)  # its scope need not take its input, unless this is all that uses it
        for ref in (each for each in node.inputs if not source or each not in used):
            outer = around.get(ref.node, [around[node.path][0]])
            for scope in _beyond(around[node.path], outer):
                scope.takes.setdefault(ref, "")
            for scope in _beyond(outer, around[node.path]):
                scope.outputs.setdefault(ref, "")
    for output in graph.outputs:
        for scope in around[output.ref.node][1:-1]:
            scope.outputs.setdefault(output.ref, "")
    for scope in {id(each): each for chain in around.values() for each in chain[1:-1]}.values():
        scope.inputs = [*scope.takes]
        name_ports(scope, graph)


def _beyond(chain: list[TreeItem], other: list[TreeItem]) -> Iterable[TreeItem]:
    """Return the scopes of a chain, without its last item, that are not in the other."""
    at = next((at for at, (a, b) in enumerate(zip(chain, other, strict=False)) if a is not b), len(other))
    return chain[at:-1]


def name_ports(scope: TreeItem, graph: Graph) -> None:
    """Name the inputs and outputs of a scope."""
    if len(scope.takes) == 1:
        scope.takes = dict.fromkeys(scope.takes, "input")
    else:
        scope.takes = {ref: f"x{at + 1}" for at, ref in enumerate(scope.takes)}
    makers = {ref: item for item in scope.items for ref in item.outputs if ref in scope.outputs}
    given = [*makers]
    known = graph.boundaries[scope.path].gives if scope.path in graph.boundaries else {}
    counts: Counter[str] = Counter()
    ports = []
    for ref, maker in makers.items():
        base = known.get(ref, "").rpartition(".")[2]
        if base and not base.isdigit():
            counts[base] += 1
            ports.append(base)
            continue
        base = maker.name if maker.name and not maker.name[0].isdigit() else maker.op
        base = base.replace("-", "_")
        counts[base] += 1
        ports.append(numbered(base, counts[base]))
    scope.outputs = dict(zip(given, ports if len(set(ports)) == len(given) > 1 else _numbered(given), strict=True))


def _numbered(given: list[Ref]) -> list[str]:
    return [""] if len(given) == 1 else [f"y{at + 1}" for at in range(len(given))]
