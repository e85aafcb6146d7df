"""The recipe of a run: the spec's, with what the command line says in its place.

In: `graph.train` and plain values by field. Out: a `Train`. A run that is resumed keeps the recipe that it began with;
what decides the order of examples or the optimizer's memory cannot change then.
"""

from collections.abc import Mapping
from math import isfinite
from typing import Any

from cnnc.diagnostics import CnncError, Code, Diagnostic
from cnnc.language.model import Train
from cnnc.language.validate import show, validate
from cnnc.text.python_data import overrides
from cnnc.text.value import Value

FIXED = ("data", "limit", "val_split", "batch", "accumulate", "optimizer", "seed", "init")


def recipe(written: Train | None, given: Mapping[str, Any]) -> Train:
    """The recipe with the fields that are `given` (and not None); raises E203."""
    for name, value in given.items():
        if isinstance(value, float) and not isfinite(value):
            raise CnncError.of(Code.BAD_VALUE, f"`{name}` of the recipe must be a finite number, got {value}")
    base = written.model_dump(exclude_unset=True) if written else {}
    values = overrides({**base, **{name: value for name, value in given.items() if value is not None}})
    found: list[Diagnostic] = []
    span = next(iter(values.values())).span if values else None
    if span is None:
        return Train.model_validate({})
    result = validate(Train, Value(values, span, {}), "the recipe", found.append)
    if result is None:
        raise CnncError(Diagnostic(each.code, each.message, help=each.help) for each in found)
    return result


def resumed(began: Train, given: Mapping[str, Any]) -> Train:
    """The recipe that a run goes on with; raises E512 for a change that it cannot take, E203."""
    result = recipe(began, given)
    for name in FIXED:
        before, now = getattr(began, name), getattr(result, name)
        if before != now:
            raise CnncError.of(
                Code.CANNOT_RESUME,
                f"the run began with `{name}: {show(before)}`, and cannot go on with {show(now)}",
                help="leave the option out to go on, or leave out `--resume` to begin anew",
            )
    return result
