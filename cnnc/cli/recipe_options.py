"""The options of `cnnc train` that are fields of its recipe: one for each field, with its type and description.

An option that is left out is None, so that the spec's recipe or the default applies.
"""

from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable
from math import isfinite, nan
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from cnnc.cli.parser import Number, OneOf, Parser
from cnnc.language.recipe import Train

AGAIN = "; may be repeated"


def add_recipe(parser: Parser) -> None:
    """Add an option for each field of a recipe."""
    for name, field in Train.model_fields.items():
        option, description = f"--{name.replace('_', '-')}", field.description or ""
        about = description[0].upper() + description[1:]
        kind = _plain(field.annotation)
        if name == "class_weights":
            parser.option(option, type=_balanced, metavar="<balanced|NUMBER,...>", help=f"{about}.")
        elif name == "batch":
            parser.option(option, type=_batch, metavar="<auto|integer>", help=f"{about}; auto: the most that fit.")
        elif kind is bool:
            parser.switch(option, help=f"{about}.")
        elif get_origin(kind) is list:
            inner = _type(_plain(get_args(kind)[0]))
            parser.option(option, type=inner, repeat=True, metavar="PATTERN", help=f"{about}{AGAIN}.")
        elif get_origin(kind) is dict:
            parser.option(option, type=_scaled, repeat=True, metavar="PATTERN=NUMBER", help=f"{about}{AGAIN}.")
        else:
            parser.option(option, type=_type(kind), help=f"{about}.")


def recipe_fields(given: Namespace) -> dict[str, Any]:
    """Return the fields of the recipe that the command line gives."""
    found = {name: value for name in Train.model_fields if (value := getattr(given, name)) is not None}
    mappings = (name for name, field in Train.model_fields.items() if get_origin(_plain(field.annotation)) is dict)
    return found | {name: dict(found[name]) for name in mappings if name in found}


def swept_fields() -> list[str]:
    """Return the names of the fields that a sweep can vary: all but mappings."""
    return [name for name, field in Train.model_fields.items() if get_origin(_plain(field.annotation)) is not dict]


def _plain(kind: Any) -> Any:
    """Return a type without `None` and without annotations."""
    if get_origin(kind) is Annotated:
        return _plain(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return _plain(next(each for each in get_args(kind) if each is not NoneType))
    return kind


def _type(kind: Any) -> Callable[[str], Any]:
    if get_origin(kind) is Literal:
        return OneOf(get_args(kind))
    kinds: dict[Any, Callable[[str], Any]] = {int: Number(), float: Number(float), str: str}
    return kinds[kind]


def _balanced(text: str) -> str | list[float]:
    """Return `balanced`, or numbers with commas between them."""
    if text == "balanced":
        return text
    try:
        return [float(each) for each in text.split(",")]
    except ValueError:
        raise ArgumentTypeError(f"expected `balanced` or numbers with commas between them, got {text!r}") from None


def _batch(text: str) -> str | float:
    return text if text == "auto" else Number()(text)


def _scaled(text: str) -> tuple[str, float]:
    """Return the pattern and the factor of `PATTERN=NUMBER`."""
    pattern, _, number = text.rpartition("=")
    try:
        factor = float(number)
    except ValueError:
        factor = nan
    if not pattern or not isfinite(factor):
        raise ArgumentTypeError(f"expected PATTERN=NUMBER, got {text!r}")
    return pattern, factor
