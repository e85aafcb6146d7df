"""How a check is shown: one table of formats, from which the command line has its choices and the tests their rounds.

In: a `Checked`, and all options of `cnnc check` that say what is shown; a renderer names those that it heeds. Out: the
lines for standard output and for standard error. Nothing is printed here.
"""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from cnnc.diagnostics.render import as_github, for_terminal

if TYPE_CHECKING:
    from cnnc.compiler import Checked

Order = Literal["macs", "params", "memory"]
ORDERS: tuple[Order, ...] = get_args(Order)


class Shown(NamedTuple):
    """The lines that tell of one check."""

    out: list[str]
    err: list[str]


def _as_text(
    checked: "Checked", *, depth: int | None, wide: bool, sort: Order | None, batch: int | None, brief: bool
) -> Shown:
    """Diagnostics, and a table; `brief` is for one spec among several, which has a line instead."""
    told = for_terminal(checked.diagnostics)
    text = checked.as_text(depth, brief=brief, wide=wide, sort=sort, batch=batch)
    return Shown([text], told) if checked.ok else Shown([], [*told, text])


def _as_json(checked: "Checked", *, batch: int | None, **_: object) -> Shown:
    return Shown([json.dumps(checked.as_json(batch or 1))], [])


def _as_github(checked: "Checked", **_: object) -> Shown:
    return Shown([as_github(each) for each in checked.diagnostics], [])


RENDERERS: dict[str, Callable[..., Shown]] = {"text": _as_text, "json": _as_json, "github": _as_github}


def told_of_failure(format: str, path: str, error: Exception) -> list[str]:
    """What programs that read standard output learn of a spec on which cnnc itself failed."""
    from cnnc.compiler import Checked

    if format != "json":
        return []
    line = Checked(path, None, ()).as_json()
    return [json.dumps({**line, "ok": False, "internal_error": f"{type(error).__name__}: {error}"})]
