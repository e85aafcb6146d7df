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

    `free`: whether items without parameters of their own may be renamed, because no path has to be kept.
    """
    uses = Counter(ref for item in scope.items for ref in item.used)
    uses.update([*scope.outputs])
    items: list[TreeItem] = []
    at = 0
    while at < len(scope.items):
        run = _run(scope.items[at:], uses, free)
        found = _joined(run, scope, at, free) if len(run) > 1 else None
        items.append(found or scope.items[at])
        at += len(run) if found else 1
    if len(items) == 1 and len(scope.items) > 1 and _may_become(scope, items[0]):
        _become(scope, items[0])
    else:
        scope.items = items


def _run(items: list[TreeItem], uses: Counter[Ref], free: bool) -> list[TreeItem]:
    """Return the longest run of instances at the start that some expressions fit."""
    first = items[0]
    run = [first]
    if not _may_repeat(first):
        return run
    for item in items[1:]:
        last = [*run[-1].outputs]
        alike = item.op == first.op and _may_repeat(item) and item.attributes.keys() == first.attributes.keys()
        if not alike or item.inputs != last or uses[last[0]] != 1:
            break
        if not free and _name([*run, item]) is None:
            break
        if _attributes([*run, item]) is None:
            break
        run.append(item)
    return run


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


def _joined(run: list[TreeItem], scope: TreeItem, at: int, free: bool) -> TreeItem | None:
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
