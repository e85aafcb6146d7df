"""Align the nodes of two scopes whose names are only numbered, such as `relu_2` or `features.7`.

Takes the nodes of a scope, old and new, in order; yields pairs of paths. An inserted or removed node shifts all later
numbers, so numbered nodes are paired as in a text diff: by the heaviest common subsequence, in which nodes with equal
attributes weigh more.
"""

from collections.abc import Iterator, Sequence

from cnnc.graph.graph import Node

MOST_STEPS = 1_000_000  # beyond this, numbered nodes are paired by path alone
SAME, ALIKE = 3, 2  # two pairs of the same op outweigh one with the same attributes too


def is_counted(path: str, op: str) -> bool:
    """Whether a node's name is only a position: a number, or its op's name with or without a number."""
    name = path.rpartition(".")[2]
    return name.isdigit() or name == op or name.removeprefix(f"{op}_").isdigit()


def _counted(node: Node) -> bool:
    return is_counted(node.path, node.op.name)


def align(old: Sequence[Node], new: Sequence[Node]) -> Iterator[tuple[str, str]]:
    """Yield the pairs of numbered nodes, in order."""
    first, last = 0, 0
    while first < min(len(old), len(new)) and _weight(old[first], new[first]) == SAME:
        first += 1
    while last < min(len(old), len(new)) - first and _weight(old[-1 - last], new[-1 - last]) == SAME:
        last += 1
    rest = old[first : len(old) - last], new[first : len(new) - last]
    pairs = [*zip(old[:first], new[:first], strict=True), *_longest(*rest)]
    pairs += zip(old[len(old) - last :], new[len(new) - last :], strict=True)
    yield from ((was.path, now.path) for was, now in pairs if _counted(was))


def _weight(old: Node, new: Node) -> int:
    """Return the weight of pairing two nodes; 0 if they cannot be paired."""
    if old.op.name != new.op.name or _counted(old) != _counted(new):
        return 0
    if not _counted(old):
        return SAME if old.path == new.path else 0
    return SAME if old.op == new.op else ALIKE


def _longest(old: Sequence[Node], new: Sequence[Node]) -> Iterator[tuple[Node, Node]]:
    """Yield the pairs of the heaviest common subsequence."""
    if len(old) * len(new) > MOST_STEPS:
        at = {node.path: node for node in new}
        yield from ((node, at[node.path]) for node in old if node.path in at and _weight(node, at[node.path]))
        return
    best = [[0] * (len(new) + 1) for _ in range(len(old) + 1)]
    for i in reversed(range(len(old))):
        for j in reversed(range(len(new))):
            weight = _weight(old[i], new[j])
            paired = weight + best[i + 1][j + 1] if weight else 0
            best[i][j] = max(paired, best[i + 1][j], best[i][j + 1])
    i = j = 0
    while i < len(old) and j < len(new):
        weight = _weight(old[i], new[j])
        if weight and best[i][j] == weight + best[i + 1][j + 1]:
            yield old[i], new[j]
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
