"""What the items of a scope will be called, known before the first of them has its turn.

In: items, and the scope with its inputs. Out: the names that they are given outright. A default name keeps clear of
those of the items that are there, wherever they stand; a `from` waits for a name that is still to come.
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
    room = MAX_FRUITLESS  # where it ends the expansion ends as well
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
    """Every name with whether its item is there, as far as parameters and inputs tell; "" for each item looked at."""
    for item in items:
        if _gives_names(item):
            yield "", False
            try:
                yield from _given_by(item, scope)
            except CnncError:
                continue  # it is reported when the item has its turn


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
    """What `when` says, where parameters and inputs can tell; an item of which they cannot is taken to be there."""
    assert item.when is not None
    try:
        return condition(item.when, scope)
    except CnncError:
        return True


def _gives_names(item: Item) -> bool:
    if item.op == "each" and item.name is None:
        return item.body is not None and any(map(_gives_names, item.body.items))
    return item.name is not None
