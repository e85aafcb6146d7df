"""`cnnc diff`: what a change of a spec does to its network."""

import json
from enum import StrEnum
from typing import Annotated, Any

import typer

from cnnc.cli.options import parameters
from cnnc.diagnostics import CnncError, Diagnostic
from cnnc.graph.graph import Graph


class Answer(StrEnum):
    """How `diff` answers."""

    TEXT = "text"
    MARKDOWN = "markdown"
    JSON = "json"


SPEC_HELP = "A spec, or REV:path for that of a git revision; - reads standard input."


def diff(
    old: Annotated[str, typer.Argument(help=SPEC_HELP)],
    new: Annotated[str, typer.Argument(help="The same for the other side.")],
    set: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Set a parameter of both; may be repeated.")
    ] = None,
    set_old: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="Set a parameter of OLD.")] = None,
    set_new: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="Set a parameter of NEW.")] = None,
    format: Annotated[Answer, typer.Option(help="A table, Markdown for a pull request, or JSON.")] = Answer.TEXT,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 1 where anything differs.")] = False,
) -> None:
    """Compare two networks: nodes added, removed and changed, and what that costs."""
    from cnnc.graph import diff_report
    from cnnc.graph.diff import compare

    if old == new == "-":
        raise typer.BadParameter("standard input can be one of the two", param_hint="NEW")
    found = compare(*_load_both((old, parameters(set, set_old)), (new, parameters(set, set_new))))
    if format is Answer.JSON:
        typer.echo(json.dumps({"old": old, "new": new, **diff_report.as_json(found)}))
    elif format is Answer.MARKDOWN:
        typer.echo(diff_report.markdown(found, old, new))
    else:
        typer.echo(diff_report.table(found))
    raise typer.Exit(1 if exit_code and not found.same else 0)


def _load_both(*sides: tuple[str, dict[str, Any]]) -> list[Graph]:
    """Both graphs; what is wrong with either is said at once."""
    from cnnc.compiler import load
    from cnnc.spec.revision import at_revision

    graphs: list[Graph] = []
    faults: dict[str, Diagnostic] = {}
    for spec, given in sides:
        try:
            with at_revision(spec) as path:
                graphs.append(load(path, set=given))
        except CnncError as error:
            faults |= {str(each): each for each in error.diagnostics}
    if faults:
        raise CnncError(faults.values())
    return graphs
