"""The tree of a network by its structure alone, for networks whose names say nothing.

Where a single value is alive, the network can be cut. What lies between two cuts, such as a residual block or an
inception module, is a region: it becomes a scope with one input. Layers with the norm and the activation after them
become scopes as well, if there are several.
"""

from collections import Counter
from collections.abc import Iterator

from cnnc.graph.graph import Graph, Ref
from cnnc.ops.activation_names import ACTIVATIONS
from cnnc.recover.chains import periodic
from cnnc.recover.groups import REGION, UNIT, Uses, follows, group
from cnnc.recover.scopes import attach_activations, scopes
from cnnc.recover.tree import GROUP, TreeItem, allowed, leaf

FEWEST_UNITS = 3
ACTS = {*ACTIVATIONS, "activation"}
LAYERS = ("conv", "conv_transpose", "linear")
DEEPEST = 6  # regions in regions


def by_structure(graph: Graph) -> tuple[TreeItem, Uses]:
    """Return the outermost scope of a network's tree, with scopes for regions and units, and the uses of all values."""
    root = TreeItem(GROUP, is_scope=True)
    allow = allowed(graph)
    root.items = [leaf(node, None, allow.get(node.path)) for node in graph.nodes]
    owners = {item.node.path: item for item in root.items if item.node}
    for item in root.items:
        item.exact = False
        if item.shares is not None:
            item.share = owners[graph.owner(item.shares) or ""], ""
    uses = Counter(ref for item in root.items for ref in item.used)
    uses.update([each.ref for each in graph.outputs])
    if any(item.shares is not None for item in root.items):
        return root, uses
    attach_activations(root, graph)
    main, heads = _without_heads(root.items, graph)
    root.items = _segmented(main, uses, graph) + _grouped_heads(heads, uses, graph)
    _gather_units(root, uses, graph)
    _attach_last_activations(root, uses, graph)
    for scope in scopes(root):
        scope.items = periodic(scope, uses, graph)
    return root, uses


# -- heads


def _without_heads(items: list[TreeItem], graph: Graph) -> tuple[list[TreeItem], list[TreeItem]]:
    """Return the items that other outputs than those of the training need, and the rest: its auxiliary heads."""
    needed = {each.ref for each in graph.outputs if not each.train_only}
    main = []
    for item in reversed(items):
        if not needed.isdisjoint(item.outputs):
            needed.update(item.used)
            main.append(item)
    kept = {id(item) for item in main}
    return main[::-1], [item for item in items if id(item) not in kept]


def _grouped_heads(items: list[TreeItem], uses: Uses, graph: Graph) -> list[TreeItem]:
    """Return a scope for each auxiliary head."""
    found = []
    for head in _split(items):
        found.append(group(head, uses, graph, REGION) if len(head) > 1 else head[0])
        found[-1].name, found[-1].exact = f"aux{len(found)}", True
    return found


# -- regions


def _segmented(items: list[TreeItem], uses: Uses, graph: Graph, depth: int = 0) -> list[TreeItem]:
    """Return the items with a scope in place of those between two cuts."""
    if depth == DEEPEST:
        return items
    found: list[TreeItem] = []
    segments = [*_segments(items)]
    for segment in segments:
        if len(segment) == 1:
            found += segment
        elif len(segments) > 1:
            found.append(group(_in_branches(segment, uses, graph, depth + 1), uses, graph, REGION))
        else:
            found += _in_branches(segment, uses, graph, depth + 1) if _branches(segment[:-1]) > 1 else segment
    return found


def _segments(items: list[TreeItem]) -> Iterator[list[TreeItem]]:
    """Yield the items between two cuts: places where only the value of the item before is alive."""
    last = {ref: at for at, item in enumerate(items) for ref in item.used}
    made = {ref for item in items for ref in item.outputs}
    alive = {ref for ref in last if ref not in made}
    start = 0
    for at, item in enumerate(items):
        alive -= {ref for ref in item.used if last[ref] == at}
        alive |= {ref for ref in item.outputs if ref in last}
        if at == len(items) - 1 or (len(alive) == 1 and alive <= item.outputs.keys()):
            yield items[start : at + 1]
            start = at + 1


