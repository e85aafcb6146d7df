"""The command line: one thin function a command.

Exit codes: 0 fine, 1 a spec (a file, a model, a picture) is wrong, 2 the call is wrong, 3 cnnc itself failed.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cnnc.cli import evaluate
from cnnc.cli.diff import diff
from cnnc.cli.internal import EXIT_CODE, report_internal
from cnnc.cli.options import (
    ALLOW,
    DENY,
    EXCLUDE,
    KEY,
    MAP,
    SET,
    SPEC,
    WEIGHTS,
    levels,
    note,
    parameters,
    require_weights,
)
from cnnc.cli.renderers import RENDERERS, Shown, told_of_failure
from cnnc.cli.tally import Tally
from cnnc.cli.train import train
from cnnc.cli.weights import weights as propose_map
from cnnc.diagnostics import Code, Diagnostic
from cnnc.passes.pipeline import NAMES
from cnnc.report import show
from cnnc.targets.table import DEFAULTS, OPSET, OPSETS, Target

if TYPE_CHECKING:
    from cnnc.compiler import Checked
    from cnnc.spec.find import Found

app = typer.Typer(
    name="cnnc",
    help="Compile specs of convolutional networks: check shapes, build torch and ONNX files, run them on pictures.",
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


def _print_version(wanted: bool) -> None:
    if wanted:
        from cnnc.targets.version import cnnc_version

        typer.echo(cnnc_version())
        raise typer.Exit


@app.callback()
def _every_command(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None: ...


@app.command()
def check(
    specs: Annotated[list[str], typer.Argument(help="Specs, folders or globs; - reads standard input.")],
    set: SET = None,
    depth: Annotated[
        int | None, typer.Option(min=1, help="Fold blocks below this many levels into one row each.")
    ] = None,
    wide: Annotated[
        bool, typer.Option("--wide", help="Show memory and receptive field of every node, and the memory of training.")
    ] = False,
    sort: Annotated[
        Literal["macs", "params", "memory"] | None, typer.Option(help="Put the rows with the most of it first.")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, max=2**20, help="Count memory for this many samples at once.")
    ] = None,
    format: Annotated[Format, typer.Option(help="A table, one JSON line a spec, or GitHub annotations.")] = Format.TEXT,
    allow: ALLOW = None,
    deny: DENY = None,
    exclude: EXCLUDE = None,
) -> None:
    """Prove specs without running them: a table with a row for each node, or every mistake with its place."""
    from cnnc.cli.project import project_of
    from cnnc.compiler import check as prove

    given, said = parameters(set), levels(allow, deny)
    paths, passed_over = _select(specs, exclude or ())
    judged = {path: said.over(project_of(path).levels) for path in paths}
    brief = len(paths) > 1 and not (depth or wide or sort or batch)
    view: dict[str, Any] = {"depth": depth, "wide": wide, "sort": sort, "batch": batch, "brief": brief}
    if given and len(paths) > 1 and "-" in paths:
        raise typer.BadParameter(
            "standard input can be read once: with other specs it takes no --set", param_hint="--set"
        )
    code, tally = 0, Tally()
    annotated: dict[str, None] = {}  # a file of blocks is looked at by itself and by all that use it
    for path, settings in _settings(paths, given).items():
        try:
            checked = prove(path, set=settings, allow=judged[path].allow, deny=judged[path].deny)
            shown = RENDERERS[format.value](checked, **view)
        except ModuleNotFoundError:  # the other specs need that package as well
            raise
        except Exception as error:  # of cnnc's own making: the other specs are looked at all the same
            report_internal(error, path)
            tally.failed += 1
            code, shown = EXIT_CODE, Shown(told_of_failure(format.value, path, error), [])
        else:
            _require_params(checked)
            tally.add(checked)
            code = max(code, 0 if checked.ok else 1)
        if format is Format.GITHUB:
            shown = Shown([line for line in shown.out if line not in annotated], shown.err)
            annotated |= dict.fromkeys(shown.out)
        _print(shown)
    _print(tally.closing(format.value, passed_over))
    raise typer.Exit(code)


@app.command()
def build(
    spec: SPEC,
    target: Annotated[
        list[Target] | None, typer.Option(help="What to write; may be repeated.", show_default=", ".join(DEFAULTS))
    ] = None,
    weights: Annotated[str | None, typer.Option(help=f"{WEIGHTS.capitalize()}; left out: random weights.")] = None,
    map: MAP = None,
    key: KEY = None,
    set: SET = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seeds random weights and the verification.")] = 0,
    opset: Annotated[int, typer.Option(min=OPSETS[0], max=OPSETS[-1], help="The ONNX operator set.")] = OPSET,
    out: Annotated[str, typer.Option("--out", "-o", metavar="DIR", help="Write to DIR/NAME/.")] = "build",
    print_after: Annotated[
        list[str] | None,
        typer.Option(metavar="PASS", help=f"Print the graph after a pass ({', '.join(NAMES)}); may be repeated."),
    ] = None,
) -> None:
    """Compile a spec to ONNX, TorchScript and more, verified against the torch module."""
    from cnnc.compiler import build as compile_files

    for name in print_after or ():
        if name not in NAMES:
            raise typer.BadParameter(
                f"there is no pass {name}; there are {', '.join(NAMES)}", param_hint="--print-after"
            )

    if not out:
        raise typer.BadParameter("an empty name is no folder; . is the current one", param_hint="--out")
    require_weights(weights, map=map, key=key)

    def after_pass(name: str, network: Any) -> None:
        from cnnc.graph.text import text

        if name in (print_after or ()):
            typer.echo(text(network.graph))

    with _progress() as progress:
        built = compile_files(
            spec,
            targets=[each.value for each in target or DEFAULTS],
            set=parameters(set),
            weights=weights,
            map=map,
            key=key,
            seed=seed,
            opset=opset,
            out=out,
            progress=progress,
            note=note,
            after_pass=after_pass,
        )
    typer.echo(built.as_text())


@app.command()
def infer() -> None:
    """Run an ONNX file on pictures: the most likely classes of each."""
    # Listed here for `cnnc --help`; `cnnc.__main__` hands the command to `cnnc.cli.infer` before typer is imported.
    from cnnc.cli.infer import run

    raise typer.Exit(run(sys.argv[2:]))


app.command("eval")(evaluate.evaluate)
app.command()(diff)
app.command("weights")(propose_map)


@app.command()
def explain(
    code: Annotated[str | None, typer.Argument(help="A code such as E301; left out: a list of all codes.")] = None,
) -> None:
    """Print the page about a diagnostic's code."""
    known = {each.value: each for each in Code}
    if code is None:
        typer.echo("\n".join(each.page.partition("\n")[0].lstrip("# ") for each in Code))
        return
    if code.upper() not in known:
        raise typer.BadParameter(f"there is no code {code}; there are {', '.join(known)}")
    typer.echo(known[code.upper()].page.rstrip())


