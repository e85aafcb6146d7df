"""Match the nodes of two networks: by path first, then by structure.

Takes two graphs; returns pairs of paths. Nodes with the same path and op match; if the name is only a number, nodes are
aligned by their position in the scope. Nodes at other paths match by their op and the matched nodes around them, first
from the inputs down and then from the outputs up.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from functools import partial

from cnnc.diff.align import align, is_counted
from cnnc.graph.graph import Graph, Node, Ref

Pairs = dict[str, str]
"""Maps an old path to the new one."""

Prints = dict[str, int]
"""A node's fingerprint, by path: equal numbers mean equal structure."""


def match(old: Graph, new: Graph) -> Pairs:
    """Return the nodes of `old` that still exist in `new`, at the same path or another."""
    pairs = {path: path for path, node in old.node.items() if _stays(node, new)}
    scopes = _by_scope(old), _by_scope(new)
    for scope in scopes[0].keys() & scopes[1].keys():
        pairs.update(align(scopes[0][scope], scopes[1][scope]))
    for kind in (_exactly, _roughly):
        for direction in (_upstream, _downstream):
            _extend(pairs, old, new, partial(direction, kind=kind))
    taken = set(pairs.values())
    return pairs | {path: path for path in old.node if path in new.node and path not in pairs and path not in taken}


def inputs(old: Graph, new: Graph) -> Pairs:
    """Return the inputs that still exist: by name, and the rest in order."""
    names = [[each.name for each in graph.inputs] for graph in (old, new)]
    rest = [[name for name in side if name not in other] for side, other in (names, names[::-1])]
    return {name: name for name in names[0] if name in names[1]} | dict(zip(*rest, strict=False))


def _stays(node: Node, new: Graph) -> bool:
    same = node.path in new.node and new.node[node.path].op.name == node.op.name
    return same and not is_counted(node.path, node.op.name)


def _by_scope(graph: Graph) -> dict[str, list[Node]]:
    """Return the nodes directly in each scope."""
    found = defaultdict(list)
    for node in graph.nodes:
        found[node.path.rpartition(".")[0]].append(node)
    return found


def _exactly(node: Node) -> Hashable:
    """Return the op with all its attributes, to find renamed nodes."""
    return node.op


def _roughly(node: Node) -> Hashable:
    """Return the op's name only, to find nodes both renamed and changed."""
    return node.op.name


class _Numbers:
    """Numbers descriptions: equal ones get the same number, different ones different numbers."""

    def __init__(self) -> None:
        self._of: dict[Hashable, int] = {}

    def __call__(self, *description: Hashable) -> int:
        return self._of.setdefault(description, len(self._of))


Anchors = Mapping[str, str]
"""Maps the paths of matched nodes to their path in the new network."""

Fingerprint = Callable[[Graph, Anchors, _Numbers], Prints]


def _extend(pairs: Pairs, old: Graph, new: Graph, fingerprint: Fingerprint) -> None:
    """Pair unpaired nodes with equal fingerprints; several with the same one pair in the order of the file."""
    number = _Numbers()
    known = inputs(old, new) | pairs
    before = fingerprint(old, known, number)
    after = _by_print(fingerprint(new, {path: path for path in known.values()}, number).items())
    for print, paths in _by_print(before.items()).items():
        pairs.update(zip(paths, after.get(print, ()), strict=False))


def _by_print(items: Iterable[tuple[str, int]]) -> dict[int, list[str]]:
    found = defaultdict(list)
    for path, print in items:
        found[print].append(path)
    return found


def _upstream(graph: Graph, anchors: Anchors, number: _Numbers, kind: Callable[[Node], Hashable]) -> Prints:
    """Return the fingerprints of the unpaired nodes, from everything that leads to them."""
    known = {name: number("anchor", anchor) for name, anchor in anchors.items()}
    known |= {each.name: number("input", each.name) for each in graph.inputs if each.name not in known}
    found: Prints = {}
    for node in graph.nodes:
        if node.path not in known:
            takes = tuple((known[ref.node], ref.port) for ref in node.inputs)
            found[node.path] = known[node.path] = number(kind(node), takes)
    return found


def _downstream(graph: Graph, anchors: Anchors, number: _Numbers, kind: Callable[[Node], Hashable]) -> Prints:
    """Return the fingerprints of the unpaired nodes, from everything that they lead to."""
    known = {name: number("anchor", anchor) for name, anchor in anchors.items()}
    users = defaultdict(list)
    for ref, user in _ends(graph):
        users[ref.node].append((number("output", user), 0, ref.port))
    found: Prints = {}
    for node in reversed(graph.nodes):
        if node.path not in known:
            uses = tuple(sorted(users[node.path]))
            found[node.path] = known[node.path] = number(kind(node), uses)
        for position, ref in enumerate(node.inputs):
            users[ref.node].append((known[node.path], position, ref.port))
    return dict(reversed(found.items()))


def _ends(graph: Graph) -> Iterator[tuple[Ref, int]]:
    for index, output in enumerate(graph.outputs):
        yield output.ref, index
