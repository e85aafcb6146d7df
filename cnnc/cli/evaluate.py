"""`cnnc eval`: how well a model does on labelled pictures, whatever it was compiled to."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from cnnc.cli.options import KEY, MAP, WEIGHTS, note, parameters

if TYPE_CHECKING:
    from cnnc.runtime.data.dataset import Data, Files, Split
    from cnnc.runtime.evaluate import Evaluation
    from cnnc.runtime.scorers import Scorer


FILES = {
    ".safetensors": "holds weights: give its spec, and the file to --weights",
    ".pth": "holds weights: give its spec, and the file to --weights",
    ".ckpt": "holds weights: give its spec, and the file to --weights",
    ".bin": "holds weights: give its spec, and the file to --weights",
    ".pt2": "has the same network as the .pt and the .onnx beside it",
}


class Answer(StrEnum):
    """How `eval` answers."""

    TEXT = "text"
    JSON = "json"


class Device(StrEnum):
    """What runs the model."""

    AUTO = "auto"
    CUDA = "cuda"
    CPU = "cpu"


class Part(StrEnum):
    """The parts of a data set."""

    TEST = "test"
    TRAIN = "train"


def evaluate(
    model: Annotated[str, typer.Argument(help="An .onnx file, a TorchScript .pt of `cnnc build`, or a spec.")],
    data: Annotated[str, typer.Option(help="A data set by name, or a file or folder of one.")],
    weights: Annotated[str | None, typer.Option(help=f"With a spec: {WEIGHTS}.")] = None,
    map: MAP = None,
    key: KEY = None,
    set: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="With a spec: set a parameter of it; may be repeated."),
    ] = None,
    part: Annotated[Part, typer.Option(help="Which part of the data.")] = Part.TEST,
    limit: Annotated[int | None, typer.Option(min=1, help="Use only the first so many examples.")] = None,
    val_split: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Test on this part of the training set, as train does.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seeds --val-split.")] = 0,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Leave out pictures that cannot be read.")
    ] = False,
    device: Annotated[Device, typer.Option(help="What runs the model; auto takes CUDA where it works.")] = Device.AUTO,
    out: Annotated[
        str | None, typer.Option("--out", "-o", metavar="PNG", help="Draw the confusion matrix into this file.")
    ] = None,
    format: Annotated[Answer, typer.Option(help="A table, or one JSON line.")] = Answer.TEXT,
    accept_changed: Annotated[
        bool,
        typer.Option("--accept-changed", help="Take a file of cnnc that was rewritten or is damaged."),
    ] = False,
    timeout: Annotated[
        float | None,
        typer.Option(
            min=0.001, max=1e9, help="Seconds that an .onnx of other makers may take for a batch; otherwise 60."
        ),
    ] = None,
) -> None:
    """Score a model on labelled pictures: accuracy, loss, and a table with a row for each class."""
    from cnnc.diagnostics import CnncError
    from cnnc.installed import require
    from cnnc.runtime.data.folder import left_out, together
    from cnnc.runtime.data.load import load
    from cnnc.runtime.evaluate import evaluate as score

    if out is not None:
        require(["matplotlib"], "drawing the confusion matrix")
    said = _Said(weights, map, key, set)
    with _scorer(model, said, device.value, accept_changed, timeout) as scorer, _progress() as progress:
        loaded = load(data, limit=limit, val_split=val_split, seed=seed, skip_unreadable=skip_unreadable)
        pictures = _part(loaded, part)
        try:
            result = score(scorer, pictures, loaded.classes, progress)
        except CnncError as error:
            raise together(error, Path(loaded.source), pictures) from None
    for each in (*left_out(loaded.source, pictures), *result.notes):
        note(each)
    typer.echo(json.dumps(result.as_json()) if format is Answer.JSON else result.as_text())
    if out is not None:
        _draw(result, Path(out))
        typer.echo(f"\n{out}", err=format is Answer.JSON)


class _Said(NamedTuple):
    """What is said of a spec: its weights, and values of its parameters."""

    weights: str | None
    map: str | None
    key: str | None
    set: list[str] | None


def _scorer(model: str, said: _Said, device: str, accept_changed: bool, timeout: float | None) -> "Scorer":
    """The model behind a path, told by its suffix: what is neither .onnx nor .pt is a spec."""
    from cnnc.compiler import load
    from cnnc.runtime import scorers
    from cnnc.runtime.providers import TIMEOUT

    suffix = Path(model).suffix.lower()
    if suffix in (".onnx", ".pt"):
        for name, given in said._asdict().items():
            if given:
                raise typer.BadParameter(f"{model} holds its own, this is for a spec", param_hint=f"--{name}")
        if suffix == ".onnx":
            return scorers.of_onnx(model, device, accept_changed=accept_changed, timeout=timeout or TIMEOUT)
        return scorers.of_torchscript(model, load, device, accept_changed=accept_changed)
    if accept_changed:
        raise typer.BadParameter("it is for .onnx and .pt files, not for a spec", param_hint="--accept-changed")
    if suffix in FILES:
        raise typer.BadParameter(f"eval takes an .onnx, a .pt or a spec; {model} {FILES[suffix]}")
    if said.weights is None:
        raise typer.BadParameter(
            f"which weights? `cnnc train {model}` makes some; a spec alone knows nothing yet", param_hint="--weights"
        )
    return _of_spec(model, said, said.weights, device)


def _of_spec(spec: str, said: _Said, weights: str, device: str) -> "Scorer":
    from cnnc.compiler import load
    from cnnc.runtime import scorers
    from cnnc.targets import torch
    from cnnc.targets import weights as weight_files

    graph = load(spec, set=parameters(said.set))
    map = None if said.map is None else Path(said.map)
    found = weight_files.read(Path(weights), torch.shapes(graph), map, said.key, note)
    return scorers.of_graph(spec, graph, found, device)


def _part(data: "Data", part: Part) -> "Split | Files":
    if part is Part.TRAIN:
        return data.train
    if data.test is None:
        raise typer.BadParameter(
            f"{data.name} has no test part: take --part train, or --val-split as in training", param_hint="--data"
        )
    return data.test


def _draw(result: "Evaluation", path: Path) -> None:
    from cnnc.runtime.confusion import draw
    from cnnc.targets.write import write_file

    write_file(path, draw(result.matrix, result.classes))


@contextmanager
def _progress() -> Iterator[Callable[[int, int], Any]]:
    """A bar, where somebody looks at it."""
    if not sys.stderr.isatty():
        yield lambda done, of: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("examples", total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)
