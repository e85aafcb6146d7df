"""Every way in which `cnnc check` can show a spec: each renderer of the product's table, with each option it heeds.

All of it is read from the product: a renderer, or an option of one, that is added there is tried here.
"""

import json
from collections.abc import Callable, Iterator
from inspect import Parameter, signature
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from cnnc.cli import renderers
from cnnc.compiler import Checked

PLAIN = {"depth": None, "wide": False, "sort": None, "batch": None, "brief": False}


def views(renderer: Callable[..., Any]) -> Iterator[dict[str, Any]]:
    """No options, each by itself with every value that it takes, and all of them but `brief`, which hides the rest."""
    kinds = get_type_hints(renderer, localns={"Checked": Checked})
    heeded = [name for name, each in signature(renderer).parameters.items() if each.kind is Parameter.KEYWORD_ONLY]
    values = {name: list(_values(kinds[name])) for name in heeded}
    yield PLAIN
    yield from ({**PLAIN, name: value} for name, each in values.items() for value in each)
    if len(values) > 1:
        yield {**PLAIN, **{name: each[-1] for name, each in values.items() if name != "brief"}}


def _values(kind: Any) -> Iterator[Any]:
    if get_origin(kind) is Literal:
        yield from get_args(kind)
    elif kind is bool:
        yield True
    elif kind is int:
        yield from (1, 3)
    elif get_args(kind):  # a union
        for each in get_args(kind):
            yield from _values(each)
    elif kind is not NoneType:
        raise TypeError(f"which values does an option of {kind} take?")


WAYS = [(format, show, view) for format, show in renderers.RENDERERS.items() for view in views(show)]


def show_every_way(checked: Checked) -> None:
    """Show a check in all ways: something is said of whatever is wrong, and what is for programs can be read."""
    for format, show, view in WAYS:
        shown = show(checked, **view)
        said = "\n".join([*shown.out, *shown.err])
        assert all(f"{each.code}" in said for each in checked.diagnostics), (format, view)
        if format == "json":
            [line] = shown.out
            found = json.loads(line, parse_constant=_refuse)
            assert (found["spec"], found["ok"]) == (checked.path, checked.ok)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
