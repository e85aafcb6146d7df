"""The command line: one thin function a command.

Exit codes: 0 fine, 1 a spec (a file, a model, a picture) is wrong, 2 the call is wrong.
"""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated, Any

import typer

from cnnc.diagnostics import CnncError, Code, Diagnostic
from cnnc.report import as_github, render

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


class Answer(StrEnum):
    """How `infer` answers."""

    TEXT = "text"
    JSON = "json"


class Target(StrEnum):
    """What `build` writes."""

    ONNX = "onnx"
    TORCHSCRIPT = "torchscript"
    PT2 = "pt2"
    PYTHON = "python"


class Provider(StrEnum):
    """What runs a model."""

    AUTO = "auto"
    CUDA = "cuda"
    CPU = "cpu"
    TENSORRT = "tensorrt"


SPEC = Annotated[str, typer.Argument(help="A spec, YAML or JSON; - reads standard input.")]
SET = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Set a parameter of the spec; may be repeated.")
]


@app.command()
def check(
    specs: Annotated[list[str], typer.Argument(help="Specs, folders or globs; - reads standard input.")],
    set: SET = None,
    depth: Annotated[
        int | None, typer.Option(min=1, help="Fold blocks below this many levels into one row each.")
    ] = None,
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
def build(
    spec: SPEC,
    target: Annotated[
        list[Target] | None, typer.Option(help="What to write; may be repeated.", show_default="onnx, torchscript")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="A .safetensors, .pt or .pth file; else drawn from the seed.")
    ] = None,
    set: SET = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seeds the weights and the verification.")] = 0,
    opset: Annotated[int, typer.Option(min=17, max=26, help="The ONNX operator set.")] = 20,
    out: Annotated[str, typer.Option("--out", "-o", metavar="DIR", help="Write to DIR/NAME/.")] = "build",
    print_after: Annotated[
        list[str] | None, typer.Option(metavar="PASS", help="Print the graph after a pass; may be repeated.")
    ] = None,
) -> None:
    """Compile a spec to ONNX, TorchScript and more, verified against the torch module."""
    from cnnc.compiler import build as compile_files
    from cnnc.passes.pipeline import NAMES

    for name in print_after or ():
        if name not in NAMES:
            raise typer.BadParameter(
                f"there is no pass {name}; there are {', '.join(NAMES)}", param_hint="--print-after"
            )

    def after_pass(name: str, network: Any) -> None:
        from cnnc.graph.text import text

        if name in (print_after or ()):
            typer.echo(text(network.graph))

    with _progress() as progress:
        built = compile_files(
            spec,
            targets=[each.value for each in target or (Target.ONNX, Target.TORCHSCRIPT)],
            set=_parameters(set),
            weights=weights,
            seed=seed,
            opset=opset,
            out=out,
            progress=progress,
            after_pass=after_pass,
        )
    typer.echo(built.as_text())


@app.command()
def infer(
    model: Annotated[str, typer.Argument(help="An ONNX file.")],
    images: Annotated[list[str], typer.Argument(help="Pictures, or folders of them.")],
    top: Annotated[int, typer.Option("--top", "-k", min=1, help="How many classes to show.")] = 5,
    provider: Annotated[
        Provider, typer.Option(help="What runs the model; auto takes CUDA where it works.")
    ] = Provider.AUTO,
    format: Annotated[Answer, typer.Option(help="A table, or one JSON line a picture.")] = Answer.TEXT,
    allow_external: Annotated[bool, typer.Option(help="Follow weights in other files of the model's folder.")] = False,
) -> None:
    """Run an ONNX file on pictures: the most likely classes of each."""
    from cnnc.runtime.infer import infer_many, load_model

    fine = True
    with load_model(model, provider.value, allow_external=allow_external) as loaded:
        for note in loaded.notes:
            typer.echo(note, err=True)
        for each in infer_many(loaded, images, top):
            if isinstance(each, CnncError):
                fine = False
                show(each.diagnostics)
            else:
                typer.echo(json.dumps(each.as_json(), ensure_ascii=False) if format is Answer.JSON else each.as_text())
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


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """A line that tells what goes on, where somebody looks at it."""
    if not sys.stderr.isatty():
        yield lambda stage: None
        return
    from rich.console import Console

    with Console(stderr=True).status("") as status:
        yield status.update


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
        sys.exit(2 if any(each.code == Code.UNKNOWN_PARAM for each in error.diagnostics) else 1)
    except BrokenPipeError:
        # whoever read our output has enough; Python would complain once more while it closes the stream
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
