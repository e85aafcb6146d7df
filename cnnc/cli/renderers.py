"""Output formats of `cnnc check`: text, JSON and GitHub annotations. `RENDERERS` is the table of them.

A renderer takes a `Checked` and the display options of `cnnc check`, and names those that it uses. It returns the lines
for standard output and standard error, and prints nothing itself.
"""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from cnnc.diagnostics.render import as_github, for_terminal

if TYPE_CHECKING:
    from cnnc.compiler import Checked

Order = Literal["macs", "params", "memory"]
ORDERS: tuple[Order, ...] = get_args(Order)


class Shown(NamedTuple):
    """The output lines of one check."""

    out: list[str]
    err: list[str]


def _as_text(
    checked: "Checked", *, depth: int | None, wide: bool, sort: Order | None, batch: int | None, brief: bool
) -> Shown:
    """Return the diagnostics and a table; `brief`, for one spec among several, replaces the table by a line.

    Paths are shortened to fit a terminal, but not for other programs.
    """
    diagnostics = for_terminal(checked.diagnostics)
    whole = not sys.stdout.isatty()
    text = checked.as_text(depth, brief=brief, wide=wide, sort=sort, batch=batch, whole=whole)
    return Shown([text], diagnostics) if checked.ok else Shown([], [*diagnostics, text])


def _as_json(checked: "Checked", *, batch: int | None, **_: object) -> Shown:
    import json  # a check in text does not need it

    return Shown([json.dumps(checked.as_json(batch or 1))], [])


def _as_github(checked: "Checked", **_: object) -> Shown:
    return Shown([as_github(each) for each in checked.diagnostics], [])


REPORTS = ("sarif", "junit", "gitlab")
"""Formats of one document for all specs, which `cnnc.cli.reports` makes; other checks need not import it."""

RENDERERS: dict[str, Callable[..., Shown]] = {"text": _as_text, "json": _as_json, "github": _as_github}


def failure_lines(format: str, path: str, error: Exception) -> list[str]:
    """Return the lines for standard output about a spec on which cnnc itself failed."""
    import json

    from cnnc.compiler import Checked

    if format != "json":
        return []
    line = Checked(path, None, ()).as_json()
    return [json.dumps({**line, "ok": False, "internal_error": f"{type(error).__name__}: {error}"})]
