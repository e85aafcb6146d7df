"""The tree of a network by its structure alone, for networks whose names say nothing.

Where a single value is alive, the network can be cut. What lies between two cuts, such as a residual block or an
inception module, is a region: it becomes a scope with one input. Layers with the norm and the activation after them
become scopes as well, if there are several.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise

from cnnc.graph.graph import Graph, Ref
from cnnc.ops.activation_names import ACTIVATIONS
from cnnc.recover.scopes import attach_activations, scopes
from cnnc.recover.tree import GROUP, TreeItem, allowed, leaf, name_ports

FEWEST_UNITS = 3
UNIT, REGION, ROUND = "conv_bn", "block", "round"
ACTS = {*ACTIVATIONS, "activation"}
LAYERS = ("conv", "conv_transpose", "linear")
LONGEST_PERIOD = 8
DEEPEST = 6  # regions in regions
Uses = Mapping[Ref, int]


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
    root.items = _segmented(root.items, uses, graph)
    _gather_units(root, uses, graph)
    _attach_last_activations(root, uses, graph)
    for scope in scopes(root):
        scope.items = _periodic(scope, uses, graph)
    return root, uses


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
        if layer and norm.op.endswith("_norm") and _follows(norm, item, uses):
            act = items[at + 2] if at + 2 < len(items) else None
            yield at, at + (3 if act and act.op in ACTS and _follows(act, norm, uses) else 2)


def _reversed(items: list[TreeItem], uses: Uses) -> Iterator[tuple[int, int]]:
    """Yield where each norm starts that an activation and a layer follow, and where the layer ends."""
    for at, (norm, act, layer) in enumerate(zip(items, items[1:], items[2:], strict=False)):
        fits = norm.op.endswith("_norm") and act.op in ACTS and layer.op in LAYERS and "act" not in layer.attributes
        if fits and _follows(act, norm, uses) and _follows(layer, act, uses):
            yield at, at + 3


def _follows(item: TreeItem, before: TreeItem, uses: Uses) -> bool:
    """Whether an item alone takes the only value of the item before it."""
    return item.used == [*before.outputs] and len(before.outputs) == 1 and _is_sole_user(item, item.used[0], uses)


def _attach_last_activations(root: TreeItem, uses: Uses, graph: Graph) -> None:
    """Move the activation after a region into it."""
    for scope in scopes(root):
        items: list[TreeItem] = []
        for item in scope.items:
            region = items[-1] if items and items[-1].stem == REGION else None
            if region and item.op in ACTS and _follows(item, region, uses):
                items[-1] = group([*region.items, item], uses, graph, REGION)
            else:
                items.append(item)
        scope.items = items


def _periodic(scope: TreeItem, uses: Uses, graph: Graph) -> list[TreeItem]:
    """Return the items of a scope with a scope in place of each round, where equal items come again and again."""
    items, found, at = scope.items, list[TreeItem](), 0
    numbers: dict[object, int] = {}
    tokens = [numbers.setdefault(_token(item), len(numbers)) for item in items]
    chained = _lengths([_follows(item, before, uses) for before, item in pairwise(items)])
    equal = {
        period: _lengths([a == b for a, b in zip(tokens, tokens[period:], strict=False)])
        for period in range(2, min(LONGEST_PERIOD, len(items) // 2) + 1)
    }
    while at < len(items):
        counts = {period: min(chained[at] + 1, period + lengths[at]) // period for period, lengths in equal.items()}
        period = max(counts, key=lambda period: (counts[period] * period, -period), default=1)
        rounds = counts.get(period, 0)
        if rounds > 2 and len({*tokens[at : at + period]}) > 1:
            ends = range(at, at + period * rounds, period)
            found += [group(items[start : start + period], uses, graph, ROUND) for start in ends]
            at += period * rounds
        else:
            found.append(items[at])
            at += 1
    return found


def _lengths(true: list[bool]) -> list[int]:
    """Return how many consecutive values from each position on are true."""
    found = [0] * (len(true) + LONGEST_PERIOD + 1)
    for at in range(len(true) - 1, -1, -1):
        found[at] = found[at + 1] + 1 if true[at] else 0
    return found


def _token(item: TreeItem) -> object:
    """What equal items have in common."""
    inner = tuple(_token(each) for each in item.items) if item.is_scope else ()
    return item.op, tuple((key, repr(value)) for key, value in sorted(item.attributes.items())), inner


# -- blocks without their sum


def gather_without_sum(
    regions: Iterable[TreeItem], around: Iterable[TreeItem], uses: Uses, graph: Graph
) -> list[TreeItem]:
    """Make scopes of chains that equal a residual block but for its sum, and return them.

    Their attributes must be those that all these blocks have in common.
    """
    kinds: dict[object, list[TreeItem]] = {}
    for region in regions:
        ops = tuple(item.op for item in region.items)
        if (
            ops
            and ops[-1] == "add"
            and _is_chain(region.items[:-1], uses)
            and region.items[-1].inputs[-1:] == [*region.items[-2].outputs]
        ):
            kinds.setdefault(ops[:-1], []).append(region)
    found = []
    for alike in sorted(kinds.values(), key=lambda each: -len(each[0].items)):
        common = [_common([region.items[at] for region in alike]) for at in range(len(alike[0].items) - 1)]
        for scope in around:
            for skipped in (0, 1):
                found += _windows(scope, common[skipped:], uses, graph) if len(common) - skipped > 2 else []
    return found


def _is_chain(items: list[TreeItem], uses: Uses) -> bool:
    return len(items) > 1 and all(_follows(item, before, uses) for before, item in pairwise(items))


def _common(items: list[TreeItem]) -> tuple[str, dict[str, object], set[str]]:
    """Return the op of equal items, the attributes in which they do not differ, and the names of all."""
    first, *rest = items
    same = {
        key: value
        for key, value in first.attributes.items()
        if key != "stride" and all(each.attributes[key] == value for each in rest)
    }
    return first.op, same, {*first.attributes}


def _windows(
    scope: TreeItem, common: list[tuple[str, dict[str, object], set[str]]], uses: Uses, graph: Graph
) -> list[TreeItem]:
    """Make scopes of the items that fit these, and return them."""
    found, items, at = [], list[TreeItem](), 0
    while at < len(scope.items):
        window = scope.items[at : at + len(common)]
        if len(window) == len(common) and _is_chain(window, uses) and all(map(_fits, window, common)):
            items.append(group(window, uses, graph, REGION))
            found.append(items[-1])
            at += len(window)
        else:
            items.append(scope.items[at])
            at += 1
    scope.items = items
    return found


def _fits(item: TreeItem, wanted: tuple[str, dict[str, object], set[str]]) -> bool:
    op, same, names = wanted
    return item.op == op and {*item.attributes} == names and all(item.attributes[key] == same[key] for key in same)
