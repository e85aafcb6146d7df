"""Collects the explicit names of all items in a scope before the first item is expanded.

Takes the items and their scope with its inputs; records the names in the scope. Default names avoid the explicit names
in the whole scope, and a `from` waits for a name that is further down.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

from cnnc.diagnostics import CnncError
from cnnc.expand.infer_node import MAX_FRUITLESS
from cnnc.expand.parameters import by_instance, condition, evaluate, indices, named_by_round, rounds
from cnnc.expand.scope import Scope
from cnnc.language.model import Item


def look_ahead(items: Iterable[Item], scope: Scope) -> None:
    """Enter the names into the scope's table."""
    reserved: set[str] = set()
    ahead: Counter[str] = Counter()
    room = MAX_FRUITLESS  # if it is used up, the expansion stops as well
    for name, there in _given(items, scope):
        room += 1 if there else -1
        if name:
            ahead[name] += 1
        if there:
            reserved.add(name)
        if not room:
            break
    scope.local.reserved, scope.local.ahead = frozenset(reserved), ahead


def _given(items: Iterable[Item], scope: Scope) -> Iterator[tuple[str, bool]]:
    """Yield each name, and whether its item is present as far as is known; yields "" once per item."""
    for item in items:
        if _gives_names(item):
            yield "", False
            try:
                yield from _given_by(item, scope)
            except CnncError:
                continue  # reported when the item is expanded


def _given_by(item: Item, scope: Scope) -> Iterator[tuple[str, bool]]:
    there = item.when is None or by_instance(item, item.when) or _is_there(item, scope)
    if item.op == "each" and item.name is None:
        if there and item.body is not None:
            for variables in rounds(item, scope):
                yield from _given(item.body.items, scope.with_variables(variables))
        return
    scopes = [scope]
    if there and item.op == "each" and named_by_round(item):
        scopes = [scope.with_variables(variables) for variables in rounds(item, scope)]
    elif there and by_instance(item, item.name):
        scopes = [scope.with_variables(variables) for variables in indices(item, scope)]
    for inner in scopes:
        name = evaluate(item.name, inner) if item.name is not None else None
        if isinstance(name, str):
            yield name, there


def _is_there(item: Item, scope: Scope) -> bool:
    """The value of `when`; true if it cannot be evaluated from parameters and inputs alone."""
    assert item.when is not None
    try:
        return condition(item.when, scope)
    except CnncError:
        return True


def _gives_names(item: Item) -> bool:
    if item.op == "each" and item.name is None:
        return item.body is not None and any(map(_gives_names, item.body.items))
    return item.name is not None
