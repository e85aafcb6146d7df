"""Evaluates the values that control an expansion: parameters, attributes, conditions, `repeat` and `each`.

Takes parts of a spec and their scope; returns plain values. Raises CnncError for invalid ones.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from cnnc.diagnostics import CnncError, Code
from cnnc.expand.limits import MAX_NODES
from cnnc.expand.scope import UNKNOWN, Scope, fail
from cnnc.expressions.strings import as_expression, evaluate_value, is_expression, variables
from cnnc.language.model import Item
from cnnc.language.names import COUNTERS
from cnnc.language.validate import show
from cnnc.text.value import Value

Variables = dict[str, object]


def evaluate(value: Value, scope: Scope) -> Any:
    """The plain value of a part of the spec."""
    if isinstance(value.data, str) and not is_expression(value.data):
        return value.data
    return evaluate_value(value, scope).plain()


def parameters(
    declared: Mapping[str, Value], given: Mapping[str, Value], scope: Scope, unknown: Collection[str] = ()
) -> Variables:
    """The values of parameters: given values, or defaults.

    A default may use the variables of `scope`, the sizes of its inputs, and the parameters before it. `unknown`
    parameters, and those whose default fails, are UNKNOWN.
    """
    found: Variables = {}
    inner = scope.with_variables(found)
    scope.spend(len(declared))
    for name, default in declared.items():
        try:
            value = given[name].plain() if name in given else evaluate(default, inner)
        except CnncError as error:
            scope.report_all(error)
            value = UNKNOWN
        found[name] = UNKNOWN if name in unknown else value
    return found


def attributes(item: Item, scope: Scope) -> tuple[Value, frozenset[str]]:
    """The attributes of an item with expressions evaluated, and the names of those that failed."""
    assert isinstance(item.attributes.data, dict)
    known: dict[str, Value] = {}
    changed = False
    for name, value in item.attributes.data.items():
        try:
            known[name] = evaluate_value(value, scope)
            changed = changed or known[name] is not value
        except CnncError as error:
            scope.report_all(error)
            changed = True
    if not changed:
        return item.attributes, frozenset()
    missing = frozenset(item.attributes.data.keys() - known.keys())
    return Value(known, item.attributes.span, item.attributes.keys), missing


def condition(value: Value, scope: Scope) -> bool:
    """The value of a `when`; raises E208 if it is not a boolean."""
    found = evaluate(value, scope)
    if not isinstance(found, bool):
        message = f"`when` must be true or false, got {show(found)}"
        fail(Code.BAD_ATTRIBUTE, message, value, _as_condition(found, scope))
    return found


def _as_condition(found: object, scope: Scope) -> str:
    """A help line for a `when` that is not a boolean."""
    if not isinstance(found, str):
        return "compare it: `$(stride != 1)`"
    if written := as_expression(found, scope.knows):
        return f"write `when: {written}`"
    word = {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(found.lower(), found.lower())
    is_word = word in ("true", "false")
    return f"write `when: {word}`" if is_word else "write an expression as $(…): `when: $(stride != 1)`"


def indices(item: Item, scope: Scope) -> Iterator[Variables]:
    """The variables `i` and `n` for every instance of a repeated item."""
    assert item.repeat is not None
    count = evaluate(item.repeat, scope)
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        message = f"`repeat` must be an integer of at least 1, got {show(count)}"
        is_zero = count == 0 and count is not False
        written = as_expression(count, scope.knows) if isinstance(count, str) else None
        way_out = "leave the node out with `when: false`" if is_zero else f"for example `repeat: {written or 3}`"
        fail(Code.BAD_REPEAT, message, item.repeat, way_out)
    if count > MAX_NODES:
        message = f"`repeat: {count:,}` makes more than {MAX_NODES:,} nodes"
        fail(Code.TOO_MANY_NODES, message, item.repeat, "repeat it less often")
    scope.spend(2 * count)
    return ({"i": index, "n": count} for index in range(count))


def instances(item: Item, scope: Scope) -> list[Scope]:
    """The scope of each instance of a repeated item, without instances that are left out."""
    scopes = [scope.with_variables(variables) for variables in indices(item, scope)]
    if item.when is None or not by_instance(item, item.when):
        return scopes
    return [inner for inner in scopes if condition(item.when, inner)]


def rounds(item: Item, scope: Scope) -> list[Variables]:
    """The variables of every round of an `each`."""
    over = evaluate_value(item.attributes.at("over"), scope)
    if (
        not isinstance(over.data, dict)
        or not over.data
        or not all(isinstance(each.data, tuple) for each in over.data.values())
    ):
        texts = (each.data for each in (over.data.values() if isinstance(over.data, dict) else [over]))
        written = (as_expression(text, scope.knows) for text in texts if isinstance(text, str))
        meant = next(filter(None, written), None)
        way_out = (
            f"write an expression with a dollar sign: `{meant}`" if meant else "for example `over: {out: [64, 128]}`"
        )
        fail(Code.BAD_REPEAT, "`over` must be a mapping of names to lists", over, way_out)
    for name in COUNTERS:
        if name in over.data:
            message = f"`{name}` cannot be a name in `over`: `each` counts with it"
            fail(Code.BAD_REPEAT, message, over.keys[name], "rename it")
    columns: dict[str, list[object]] = over.plain()
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        sizes = ", ".join(f"`{name}` has {length}" for name, length in lengths.items())
        fail(
            Code.BAD_REPEAT, f"the lists of `over` differ in length: {sizes}", over, "give all of them the same length"
        )
    count = next(iter(lengths.values()))
    if not count:
        fail(Code.BAD_REPEAT, "the lists of `over` are empty", over, "give each at least one entry")
    rows = zip(*columns.values(), strict=True)
    return [{**dict(zip(columns, row, strict=True)), "i": index, "n": count} for index, row in enumerate(rows)]


def by_instance(item: Item, value: Value | None) -> bool:
    """Whether an attribute of a repeated item depends on the instance."""
    return item.repeat is not None and mentions(value, COUNTERS)


def takes_indices(item: Item, scope: Scope) -> bool:
    """Whether the instances of an item have indices for names: `name: $i` in a scope with `names: index`."""
    return scope.local.by_index and item.name is not None and item.name.data in ("$i", "$(i)")


def named_by_round(item: Item) -> bool:
    """Whether the name of an `each` depends on the round."""
    over = item.attributes.at("over").data
    return mentions(item.name, (*COUNTERS, *(over if isinstance(over, dict) else ())))


def mentions(value: Value | None, names: Iterable[str]) -> bool:
    """Whether a string holds an expression that reads one of these variables."""
    if value is None or not isinstance(value.data, str):
        return False
    return not variables(value.data).isdisjoint(names)
