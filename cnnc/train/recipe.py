"""The recipe of a run: the spec's recipe, with the fields that the command line overrides.

Takes `graph.train` and plain values by field, and returns a `Train`. A resumed run keeps the recipe with which it
started; fields that determine the order of examples or the optimizer's state cannot change.
"""

from collections.abc import Mapping
from math import isfinite
from typing import Any

from cnnc.diagnostics import CnncError, Code, Diagnostic
from cnnc.formatting.pieces import Leaf
from cnnc.formatting.spelling import spell, spell_key
from cnnc.language.recipe import Train
from cnnc.language.validate import show, validate
from cnnc.text.python_data import overrides
from cnnc.text.value import Value

SHOWN = ("batch", "epochs", "optimizer", "lr", "schedule")  # even if they are the default
FIXED = (
    "data",
    "masks",
    "shuffle_buffer",
    "loss",
    "limit",
    "val_split",
    "batch",
    "accumulate",
    "optimizer",
    "seed",
    "sampler",
    "ema",
    "best",
    "init",
    "fresh",
    "freeze",
    "lr_scale",
    "lr_decay",
)


def merged_recipe(written: Train | None, given: Mapping[str, Any]) -> Train:
    """Return the recipe with the fields in `given`, of which None stands for the default; raises E203."""
    for name, value in given.items():
        if isinstance(value, float) and not isfinite(value):
            raise CnncError.of(Code.BAD_VALUE, f"`{name}` of the recipe must be a finite number, got {value}")
    base = written.model_dump(exclude_unset=True) if written else {}
    values = overrides({name: value for name, value in {**base, **given}.items() if value is not None})
    found: list[Diagnostic] = []
    span = next(iter(values.values())).span if values else None
    if span is None:
        return Train.model_validate({})
    result = validate(Train, Value(values, span, {}), "the recipe", found.append)
    if result is None:
        raise CnncError(Diagnostic(each.code, each.message, help=each.help) for each in found)
    return result


def resumed_recipe(began: Train, given: Mapping[str, Any]) -> Train:
    """Return the recipe of a resumed run; raises E512 for a change of a fixed field, E203."""
    result = merged_recipe(began, given)
    for name in FIXED:
        before, now = getattr(began, name), getattr(result, name)
        if before != now:
            raise CnncError.of(
                Code.CANNOT_RESUME,
                f"the run started with `{name}: {show(before)}`, and cannot continue with {show(now)}",
                help="leave the option out to continue, or leave out `--resume` to start again",
            )
    return result


def as_line(recipe: Train) -> str:
    """Return the recipe on one line, as in a spec; fields that are the default are left out, except those in SHOWN."""
    fields = Train.model_fields
    changed = {name: value for name, value in recipe.model_dump().items() if value != fields[name].default}
    return f"train: {_flow({name: getattr(recipe, name) for name in fields if name in (*SHOWN, *changed)})}"


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        entries = (f"{spell_key(key, in_flow=True)}: {_flow(item)}" for key, item in value.items())
        return f"{{{', '.join(entries)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    return spell(Leaf(value), in_flow=True)
