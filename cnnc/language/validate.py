"""Validates a mapping against a pydantic model, and reports every error at its place in the text.

Takes a mapping `Value` and a model; returns an instance, or None after one diagnostic for each error. A field of type
`Value` receives the value unchanged; every other field receives plain data.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from cnnc.diagnostics import Advice, Code, Diagnostic, Fix, Report, Span, Write
from cnnc.diagnostics.suggestions import MOST, is_loose, known_as, nearest, respelt
from cnnc.expressions.strings import as_expression
from cnnc.language.part import Part
from cnnc.ops.activation_names import ACTIVATIONS
from cnnc.text.scalars import resolve
from cnnc.text.value import Value

M = TypeVar("M", bound=BaseModel)


class Codes(NamedTuple):
    """The codes for the three kinds of error in a mapping, and the word for its keys."""

    unknown: Code
    missing: Code
    bad: Code
    key: str


NOTHING = ("none", "null", "no", "off", "false", "linear", "identity")  # names for no activation in other frameworks
KEYS = Codes(Code.UNKNOWN_KEY, Code.MISSING_KEY, Code.BAD_VALUE, "key")
ATTRIBUTES = Codes(Code.UNKNOWN_ATTRIBUTE, Code.MISSING_ATTRIBUTE, Code.BAD_ATTRIBUTE, "attribute")


def validate(
    model: type[M],
    value: Value,
    what: str,
    report: Report,
    codes: Codes = KEYS,
    unknown: frozenset[str] = frozenset(),
    knows: Callable[[str], bool] = lambda name: False,
) -> M | None:
    """The instance of `model` that `value` describes, or None after reporting.

    `unknown` holds the keys whose values could not be evaluated, which has been reported. `knows` returns whether a
    name is in scope for expressions.
    """
    if not isinstance(value.data, dict):
        report(Diagnostic(codes.bad, f"{what} must be a mapping, got {show(value.plain())}", value.span))
        return None
    try:
        found = _read(model, value)
    except ValidationError as error:
        details = error.errors(include_url=False)
        probably = meant(model, value)
        for detail in details:
            if detail["type"] != "missing" or detail["loc"][0] not in probably.keys() | unknown:
                report(_diagnose(detail, value, what, codes, model, knows))
        return None
    return None if unknown else found


def salvage(model: type[M], value: Value, what: str, report: Report) -> M | None:
    """Like `validate`, for a model whose fields are all optional: invalid fields are dropped, the rest is kept."""
    found = validate(model, value, what, report)
    if found is not None or not isinstance(value.data, dict):
        return found
    try:
        return _read(model, value)
    except ValidationError as error:
        wrong = {each["loc"][0] for each in error.errors(include_url=False)}
        kept = {key: item for key, item in value.data.items() if key not in wrong}
        return _read(model, Value(kept, value.span, value.keys))


def meant(model: type[BaseModel], value: Value) -> dict[str, str]:
    """The unknown keys of a mapping, by the known keys that they probably mean."""
    keys = value.data if isinstance(value.data, dict) else {}
    names = [field.alias or name for name, field in model.model_fields.items()]
    near = {key: nearest(key, names) for key in islice((key for key in keys if key not in names), MOST)}
    return {name: key for key, name in near.items() if name is not None}


def _read(model: type[M], value: Value) -> M:
    """The instance of `model` that a mapping describes; raises ValidationError."""
    assert isinstance(value.data, dict)
    unread = _unread(model)
    return model.model_validate({key: item if key in unread else item.plain() for key, item in value.data.items()})


@cache
def _unread(model: type[BaseModel]) -> frozenset[str]:
    """The fields that stay a `Value`."""
    return frozenset(name for name, field in model.model_fields.items() if field.annotation in (Value, Value | None))


def show(data: object) -> str:
    """A value in a message: spelt as in a spec, and shortened."""
    if data is None or isinstance(data, bool):
        return {None: "null", True: "true", False: "false"}[data]
    if isinstance(data, list | tuple | Mapping):
        kind = "a mapping" if isinstance(data, Mapping) else "a list"
        text = _flow(data) if len(data) <= 8 else ""
        return text if 0 < len(text) <= 40 else f"{kind} of {len(data)}"
    text = f'"{data}"' if isinstance(data, str) else str(data)
    return text if len(text) <= 40 else f"{text[:36]}…"


def _flow(data: Any) -> str:
    """A small collection as one line of YAML."""
    if isinstance(data, Mapping):
        return f"{{{', '.join(f'{key}: {show(item)}' for key, item in data.items())}}}"
    return f"[{', '.join(map(show, data))}]"


def quote(name: str) -> str:
    """A name in a message, in backticks and shortened."""
    return f"`{name}`" if len(name) <= 64 else f"`{name[:60]}…`"


def _description(model: type[BaseModel], key: str) -> str | None:
    field = model.model_fields.get(key)
    return field.description if field else None


def _diagnose(
    detail: ErrorDetails,
    value: Value,
    what: str,
    codes: Codes,
    model: type[BaseModel],
    knows: Callable[[str], bool],
) -> Diagnostic:
    path, kind = detail["loc"], detail["type"]
    holder, key = value.at(*path[:-1]), str(path[-1]) if path else ""
    inner = len(path) > 1
    owner = f"`{'.'.join(map(str, path[:-1]))}` of {what}" if inner else what
    if kind == "extra_forbidden":
        options = [] if inner else [field.alias or name for name, field in model.model_fields.items()]
        span = holder.keys.get(key, holder.span)
        message = f"{owner} has no {codes.key} {quote(key)}"
        if issubclass(model, Part) and not inner and (way_out := model.instead_of(key, detail["input"])):
            return Diagnostic(codes.unknown, message, span, help=way_out)
        help, fix = respelt(key, span, options)
        taken = isinstance(holder.data, dict) and fix and fix.changes[0][1] in holder.data
        return Diagnostic(codes.unknown, message, span, help=help, fix=None if taken else fix)
    if kind == "missing":
        explanation = f" ({description})" if not inner and (description := _description(model, key)) else ""
        return Diagnostic(codes.missing, f"{owner} needs `{key}`{explanation}", holder.span, help=f"add `{key}: …`")
    spelling = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)[1:]
    found = value.at(*path)  # or, if the text does not have it, what it would be in
    here = found.span
    reason, (way_out, fix) = explain(detail, here)
    if way_out and is_computed(here) and isinstance(detail["input"], float):
        way_out = "`/` always gives a float: divide with `//`, or round with `int(…)`"
    elif isinstance(detail["input"], str):
        if written := as_expression(detail["input"], knows):
            way_out, fix = with_dollar(written, here)
        way_out = way_out or _cut_pair(detail["input"], value)
    message = f"`{spelling}` of {what} {reason}" if spelling else f"{what} {reason}"
    is_written = found.plain() == detail["input"] and not is_computed(here)
    return Diagnostic(codes.bad, message, here, help=way_out, fix=fix if is_written else None)


def is_computed(at: Span) -> bool:
    """Whether the value at a place is the result of an expression there, or has one in it."""
    if at.line == at.end_line:
        return "$" in at.source.line(at.line)[at.column - 1 : at.end_column - 1]
    return any("$" in line for line in at.source.lines[at.line - 1 : at.end_line])


_TRUTHS = {"yes": "true", "on": "true", "true": "true", "1": "true"}
_TRUTHS |= {"no": "false", "off": "false", "false": "false", "0": "false"}
EXPECTED = {
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "a string",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "finite_number": "a finite number",
}


def explain(detail: ErrorDetails, at: Span) -> tuple[str, Advice]:
    """The error in a value, as text that follows the attribute's name, and the advice for the place of the value."""
    kind, got, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind in EXPECTED:
        return f"must be {EXPECTED[kind]}, got {show(got)}", _conversion(EXPECTED[kind], got, at)
    bounds = {
        "greater_than_equal": "at least",
        "greater_than": "more than",
        "less_than_equal": "at most",
        "less_than": "less than",
    }
    if kind in bounds:
        limit = next(iter(context.values()))
        written = f"{limit:,}" if isinstance(limit, int) else f"{limit:g}"
        return f"must be {bounds[kind]} {written}, got {show(got)}", Advice()
    if kind == "literal_error":
        expected = str(context.get("expected", "")).replace("'", "")
        options = expected.replace(" or ", ", ").split(", ")
        return f"must be {expected}, got {show(got)}", _option(str(got), options, at) if len(options) > 1 else Advice()
    if kind == "value_error":
        reason = str(context["error"])
        if isinstance(got, dict):  # the message names the fields that do not fit together
            return reason, Advice()
        return f"{reason}, got {show(got)}", _respelt(reason, got, at)
    return f"is invalid: {detail['msg'][0].lower()}{detail['msg'][1:]}, got {show(got)}", Advice()


