"""The items of a scope as plain data: the list under `nodes` of a spec, a block or a group.

Takes items and the inputs of their scope. Leaves out every name and `from` that the language's defaults already give.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from cnnc.graph.graph import Ref
from cnnc.language.names import TAKEN, numbered
from cnnc.recover.attributes import without_defaults
from cnnc.recover.fits import PerRound
from cnnc.recover.tree import GROUP, TreeItem

Plain = dict[str, Any]


class Listed(NamedTuple):
    """The `nodes` of a scope, and the names of its values in it."""

    nodes: list[Any]
    spelt: dict[Ref, str]
    names: list[str]
    last: Ref | None


def body(
    items: list[TreeItem], inputs: Mapping[Ref, str], shown: Iterable[Ref] = (), *, by_index: bool = False
) -> Listed:
    """Return the plain form of a scope's items; `shown` are the values that its `outputs` name."""
    only = next(iter(inputs)) if len(inputs) == 1 else None
    implied = _implied(items, only)
    last = _output(items[-1]) if items else only
    named = {ref for ref in shown if ref != last}
    named |= {ref for item, at in zip(items, implied, strict=True) for ref in (item.used if not at else _likes(item))}
    shared = {id(item.share[0]) for item in items if isinstance(item.share, tuple)}
    names, explicit = _names(items, named, shared, inputs.values(), by_index)
    spelt = dict(inputs)
    for item, name in zip(items, names, strict=True):
        spelt |= {ref: f"{item.last or name}.{port}".rstrip(".") for ref, port in item.outputs.items()}
    of = {id(item): name for item, name in zip(items, names, strict=True)}
    first = next(iter(inputs.values()))
    nodes = []
    for at, item in enumerate(items):
        sources = [spelt[ref] for ref in item.inputs] if not implied[at] else []
        if not item.inputs and item.is_scope and _before(items, at, only) is None:
            sources = [first]
        counts_on = by_index and names[0] in ("0", "$(i)") and _counts_on(items, at)
        given = "$i" if counts_on else names[at]
        nodes.append(_item(item, given if at in explicit else None, sources, spelt, of))
    return Listed(nodes, spelt, names, last)


def _counts_on(items: list[TreeItem], at: int) -> bool:
    """Whether the instances of a repeated item have the next indices as their names."""
    start = sum(item.positions for item in items[:at])
    return items[at].repeat is not None and items[at].name == (f"$(i + {start})" if start else "$(i)")


def _likes(item: TreeItem) -> list[Ref]:
    return [item.like] if item.like else []


def _output(item: TreeItem) -> Ref | None:
    """The value that a node after an item takes by default."""
    return next(iter(item.outputs)) if [*item.outputs.values()] == [""] else None


def _before(items: list[TreeItem], at: int, only: Ref | None) -> Ref | None:
    return _output(items[at - 1]) if at else only


def _implied(items: list[TreeItem], only: Ref | None) -> list[bool]:
    """Whether each item needs no `from`."""
    return [not item.inputs or item.inputs == [_before(items, at, only)] for at, item in enumerate(items)]


# -- names


def _names(
    items: list[TreeItem], named: set[Ref], shared: set[int], inputs: Iterable[str], by_index: bool
) -> tuple[list[str], set[int]]:
    """Return the name of each item, and the positions of those that have to be written."""
    needed = {at for at, item in enumerate(items) if item.exact or not named.isdisjoint(item.outputs)}
    needed |= {at for at, item in enumerate(items) if id(item) in shared}
    if any(item.when for item in items):  # default names depend on which items are there
        _name_needed(items, named)
    wanted = _distinct({at: name for at in sorted(needed) if (name := items[at].name)}, items, set(inputs))
    explicit = {at for at, name in wanted.items() if not _may_be_default(name, items[at], by_index)}
    explicit |= {at for at in wanted if items[at].when and not named.isdisjoint(items[at].outputs)}
    optional = [item.op if item.when and not by_index else "" for item in items]
    explicit |= {at for at in wanted if items[at].op in optional[:at]}  # the default name would depend on that item
    while True:
        reserved = {wanted[at] for at in explicit} | set(inputs)
        names = _claimed(items, {at: wanted[at] for at in explicit}, reserved, by_index)
        wrong = {at for at, name in wanted.items() if names[at] != name}
        if not wrong:
            return names, explicit
        explicit |= wrong


