"""The values that steer an expansion: parameters, conditions, and the rounds of `repeat` and `each`.

In: what the spec says, and the scope it says it in. Out: plain values; raises CnncError for those that cannot be used.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from cnnc.diagnostics import CnncError, Code, Diagnostic, Span
from cnnc.graph.infer import MAX_NODES
from cnnc.graph.scope import UNKNOWN, Scope, fail
from cnnc.spec.expressions import evaluate_value
from cnnc.spec.model import Item
from cnnc.spec.validate import show
from cnnc.spec.value import Value

Report = Callable[[Diagnostic], None]


def evaluate(value: Value, scope: Scope) -> Any:
    """The plain value of a piece of the spec."""
    return evaluate_value(value, scope).plain()


def parameters(
    declared: Mapping[str, Value],
    given: Mapping[str, Value],
    around: Mapping[str, object],
    report: Report,
    unknown: Collection[str] = (),
) -> dict[str, object]:
    """The values of parameters: what is given, or the default, which may speak of the parameters before it.

    Those that are `unknown` already, and those whose default fails, are UNKNOWN.
    """
    lookup = Scope("", dict(around), {})
    for name, default in declared.items():
        try:
            value = given[name].plain() if name in given else evaluate(default, lookup)
        except CnncError as error:
            report_all(error, default.span, report)
            value = UNKNOWN
        lookup.variables[name] = UNKNOWN if name in unknown else value
    return {name: lookup.variables[name] for name in declared}


def attributes(item: Item, scope: Scope, report: Report) -> tuple[Value, frozenset[str]]:
    """The attributes of an item, their expressions evaluated, and the names of those that have no value."""
    assert isinstance(item.attributes.data, dict)
    known: dict[str, Value] = {}
    for name, value in item.attributes.data.items():
        try:
            known[name] = evaluate_value(value, scope)
        except CnncError as error:
            report_all(error, value.span, report)
    missing = frozenset(item.attributes.data.keys() - known.keys())
    return Value(known, item.attributes.span, item.attributes.keys), missing


def report_all(error: CnncError, span: Span, report: Report) -> None:
    """Report an error's diagnostics; one without a place of its own stands at `span`."""
    for diagnostic in error.diagnostics:
        report(diagnostic if diagnostic.span else replace(diagnostic, span=span))


def condition(value: Value, scope: Scope) -> bool:
    """What a `when` says."""
    found = evaluate(value, scope)
    if not isinstance(found, bool):
        fail(
            Code.BAD_ATTRIBUTE,
            f"`when` must be true or false, got {show(found)}",
            value,
            "compare it: `$(stride != 1)`",
        )
    return found


def indices(item: Item, scope: Scope) -> Iterator[dict[str, object]]:
    """`i` and `n` for every instance of a repeated item."""
    assert item.repeat is not None
    count = evaluate(item.repeat, scope)
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        fail(
            Code.BAD_REPEAT,
            f"`repeat` must be an integer of at least 1, got {show(count)}",
            item.repeat,
            "leave a node out with `when: false`",
        )
    if count > MAX_NODES:
        fail(
            Code.TOO_MANY_NODES,
            f"`repeat: {count}` makes more than {MAX_NODES:,} nodes",
            item.repeat,
            "repeat it less often",
        )
    return ({"i": index, "n": count} for index in range(count))


def round_names(item: Item) -> tuple[str, ...]:
    """The variables that differ from round to round of an `each`."""
    over = item.attributes.at("over").data
    return ("i", "n", *(over if isinstance(over, dict) else ()))


def rounds(item: Item, scope: Scope) -> list[dict[str, object]]:
    """The variables of every round of an `each`."""
    over = evaluate_value(item.attributes.at("over"), scope)
    if (
        not isinstance(over.data, dict)
        or not over.data
        or not all(isinstance(each.data, tuple) for each in over.data.values())
    ):
        fail(
            Code.BAD_REPEAT, "`over` must be a mapping of names to lists", over, "for example `over: {out: [64, 128]}`"
        )
    columns = over.plain()
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"`{name}` has {length}" for name, length in lengths.items())
        fail(Code.BAD_REPEAT, f"the lists of `over` differ in length: {told}", over, "give each as many entries")
    count = next(iter(lengths.values()))
    if not count:
        fail(Code.BAD_REPEAT, "the lists of `over` are empty", over, "give each at least one entry")
    rows = zip(*columns.values(), strict=True)
    return [{**dict(zip(columns, row, strict=True)), "i": index, "n": count} for index, row in enumerate(rows)]