def _in_branches(segment: list[TreeItem], uses: Uses, graph: Graph, depth: int) -> list[TreeItem]:
    """Return the items of a region branch by branch, in the order in which its last item takes them."""
    *rest, join = segment
    branches = _split(rest)
    places = {ref: at for at, ref in reversed([*enumerate(join.inputs)])}
    branches.sort(key=lambda branch: min(places.get(ref, len(places)) for item in branch for ref in item.outputs))
    return [item for branch in branches for item in _segmented(branch, uses, graph, depth)] + [join]


def _branches(items: list[TreeItem]) -> int:
    return len(_split(items))


def _split(items: list[TreeItem]) -> list[list[TreeItem]]:
    """Return the connected parts of items, without the values that come from outside."""
    parts: dict[Ref, int] = {}
    parents: list[int] = []

    def top(at: int) -> int:
        while parents[at] != at:
            parents[at] = parents[parents[at]]
            at = parents[at]
        return at

    for at, item in enumerate(items):
        parents.append(at)
        for ref in item.used:
            if ref in parts:
                parents[top(parts[ref])] = at
        parts |= dict.fromkeys(item.outputs, at)
    found: dict[int, list[TreeItem]] = {}
    for at, item in enumerate(items):
        found.setdefault(top(at), []).append(item)
    return [*found.values()]


# -- units


def _gather_units(root: TreeItem, uses: Uses, graph: Graph) -> None:
    """Make a scope of each layer with the norm and the activation after it, or before it if that is more frequent."""
    every = scopes(root)
    after, before = ({id(scope): dict(units(scope.items, uses)) for scope in every} for units in (_units, _reversed))
    first = sum(map(len, after.values())) >= sum(map(len, before.values()))
    found, stem = (after, UNIT) if first else (before, "bn_conv")
    if sum(map(len, found.values())) < FEWEST_UNITS:
        return
    for scope in every:
        items: list[TreeItem] = []
        ends = found[id(scope)]
        at = 0
        while at < len(scope.items):
            end = ends.get(at, at + 1)
            items.append(group(scope.items[at:end], uses, graph, stem) if at in ends else scope.items[at])
            at = end
        if len(items) > 1 or scope is root:
            scope.items = items


def _units(items: list[TreeItem], uses: Uses) -> Iterator[tuple[int, int]]:
    """Yield where each layer with a norm after it starts, and where the norm or the activation after it ends."""
    for at, item in enumerate(items[:-1]):
        norm = items[at + 1]
        layer = item.op in LAYERS and "act" not in item.attributes
        if layer and norm.op.endswith("_norm") and follows(norm, item, uses):
            act = items[at + 2] if at + 2 < len(items) else None
            yield at, at + (3 if act and act.op in ACTS and follows(act, norm, uses) else 2)


def _reversed(items: list[TreeItem], uses: Uses) -> Iterator[tuple[int, int]]:
    """Yield where each norm starts that an activation and a layer follow, and where the layer ends."""
    for at, (norm, act, layer) in enumerate(zip(items, items[1:], items[2:], strict=False)):
        fits = norm.op.endswith("_norm") and act.op in ACTS and layer.op in LAYERS and "act" not in layer.attributes
        if fits and follows(act, norm, uses) and follows(layer, act, uses):
            yield at, at + 3


def _attach_last_activations(root: TreeItem, uses: Uses, graph: Graph) -> None:
    """Move the activation after a region into it."""
    for scope in scopes(root):
        items: list[TreeItem] = []
        for item in scope.items:
            region = items[-1] if items and items[-1].stem == REGION else None
            if region and item.op in ACTS and follows(item, region, uses):
                items[-1] = group([*region.items, item], uses, graph, REGION)
            else:
                items.append(item)
        scope.items = items
