"""`cnnc diff`: compare the networks of two specs, or of two versions of a spec."""

import json
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnc.cli.options import add_set, parameters
from cnnc.cli.parser import OneOf, Parser, WrongCall
from cnnc.diagnostics import CnncError, Diagnostic, counted
from cnnc.diagnostics.render import visible

if TYPE_CHECKING:
    from cnnc.diff.changes import Difference
    from cnnc.graph.graph import Graph

PAGE = "diff.html"


def add_options(parser: Parser) -> None:
    """Add the arguments and options of `cnnc diff`."""
    parser.argument("old", "The old spec, or REV:PATH for its version in a git revision; - reads standard input.")
    parser.argument("new", "The new spec, in the same forms.")
    add_set(parser, help="Set a parameter of both specs; may be repeated.")
    add_set(parser, "--set-old", "Set a parameter of OLD; may be repeated.")
    add_set(parser, "--set-new", "Set a parameter of NEW; may be repeated.")
    parser.option(
        "--format",
        type=OneOf(("text", "markdown", "github", "json")),
        default="text",
        help="A table, Markdown for a pull request, GitHub notices beside the changed lines, or JSON.",
    )
    parser.flag("--html", help="Write a page that shows both networks side by side, to --out.")
    parser.option("--out", "-o", metavar="FILE", help="With --html: the page to write. Default: diff.html.")
    parser.flag("--exit-code", help="Exit with 1 if the networks differ.")


def run(given: Namespace) -> int:
    """Compare two networks, and return the exit code."""
    from cnnc.diff.changes import compare

    old, new = given.old, given.new
    if old == new == "-":
        raise WrongCall("OLD and NEW cannot both be standard input (-)")
    if given.out is not None and not given.html:
        raise WrongCall("--out needs --html")
    if given.html and given.format != "text":
        raise WrongCall("--html and --format are two forms of the result: choose one")
    if given.html and Path(given.out or PAGE).suffix != ".html":
        raise WrongCall(f"--out: a page ends in .html, got {given.out}")
    graphs = _load_both((old, parameters(given.set, given.set_old)), (new, parameters(given.set, given.set_new)))
    found = compare(*graphs)
    if given.html:
        _write_page(graphs, found, (old, new), Path(given.out or PAGE))
    else:
        print(end=_written(found, given.format, old, new))
    return 1 if given.exit_code and not found.same else 0


def _written(found: "Difference", format: str, old: str, new: str) -> str:
    """Return the difference in a format, with the end of its last line."""
    from cnnc.diff import formats
    from cnnc.diff.notices import notices
    from cnnc.text.revision import file_of, renamed

    if format == "github":
        return "".join(f"{each}\n" for each in notices(found.with_files(str, lambda name: file_of(name, new))))
    if format == "json":
        found = found.with_files(lambda name: renamed(name, old), lambda name: renamed(name, new))
        return json.dumps({"old": old, "new": new, **formats.as_json(found)}) + "\n"
    return f"{formats.markdown(found, old, new) if format == 'markdown' else formats.table(found)}\n"


def _write_page(graphs: "list[Graph]", found: "Difference", names: tuple[str, str], path: Path) -> None:
    """Write the page and print its name and the number of changes."""
    from cnnc.diff.formats import described, summary
    from cnnc.drawing.html import diff_html
    from cnnc.drawing.sketch import sketch
    from cnnc.files.write import write_file
    from cnnc.text.revision import renamed

    old_marks = {each.old.path: each.kind for each in found.changes if each.old}
    new_marks = {each.new.path: each.kind for each in found.changes if each.new}
    old = sketch(graphs[0], old_marks).with_files(lambda name: renamed(name, names[0]))
    new = sketch(graphs[1], new_marks).with_files(lambda name: renamed(name, names[1]))
    write_file(path, diff_html(old, new, names, described(found), summary(found)).encode())
    print(f"{visible(str(path))}  {counted(len(found.changes), 'changed node')}")


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