def _option(got: str, options: list[str], at: Span) -> Advice:
    """The advice for one of several words; the name of an op of another framework is none of them for certain."""
    from cnnc.language.foreign_ops import help_for

    help, fix = respelt(got, at, options)
    return Advice(help, fix and fix._replace(certain=fix.certain and help_for(got) is None))


def write(written: Any, at: Span) -> Advice:
    """The advice to write a word, a number or a boolean."""
    shown = written if isinstance(written, str) else show(written)
    return Advice(f"write {shown}", Fix((Write(at, written),), certain=True))


def with_dollar(written: str, at: Span, attribute: str = "") -> Advice:
    """The advice to write an expression with its dollar sign."""
    return Advice(
        f"write an expression with a dollar sign: `{attribute}{written}`", Fix((Write(at, written),), certain=True)
    )


def activation_advice(got: str, at: Span) -> Advice:
    """The advice for an unknown activation."""
    return _option(got, list(ACTIVATIONS), at)


def _respelt(wanted: str, got: Any, at: Span) -> Advice:
    """The advice with the correct spelling of a value: same for `Same`, 3 for "3", [3, 3] for `(3, 3)` and `3x3`."""
    if isinstance(got, str):
        options = re.findall(r"\w+", wanted)
        if got.lower() in options:
            return write(got.lower(), at)
        if wanted.startswith("must be one of"):
            return Advice("remove the node") if got.lower() in NOTHING else _option(got, options[4:], at)
        numbers = re.findall(r"-?\d+", got)
        if len(numbers) > 1 and "[" in wanted and re.fullmatch(r"[-\d\s,;x×()]+", got):
            certain = len(numbers) == 2 and "-" not in got
            fix = Fix((Write(at, [int(each) for each in numbers]),), certain)
            return Advice(f"write [{', '.join(numbers)}]", fix)
        if near := known_as(got, options):
            return Advice(f"did you mean `{near}`?", Fix((Write(at, near),), certain=not is_loose(got)))
    return _conversion("an integer", got, at)


