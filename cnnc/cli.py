"""The command line: one thin function a command. Exit codes: 0 fine, 1 a spec (a file, a model) is wrong, 2 the call is wrong."""

import json
import os
import sys
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from cnnc.diagnostics import CnncError, Code, Diagnostic
from cnnc.report import as_github, as_json, render

app = typer.Typer(
    name="cnnc",
    help="Compile specs of convolutional networks: check their shapes, build torch and ONNX files, run them on pictures.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
)


class Format(StrEnum):
    """How a command answers."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"


SPEC = Annotated[str, typer.Argument(help="A spec, YAML or JSON; - reads standard input.")]
SET = Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Set a parameter of the spec; may be repeated.")]


@app.command()
def check(
    specs: Annotated[list[str], typer.Argument(help="Specs, folders or globs; - reads standard input.")],
    set: SET = None,
    depth: Annotated[int | None, typer.Option(min=1, help="Fold blocks below this many levels into one row each.")] = None,
    format: Annotated[Format, typer.Option(help="A table, one JSON line a spec, or GitHub annotations.")] = Format.TEXT,
) -> None:
    """Prove specs without running them: a table a node a row, or every mistake with its place."""
    from cnnc.compiler import check as prove
    from cnnc.spec.find import find_specs

    parameters = _parameters(set)
    paths = find_specs(specs)
    fine = True
    for path in paths:
        checked = prove(path, set=parameters)
        fine = fine and checked.ok
        if any(each.code == Code.UNKNOWN_PARAM for each in checked.diagnostics):
            _usage(each.message for each in checked.diagnostics if each.code == Code.UNKNOWN_PARAM)
        if format is Format.JSON:
            typer.echo(json.dumps(checked.as_json(), ensure_ascii=False))
        elif format is Format.GITHUB:
            for each in checked.diagnostics:
                typer.echo(as_github(each))
        else:
            show(checked.diagnostics)
            typer.echo(checked.as_text(depth, brief=len(paths) > 1 and depth is None), err=not checked.ok)
    raise typer.Exit(0 if fine else 1)


@app.command()
def explain(code: Annotated[str, typer.Argument(help="A code such as E301.")]) -> None:
    """Print the page about a diagnostic's code."""
    known = {each.value: each for each in Code}
    if code.upper() not in known:
        raise typer.BadParameter(f"there is no code {code}; there are {', '.join(known)}")
    typer.echo(known[code.upper()].page.rstrip())


def _parameters(given: Iterable[str] | None) -> dict[str, Any]:
    """The values of `--set NAME=VALUE`, read as the spec would read them."""
    from cnnc.spec.given import parse_setting

    try:
        return dict(parse_setting(text) for text in given or ())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--set") from None


def show(diagnostics: Iterable[Diagnostic]) -> None:
    """Print diagnostics for a person, on standard error."""
    color = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    for each in diagnostics:
        typer.echo(render(each, color=color), err=True)
        typer.echo(err=True)


def _usage(messages: Iterable[str]) -> None:
    for message in messages:
        typer.echo(f"error: {message}", err=True)
    raise typer.Exit(2)


def main() -> None:
    """The entry point: what a user got wrong is said without a traceback."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        app()
    except CnncError as error:
        show(error.diagnostics)
        sys.exit(1)
    except BrokenPipeError:
        # whoever read our output has enough; Python would complain once more while it closes the stream
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