def _name_needed(items: list[TreeItem], named: set[Ref]) -> None:
    """Give a name to what others refer to: the branches of the item that joins them."""
    for item in items:
        users = [each for each in items if not item.outputs.keys().isdisjoint(each.used)]
        if not item.name and not named.isdisjoint(item.outputs):
            is_sum = bool(users) and users[-1].op == "add"
            item.name = "shortcut" if item.when else "main" if is_sum else "branch1"


def _distinct(wanted: dict[int, str], items: list[TreeItem], taken: set[str]) -> dict[int, str]:
    """Return the names with those changed that are given twice; the names of exact items come first."""
    found: dict[int, str] = {}
    for at in sorted(wanted, key=lambda at: not items[at].exact):
        name = base = wanted[at]
        count = 1
        while name in taken or (items[at].repeat is not None and name in TAKEN["a node"]):
            count += 1
            name = numbered(base, count)
        taken.add(name)
        found[at] = name
    return found


def _may_be_default(name: str, item: TreeItem, by_index: bool) -> bool:
    return name.isdigit() if by_index else bool(re.fullmatch(rf"{item.op}(_\d+)?", name))


def _claimed(items: list[TreeItem], explicit: Mapping[int, str], reserved: set[str], by_index: bool) -> list[str]:
    """Return the names that the items get if these are written, as `expand.scope.Names` gives them."""
    counts: Counter[str] = Counter()
    given: set[str] = set()
    position, names = 0, []

    def default(op: str) -> str:
        while True:
            counts[op] += 1
            name = op if counts[op] == 1 else f"{op}_{counts[op]}"
            if name not in given and name not in reserved and name not in TAKEN["a node"]:
                return name

    for at, item in enumerate(items):
        name = explicit.get(at) or (str(position) if by_index else default(item.op))
        given.add(name)
        names.append(name)
        for act in range(item.acts):
            given.add(str(position + 1 + act) if by_index else default(item.attributes["act"]))
        position += item.positions
    return names


# -- items


def _item(item: TreeItem, name: str | None, sources: list[str], spelt: Mapping[Ref, str], of: Mapping[int, str]) -> Any:
    found: Plain = {"name": name} if name else {}
    if sources:
        found["from"] = sources if len(sources) > 1 else sources[0]
    if item.repeat is not None:
        found["repeat"] = item.repeat
    if item.op == GROUP:
        found |= scope(item)
    else:
        plain = {key: str(each) if isinstance(each, PerRound) else each for key, each in item.attributes.items()}
        written = without_defaults(item.op, plain)
        found |= {key: value for key, value in written.items() if key not in item.usual or item.usual[key] != value}
    if item.like:
        found["like"] = spelt[item.like]
    if item.share is not None:
        found["share"] = _shared(item.share, of)
    if item.when is not None:
        found["when"] = item.when
    if item.allow:
        found["allow"] = sorted(item.allow) if len(item.allow) > 1 else next(iter(item.allow))
    if "nodes" in found:
        found["nodes"] = found.pop("nodes")
    return {item.op: found} if found else item.op


def _shared(share: "tuple[TreeItem, str] | bool", of: Mapping[int, str]) -> Any:
    return f"{of[id(share[0])]}.{share[1]}".rstrip(".") if isinstance(share, tuple) else share


def _inputs(item: TreeItem) -> dict[Ref, str]:
    """Return the inputs of a scope, which has one at least, with names that none of its exact items has."""
    inputs = item.takes or {Ref(""): "input"}
    if not any(each.exact and each.name in inputs.values() for each in item.items):
        return inputs
    taken = {each.name for each in item.items}
    names = (name for at in range(len(inputs) + len(taken)) if (name := f"x{at + 1}") not in taken)
    return {ref: next(names) for ref in inputs}


def scope(item: TreeItem) -> Plain:
    """Return the keys of a group or a block: inputs, outputs, names and nodes."""
    inputs = _inputs(item)
    inner = body(item.items, inputs, item.outputs, by_index=item.by_index)
    found: Plain = {}
    if [*inputs.values()] != ["input"]:
        found["inputs"] = [*inputs.values()]
    if len(item.outputs) > 1:
        found["outputs"] = {port: inner.spelt[ref] for ref, port in item.outputs.items()}
    elif [*item.outputs] != [inner.last]:
        found["outputs"] = inner.spelt[next(iter(item.outputs))]
    if item.by_index:
        found["names"] = "index"
    return {**found, "nodes": inner.nodes}
