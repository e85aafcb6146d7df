"""What the scopes of a tree need before they can be written: activations as `act`, `names: index`, and `share`.

Takes the outermost scope of a tree and changes it in place.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

from cnnc.graph.graph import Graph, Node, Ref
from cnnc.ops import registry
from cnnc.ops.activation_names import ACTIVATIONS
from cnnc.recover.attributes import without_defaults
from cnnc.recover.tree import TreeItem


class Inexpressible(Exception):
    """No `share` gives a node its parameters at its path; `path` is one at which it has them."""

    def __init__(self, node: Node, path: str) -> None:
        super().__init__(f"{node.path} cannot share {node.shares}")
        self.node, self.path = node, path


def scopes(root: TreeItem) -> list[TreeItem]:
    """Return all scopes of a tree, the inner ones first."""
    found, stack = [], [root]
    while stack:
        scope = stack.pop()
        found.append(scope)
        stack += [item for item in scope.items if item.is_scope]
    return found[::-1]


def users(graph: Graph) -> Counter[Ref]:
    """Return how often each value is used."""
    return Counter([ref for node in graph.nodes for ref in node.inputs] + [each.ref for each in graph.outputs])


def attach_activations(root: TreeItem, graph: Graph) -> None:
    """Write activations that follow the only layer that they use as its `act`."""
    uses = users(graph)
    for scope in scopes(root):
        items: list[TreeItem] = []
        for item in scope.items:
            if items and _is_act(items[-1], item, uses) and items[-1].outputs.keys().isdisjoint(scope.outputs):
                items[-1] = _with_act(items[-1], item)
            else:
                items.append(item)
        scope.items = items


def _is_act(layer: TreeItem, item: TreeItem, uses: Counter[Ref]) -> bool:
    fits = layer.node is not None and registry.takes_act(layer.op) and item.op in ACTIVATIONS and not item.exact
    if not fits or item.inputs != [*layer.outputs] or without_defaults(item.op, item.attributes):
        return False
    return uses[item.inputs[0]] == 1


def _with_act(layer: TreeItem, act: TreeItem) -> TreeItem:
    found = TreeItem(layer.op, {**layer.attributes, "act": act.op}, layer.inputs, act.outputs, items=[layer, act])
    found.name, found.exact, found.allow = layer.name, layer.exact, layer.allow | act.allow
    found.like, found.shares = layer.like, layer.shares
    return found


def mark_exact(root: TreeItem) -> None:
    """Mark the scopes that hold parameters: their names are part of keys of the state_dict."""
    for scope in scopes(root):
        scope.exact = any(item.exact for item in scope.items)


def number(root: TreeItem) -> None:
    """Find the scopes whose names are the positions of their items: `names: index`."""
    for scope in scopes(root):
        position = 0
        matches = []
        for item in scope.items:
            if item.name is not None and item.name.isdigit():
                matches.append(item.name == str(position))
            position += item.positions
        exact = [item for item in scope.items if item.exact]
        scope.by_index = bool(matches) and all(matches) and all(str(item.name).isdigit() for item in exact)


def unnumber(root: TreeItem) -> None:
    """Give up `names: index` where an equal scope lacks a node, so that its names are not the positions of its items.

    This is the shortcut that has an `avg_pool` only where the stride is not 1, with an `nn.Identity` in its place.
    """
    gaps = {(each.name, _digits(each)) for each in scopes(root) if not each.by_index and _digits(each)}
    for scope in scopes(root):
        scope.by_index = scope.by_index and (scope.name, _digits(scope)) not in gaps


def _digits(scope: TreeItem) -> tuple[tuple[str, str], ...]:
    """Return the ops and names of the layers of a scope, if all have numbers for names; empty if not."""
    found = tuple((item.op, str(item.name)) for item in scope.items if item.exact)
    return found if all(name.isdigit() for _, name in found) else ()


# -- shared parameters


def share(root: TreeItem, graph: Graph) -> set[int]:
    """Set `share` of the items whose parameters are those of others; return the ids of all scopes involved.

    Raises Inexpressible if a node's path has to change for that; it has no keys of its own in the state_dict.
    """
    if not any(node.shares for node in graph.nodes):
        return set()
    around = dict(chains(root))
    involved: set[int] = set()
    given: dict[int, tuple[str, ...]] = {}  # the path that a scope shares, by the id of the scope's item
    for node in graph.nodes:
        ours = around[node.path]
        if node.shares is None:
            if (node.cost.params or node.cost.buffers) and any(id(scope) in given for scope in ours):
                ours[-1].share = False
            continue
        owner = graph.owner(node.shares)
        assert owner is not None
        theirs = around[owner]
        involved |= {id(scope) for scope in (*ours[:-1], *theirs[:-1])}
        if _is_inherited(ours, theirs, given):
            continue
        if not _set_share(ours, theirs, given):
            apart = next(at for at, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a is not b) - 1
            path = names(ours)
            raise Inexpressible(node, ".".join([*path[:apart], "_".join(path[apart:])]))
    return involved - {id(root)}


def chains(scope: TreeItem, around: Sequence[TreeItem] = ()) -> Iterator[tuple[str, list[TreeItem]]]:
    """Yield the path in the graph of each node in a scope, and the items around it and its own, outermost first."""
    chain = [*around, scope]
    for item in scope.items:
        if item.is_scope:
            yield from chains(item, chain)
        else:
            for node in item.nodes():
                yield node.path, [*chain, item]


def names(chain: list[TreeItem]) -> tuple[str, ...]:
    """Return the parts of the path of the last item of a chain."""
    return tuple(str(item.name) for item in chain[1:])


def _is_inherited(ours: list[TreeItem], theirs: list[TreeItem], given: dict[int, tuple[str, ...]]) -> bool:
    """Whether the innermost scope around that shares another makes the node share these parameters."""
    for at in range(len(ours) - 1, 0, -1):
        if id(ours[at]) in given:
            return given[id(ours[at])] + names(ours)[at:] == names(theirs)
    return False


def _set_share(ours: list[TreeItem], theirs: list[TreeItem], given: dict[int, tuple[str, ...]]) -> bool:
    """Set the `share` of the outermost item that differs; return whether that is right for the node."""
    apart = next(at for at, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a is not b)
    item, other = ours[apart], theirs[apart]
    rest = names(ours)[apart:]
    there = names(theirs)
    shared = there[: len(there) - len(rest)] if rest else there
    if (rest and there[len(there) - len(rest) :] != rest) or len(shared) < apart or item.share is not None:
        return False
    item.share = other, ".".join(shared[apart:])
    given[id(item)] = shared
    return True


def is_layer(node: Node) -> bool:
    """Whether a node has parameters or running statistics."""
    return bool(node.cost.params or node.cost.buffers or node.shares)