def _cut_pair(text: str, value: Value) -> str | None:
    """A help line for the first half of `{kernel: (5, 5)}`, which YAML splits at the comma."""
    keys = value.data if isinstance(value.data, dict) else {}
    rest = next((key for key in keys if re.fullmatch(r"-?\d+\)", key)), None)
    found = re.fullmatch(r"\((-?\d+)", text)
    return f"write a list in square brackets: `[{found[1]}, {rest[:-1]}]`" if found and rest else None


def _conversion(wanted: str, got: Any, at: Span) -> Advice:
    """The advice that converts a value to the expected type; empty if there is no obvious conversion."""
    if wanted == "true or false" and str(got).lower() in _TRUTHS:
        return write(_TRUTHS[str(got).lower()] == "true", at)
    if wanted == "an integer" and isinstance(got, float) and got.is_integer() and abs(got) < 2**53:
        return write(int(got), at)
    if wanted in ("an integer", "a number") and isinstance(got, str) and got.lstrip("+-").replace(".", "", 1).isdigit():
        help, number = f"write {got} without the quotes", _number(got)
        return Advice(help, None if number is None else Fix((Write(at, number),), certain=True))
    return Advice()


def _number(text: str) -> int | float | None:
    """The number that a spec reads in a text; None if it reads none."""
    try:
        found = resolve(text)
    except ValueError:
        return None
    return found if isinstance(found, int | float) and text.isascii() else None
