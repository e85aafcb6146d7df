"""Groups of neighbouring items, and whether items form a chain.

Takes items with the uses of all values of their network.
"""

from collections import Counter
from collections.abc import Mapping
from itertools import pairwise

from cnnc.graph.graph import Graph, Ref
from cnnc.recover.tree import GROUP, TreeItem, name_ports

UNIT, REGION, ROUND = "conv_bn", "block", "round"
Uses = Mapping[Ref, int]
"""How often the nodes and outputs of a network use each value."""


def group(items: list[TreeItem], uses: Uses, graph: Graph, stem: str) -> TreeItem:
    """Return a scope of these items."""
    found = TreeItem(GROUP, items=items, is_scope=True, stem=stem)
    inside = Counter[Ref]()
    for item in items:
        inside.update(uses_in(item))
    made = {ref: None for item in items for ref in item.outputs}
    taken = dict.fromkeys(ref for item in items for ref in item.used)
    found.takes = {ref: "" for ref in taken if ref not in made}
    found.outputs = {ref: "" for ref in made if uses[ref] > inside[ref]}
    found.inputs = [*found.takes]
    name_ports(found, graph)
    return found


def uses_in(item: TreeItem) -> Counter[Ref]:
    """Return how often the nodes in an item use each value from outside their own items."""
    if not item.is_scope:
        return Counter(item.used)
    found = Counter[Ref]()
    for inner in item.items:
        found.update(uses_in(inner))
    return found


def _is_sole_user(item: TreeItem, ref: Ref, uses: Uses) -> bool:
    return uses[ref] == uses_in(item)[ref]


def follows(item: TreeItem, before: TreeItem, uses: Uses) -> bool:
    """Whether an item alone takes the only value of the item before it."""
    return item.used == [*before.outputs] and len(before.outputs) == 1 and _is_sole_user(item, item.used[0], uses)


def is_chain(items: list[TreeItem], uses: Uses) -> bool:
    """Whether there are several items, and each alone takes the only value of the item before it."""
    return len(items) > 1 and all(follows(item, before, uses) for before, item in pairwise(items))
