"""Equal neighbours as one repeated item: `repeat`, with expressions over `i` for what differs.

Takes a scope whose inner scopes are instances of blocks already; changes its items in place.
"""

import re
from collections import Counter

from cnnc.graph.graph import Ref
from cnnc.recover.fits import of_index
from cnnc.recover.tree import GROUP, TreeItem


def repeat(scope: TreeItem, *, free: bool) -> None:
    """Join the neighbours in a scope that are instances of one block; a scope of nothing else becomes the `repeat`.

    `free`: whether items without parameters of their own may be renamed, because no path has to be kept. Then two
    layers of a region that differ stay apart, as in a region that has no such pair.
    """
    uses = Counter(ref for item in scope.items for ref in item.used)
    uses.update([*scope.outputs])
    items: list[TreeItem] = []
    ends = _chain_ends(scope.items, uses)
    at = 0
    while at < len(scope.items):
        run = _run(scope.items[at : ends[at]], free)
        found = _joined(run, free) if len(run) > 1 else None
        if found and len(run) == 2 and scope.stem and any(map(_has_index, found.attributes.values())):
            found = None
        items.append(found or scope.items[at])
        at += len(run) if found else 1
    if len(items) == 1 and len(scope.items) > 1 and _may_become(scope, items[0]):
        _become(scope, items[0])
    else:
        scope.items = items


def _run(chain: list[TreeItem], free: bool) -> list[TreeItem]:
    """Return the longest run from the start of a chain that some expressions fit."""

    def fits(count: int) -> bool:
        return count <= len(chain) and _fits(chain[:count], free)

    count = next((each for each in (2, 3) if fits(each)), 1)
    if count == 1:
        return chain[:1]
    step = count
    while fits(count + step):
        count, step = count + step, 2 * step
    while step:
        count += step if fits(count + step) else 0
        step //= 2
    return chain[:count]


def _chain_ends(items: list[TreeItem], uses: Counter[Ref]) -> list[int]:
    """Return, for each item, the end of the items after it that are alike and each of which alone takes the last."""
    ends = [*range(1, len(items) + 1)]
    for at in range(len(items) - 2, -1, -1):
        item, after = items[at], items[at + 1]
        alike = item.op == after.op and item.attributes.keys() == after.attributes.keys()
        if alike and _may_repeat(item) and _may_repeat(after) and after.inputs == [*item.outputs]:
            ends[at] = ends[at + 1] if uses[after.inputs[0]] == 1 else at + 1
    return ends


def _fits(run: list[TreeItem], free: bool) -> bool:
    return (free or _name(run) is not None) and _attributes(run) is not None


def _may_repeat(item: TreeItem) -> bool:
    is_block = item.is_scope and item.op != GROUP
    is_layer = item.op != GROUP and ("act" in item.attributes or item.exact)
    plain = item.repeat is None and item.when is None and item.share is None and item.shares is None
    return (
        (is_block or is_layer)
        and plain
        and not item.like
        and [*item.outputs.values()] == [""]
        and len(item.inputs) == 1
    )


def _attributes(run: list[TreeItem]) -> dict[str, object] | None:
    found: dict[str, object] = {}
    for key in run[0].attributes:
        value = of_index(key, [item.attributes[key] for item in run])
        if value is None and any(item.attributes[key] is not None for item in run):
            return None
        if key == "act" and isinstance(value, str) and value.startswith("$"):
            return None
        found[key] = value
    return found


def _name(run: list[TreeItem]) -> tuple[str, int, str] | None:
    """Return prefix, first number and suffix of names that count upwards: `denselayer1`, `denselayer2` …"""
    parts = [re.fullmatch(r"(.*?)(\d+)(\D*)", item.name or "") for item in run]
    found = [(part[1], int(part[2]), part[3]) for part in parts if part and not (part[2][0] == "0" and part[2] != "0")]
    if len(found) < len(run) or len({(a, c) for a, _, c in found}) > 1:
        return None
    start = found[0][1]
    return found[0] if [b for _, b, _ in found] == [*range(start, start + len(run))] else None


def _has_index(value: object) -> bool:
    return isinstance(value, str) and value.startswith("$(") and bool(re.search(r"\bi\b", value))


def _joined(run: list[TreeItem], free: bool) -> TreeItem | None:
    attributes = _attributes(run)
    if attributes is None:
        return None
    found = TreeItem(run[0].op, attributes, run[0].inputs, run[-1].outputs, items=run, repeat=len(run))
    found.is_scope, found.exact = run[0].is_scope, run[0].exact
    found.usual = run[0].usual
    found.allow = set().union(*(item.allow for item in run))
    if free:
        return found
    name = _name(run)
    if name is None:
        return None
    prefix, start, suffix = name
    index = f"i + {start}" if start else "i"
    found.name = f"{prefix}$({index}){suffix}"
    found.last = f"{prefix}{start + len(run) - 1}{suffix}"
    found.own_names = len(run)
    return found


def _may_become(scope: TreeItem, item: TreeItem) -> bool:
    plain = item.name is None or item.name == "$(i)"
    return (
        plain
        and scope.op == GROUP
        and len(scope.takes) == 1
        and [*scope.takes] == item.inputs
        and bool(scope.path or scope.name)
    )


def _become(scope: TreeItem, item: TreeItem) -> None:
    """Make a scope that holds nothing but a run of `0`, `1` … the repeated item itself."""
    scope.op, scope.attributes, scope.repeat, scope.items = item.op, item.attributes, item.repeat, item.items
    scope.usual, scope.outputs, scope.is_scope = item.usual, item.outputs, item.is_scope
    scope.by_index = False
    scope.allow = item.allow
