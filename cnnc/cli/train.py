"""The command line of training and evaluation: thin functions, which `cnnc.cli.app` registers."""

import os
import shlex
import sys
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from typing import Annotated, Any

import typer

from cnnc.cli.options import KEY, MAP, SET, WEIGHTS, note, parameters, require_weights


class Optimizer(StrEnum):
    """What moves the weights."""

    SGD = "sgd"
    ADAMW = "adamw"
    RMSPROP = "rmsprop"


class Schedule(StrEnum):
    """How the learning rate goes."""

    CONSTANT = "constant"
    STEP = "step"
    COSINE = "cosine"


class Init(StrEnum):
    """How weights begin."""

    DEFAULT = "default"
    XAVIER = "xavier"
    KAIMING = "kaiming"


class Precision(StrEnum):
    """What the network computes in."""

    FULL = "32"
    BF16 = "bf16"
    FP16 = "16"
    AUTO = "auto"


class Device(StrEnum):
    """What trains."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    MPS = "mps"


class Change(StrEnum):
    """A random change to pictures."""

    FLIP = "flip"
    CROP = "crop"
    COLOR = "color"


Given = typer.Option
OUT = "runs"


def train(
    spec: Annotated[str, typer.Argument(help="A spec, YAML or JSON.")],
    data: Annotated[str | None, Given(help="A data set by name (mnist, fashion-mnist, cifar10), or a path.")] = None,
    epochs: Annotated[int | None, Given(help="How often every example is seen.")] = None,
    batch: Annotated[int | None, Given(help="Examples to a batch, on all devices together.")] = None,
    lr: Annotated[float | None, Given(help="The learning rate.")] = None,
    optimizer: Annotated[Optimizer | None, Given(help="The rule that updates the weights.")] = None,
    momentum: Annotated[float | None, Given(help="The momentum of sgd and rmsprop.")] = None,
    nesterov: Annotated[bool | None, Given(help="Nesterov's momentum.")] = None,
    weight_decay: Annotated[float | None, Given(help="Weight decay.")] = None,
    schedule: Annotated[Schedule | None, Given(help="How the learning rate changes over the epochs.")] = None,
    step_size: Annotated[int | None, Given(help="Epochs between the drops of the step schedule.")] = None,
    gamma: Annotated[float | None, Given(help="What the step schedule multiplies the rate by at each drop.")] = None,
    warmup: Annotated[int | None, Given(help="Epochs of linear warm-up.")] = None,
    init: Annotated[Init | None, Given(help="How the weights are initialised.")] = None,
    augment: Annotated[list[Change] | None, Given(help="Change training pictures at random; may be repeated.")] = None,
    label_smoothing: Annotated[
        float | None, Given(help="How much of each label is spread over all classes, 0 to 1.")
    ] = None,
    clip: Annotated[float | None, Given(help="Clip the gradient to this norm.")] = None,
    accumulate: Annotated[int | None, Given(help="Add up the gradients of so many batches before each step.")] = None,
    aux_weight: Annotated[
        float | None, Given(help="The weight of the loss of train-only outputs that have none.")
    ] = None,
    seed: Annotated[int | None, Given(help="Seeds everything; also asks for deterministic kernels.")] = None,
    limit: Annotated[int | None, Given(help="Use the first so many examples.")] = None,
    val_split: Annotated[float | None, Given(help="Test on this part of the training set.")] = None,
    skip_unreadable: Annotated[bool | None, Given(help="Leave out pictures that cannot be read.")] = None,
    precision: Annotated[
        Precision | None, Given(help="What it computes in; auto: bf16 where that is in hardware.")
    ] = None,
    tf32: Annotated[bool | None, Given(help="Let GPUs multiply in TF32.")] = None,
    channels_last: Annotated[
        bool | None, Given(help="Lay pictures out channels last; left out: where it is faster.")
    ] = None,
    compile: Annotated[bool | None, Given(help="Use torch.compile.")] = None,
    set: SET = None,
    weights: Annotated[str | None, Given(help=f"Begin with these weights: {WEIGHTS}.")] = None,
    map: MAP = None,
    key: KEY = None,
    device: Annotated[Device, Given(help="What trains; auto takes a GPU where there is one.")] = Device.AUTO,
    devices: Annotated[int, Given(min=1, help="How many devices, with a process each.")] = 1,
    resume: Annotated[bool, Given("--resume", help="Go on with the run in the folder.")] = False,
    out: Annotated[str, Given("--out", "-o", metavar="DIR", help="Write to DIR/NAME/.")] = OUT,
) -> None:
    """Train a spec by its recipe; options, up to --compile, put other values in place of the recipe's."""
    require_weights(weights, map=map, key=key)
    given = {name: _plain(value) for name, value in locals().items() if name not in OTHERS}
    from cnnc.installed import TRAIN, require
    from cnnc.runtime.train.launch import launch, started_by_launcher

    require(TRAIN, "training")
    if not started_by_launcher() and devices > 1:
        raise typer.Exit(launch(sys.argv[1:], devices))
    start = partial(_weights, path=weights, map=map, key=key)
    _train(spec, given, set, start=start, device=device.value, resume=resume, out=out)


OTHERS = ("spec", "set", "weights", "map", "key", "device", "devices", "resume", "out")


def _train(
    spec: str,
    given: dict[str, Any],
    settings: list[str] | None,
    *,
    start: Callable[[Any], Any],
    device: str,
    resume: bool,
    out: str,
) -> None:
    from pathlib import Path

    from cnnc.compiler import load
    from cnnc.runtime.train.run import train as run
    from cnnc.runtime.watch.summary import summary

    graph = load(spec, set=parameters(settings))
    if not resume:
        _require_fields(graph, given)
    trained = run(graph, given, Path(out), resume=resume, weights=start(graph), device=device, say=note)
    if trained.signal:
        if trained.first:
            again = ["cnnc", "train", spec, *(word for each in settings or () for word in ("--set", each))]
            again += [*(["-o", out] if out != OUT else []), "--resume"]
            typer.echo(f"stopped in epoch {len(trained.records) + 1}; go on with: {shlex.join(again)}", err=True)
        raise typer.Exit(128 + trained.signal)
    if trained.first and trained.best:
        typer.echo(
            summary(
                spec,
                trained.weights,
                trained.best,
                trained.records[-1],
                trained.examples_per_second,
                trained.peak_memory,
            )
        )


def _require_fields(graph: Any, given: dict[str, Any]) -> None:
    """What is wrong with a recipe that the spec alone gave right is wrong with the call."""
    from cnnc.diagnostics import CnncError
    from cnnc.runtime.train.recipe import recipe

    try:
        recipe(graph.train, given)
    except CnncError as error:
        raise typer.BadParameter("; ".join(each.message for each in error.diagnostics)) from None


def _weights(graph: Any, path: str | None, map: str | None, key: str | None) -> Any:
    """What training starts from; of several ranks the first says what there is to say of it."""
    from pathlib import Path

    from cnnc.targets import torch
    from cnnc.targets import weights as files

    if path is None:
        return None
    say = note if os.environ.get("RANK", "0") == "0" else lambda remark: None
    return files.read(Path(path), torch.shapes(graph), None if map is None else Path(map), key, say)


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [each.value for each in value] or None
    return value.value if isinstance(value, StrEnum) else value
