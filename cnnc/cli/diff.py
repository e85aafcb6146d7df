"""`cnnc diff`: compare the networks of two specs, or of two versions of a spec."""

import json
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from cnnc.cli.options import add_set, parameters
from cnnc.cli.parser import OneOf, Parser, WrongCall
from cnnc.diagnostics import CnncError, Diagnostic

if TYPE_CHECKING:
    from cnnc.graph.graph import Graph


def add_options(parser: Parser) -> None:
    """Add the arguments and options of `cnnc diff`."""
    parser.argument("old", "The old spec, or REV:PATH for its version in a git revision; - reads standard input.")
    parser.argument("new", "The new spec, in the same forms.")
    add_set(parser, help="Set a parameter of both specs; may be repeated.")
    add_set(parser, "--set-old", "Set a parameter of OLD; may be repeated.")
    add_set(parser, "--set-new", "Set a parameter of NEW; may be repeated.")
    parser.option(
        "--format",
        type=OneOf(("text", "markdown", "json")),
        default="text",
        help="A table, Markdown for a pull request, or JSON.",
    )
    parser.flag("--exit-code", help="Exit with 1 if the networks differ.")


def run(given: Namespace) -> int:
    """Compare two networks, and return the exit code."""
    from cnnc.diff import formats
    from cnnc.diff.changes import compare

    old, new = given.old, given.new
    if old == new == "-":
        raise WrongCall("OLD and NEW cannot both be standard input (-)")
    found = compare(
        *_load_both((old, parameters(given.set, given.set_old)), (new, parameters(given.set, given.set_new)))
    )
    if given.format == "json":
        print(json.dumps({"old": old, "new": new, **formats.as_json(found)}))
    elif given.format == "markdown":
        print(formats.markdown(found, old, new))
    else:
        print(formats.table(found))
    return 1 if given.exit_code and not found.same else 0


def _load_both(*sides: tuple[str, dict[str, Any]]) -> "list[Graph]":
    """Load both graphs; raises CnncError with the errors of both."""
    from cnnc.compiler import load
    from cnnc.text.revision import at_revision

    graphs: list[Graph] = []
    faults: dict[str, Diagnostic] = {}
    for spec, settings in sides:
        try:
            with at_revision(spec) as path:
                graphs.append(load(path, set=settings))
        except CnncError as error:
            faults |= {str(each): each for each in error.diagnostics}
    if faults:
        raise CnncError(faults.values())
    return graphs