app.command()(train)


def _print(shown: Shown) -> None:
    for line in shown.err:
        typer.echo(line, err=True)
    for line in shown.out:
        typer.echo(line)


def _select(specs: Sequence[str], exclude: Sequence[str]) -> "Found":
    """The specs to check; exit 2 where `--exclude` leaves none. A project leaves files out of folders alone."""
    from cnnc.cli.project import project_of
    from cnnc.spec.find import Found, find_specs
    from cnnc.spec.globs import Globs

    globs = Globs(exclude, ".")
    found = find_specs(specs, lambda path: globs.match(path) or project_of(path).leaves_out(path))
    kept = tuple(path for path in found.specs if path == "-" or not globs.match(path))
    if not kept:
        raise typer.BadParameter("nothing is left to check", param_hint="--exclude")
    return Found(kept, found.passed_over)


def _settings(paths: Sequence[str], given: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What is set in each spec: of several each takes the parameters that it has; exit 2 is for what none has."""
    from cnnc.compiler import check as prove
    from cnnc.spec.given import overrides

    if not given or len(paths) == 1:
        return dict.fromkeys(paths, given)
    names = {value.span.column: name for name, value in overrides(given).items()}  # all stand in one line
    lacking: dict[str, set[str]] = {}
    for path in paths:
        with suppress(Exception):  # what cnnc fails on has no say: the check will tell
            found = prove(path, set=given).diagnostics
            if not any(each.code.value.startswith("E1") for each in found):  # nor has what cannot be read
                unknown = (each.span for each in found if each.code == Code.UNKNOWN_PARAM)
                lacking[path] = {names[span.column] for span in unknown if span}
    for name in set.intersection(*lacking.values()) if lacking else ():
        show([Diagnostic(Code.UNKNOWN_PARAM, f"none of the specs has a parameter `{name}` to set")])
        raise typer.Exit(2)
    return {path: {name: value for name, value in given.items() if name not in lacking.get(path, ())} for path in paths}


def _require_params(checked: "Checked") -> None:
    """Exit with 2 where the call sets a parameter that the spec does not have."""
    if unknown := [replace(each, span=None) for each in checked.diagnostics if each.code == Code.UNKNOWN_PARAM]:
        show(unknown)
        raise typer.Exit(2)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """A line that tells what goes on, where somebody looks at it."""
    if not sys.stderr.isatty():
        yield lambda stage: None
        return
    from rich.console import Console

    with Console(stderr=True).status("") as status:
        yield status.update
