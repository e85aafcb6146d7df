"""`cnnc train`: train a spec by its recipe; options override fields of the recipe."""

import os
import shlex
import sys
from argparse import ArgumentTypeError, Namespace
from math import isfinite, nan
from typing import Any

from cnnc.cli.options import EMPTY_OUT, WEIGHTS, add_set, add_weights, note, parameters, require_weights
from cnnc.cli.parser import Number, OneOf, Parser, WrongCall

OTHERS = ("spec", "set", "weights", "map", "key", "device", "devices", "resume", "out")  # not fields of a recipe
OUT = "runs"


def add_options(parser: Parser) -> None:
    """Add the arguments and options of `cnnc train`."""
    parser.argument("spec", "A spec, YAML or JSON.")
    _add_recipe(parser)
    add_set(parser)
    add_weights(parser, f"Initial weights: {WEIGHTS}.")
    devices = OneOf(("auto", "cpu", "cuda", "mps"))
    parser.option("--device", type=devices, default="auto", help="The device to train on; auto uses a GPU if any.")
    parser.option("--devices", type=Number(least=1), default=1, help="Number of devices, with one process each.")
    parser.flag("--resume", help="Continue the run in DIR/NAME/.")
    parser.option("--out", "-o", metavar="DIR", default=OUT, help="Write to DIR/NAME/.")


def _add_recipe(parser: Parser) -> None:
    """Add an option for each field of a recipe, by its name; None keeps the recipe's own value."""
    whole, real = Number(), Number(float)
    parser.option("--data", help="The name of a data set (mnist, fashion-mnist, cifar10), or a path.")
    parser.option("--epochs", type=whole, help="Number of epochs.")
    parser.option("--batch", type=whole, help="Batch size, over all devices together.")
    parser.option("--lr", type=real, help="Learning rate.")
    rules = OneOf(("sgd", "adamw", "rmsprop"))
    parser.option("--optimizer", type=rules, help="Optimizer.")
    parser.option("--momentum", type=real, help="Momentum of sgd and rmsprop.")
    parser.switch("--nesterov", help="Nesterov momentum.")
    parser.option("--weight-decay", type=real, help="Weight decay.")
    schedules = OneOf(("constant", "step", "cosine"))
    parser.option("--schedule", type=schedules, help="Learning rate schedule over the epochs.")
    parser.option("--step-size", type=whole, help="Epochs between the drops of the step schedule.")
    parser.option("--gamma", type=real, help="Factor of the learning rate at each drop of the step schedule.")
    parser.option("--warmup", type=whole, help="Epochs of linear warm-up.")
    inits = OneOf(("default", "xavier", "kaiming"))
    parser.option("--init", type=inits, help="Initialisation of the weights.")
    changes = OneOf(("flip", "crop", "color"))
    parser.option("--augment", type=changes, repeat=True, help="Random change to training pictures; may be repeated.")
    parser.option("--label-smoothing", type=real, help="Fraction of each label spread over all classes, 0 to 1.")
    parser.option("--clip", type=real, help="Clip the gradient to this norm.")
    parser.option("--accumulate", type=whole, help="Number of batches whose gradients are added up for each step.")
    parser.option("--aux-weight", type=real, help="Loss weight of train-only outputs without a weight of their own.")
    parser.option("--seed", type=whole, help="Random seed; also requests deterministic kernels.")
    parser.option("--limit", type=whole, help="Use only this many examples, from the first on.")
    parser.option("--val-split", type=real, help="Test on this fraction of the training set.")
    parser.switch("--skip-unreadable", help="Leave out pictures that cannot be read.")
    precisions = OneOf(("32", "bf16", "16", "auto"))
    parser.option("--precision", type=precisions, help="Precision; auto uses bf16 if the hardware supports it.")
    parser.switch("--tf32", help="Let GPUs multiply in TF32.")
    parser.switch("--channels-last", help="Use the channels-last memory format; by default if it is faster.")
    parser.switch("--compile", help="Use torch.compile.")
    fresh = "Draw these weights anew in spite of --weights: a path (fc) or a pattern ('head.*'); may be repeated."
    parser.option("--fresh", metavar="PATTERN", repeat=True, help=fresh)
    freeze = "Do not train these weights, nor the statistics of batch norms; may be repeated."
    parser.option("--freeze", metavar="PATTERN", repeat=True, help=freeze)
    scale = "Multiply the learning rate of these weights; may be repeated."
    parser.option("--lr-scale", metavar="PATTERN=NUMBER", type=_scaled, repeat=True, help=scale)


def _scaled(text: str) -> tuple[str, float]:
    """Return the pattern and the factor of `PATTERN=NUMBER`."""
    pattern, _, number = text.rpartition("=")
    try:
        factor = float(number)
    except ValueError:
        factor = nan
    if not pattern or not isfinite(factor):
        raise ArgumentTypeError(f"expected PATTERN=NUMBER, got {text!r}")
    return pattern, factor


def run(given: Namespace) -> int:
    """Train, or start one process per device that trains, and return the exit code."""
    require_weights(given.weights, map=given.map, key=given.key, fresh=given.fresh)
    from cnnc.diagnostics.missing_packages import NEEDS, require
    from cnnc.files.checks import is_utf8
    from cnnc.train.launch import launch, started_by_launcher

    if not given.out:
        raise WrongCall(EMPTY_OUT)
    if given.data is not None and not is_utf8(given.data):
        raise WrongCall(f"--data: the path {given.data} is not valid UTF-8, as a recipe must be", "rename the folder")
    require(NEEDS["train"], "training")
    if not started_by_launcher() and given.devices > 1:
        return launch(sys.argv[1:], given.devices)
    fields = {name: value for name, value in vars(given).items() if name not in OTHERS}
    return _train(given, {**fields, "lr_scale": dict(given.lr_scale) if given.lr_scale else None})


def _train(given: Namespace, fields: dict[str, Any]) -> int:
    from pathlib import Path

    from cnnc.compiler import load
    from cnnc.train.memory import keep_memory
    from cnnc.train.monitor.console import summary
    from cnnc.train.run import train

    keep_memory()
    spec, out, resume = given.spec, given.out, given.resume
    graph = load(spec, set=parameters(given.set))
    if not resume:
        _require_fields(graph, fields)
    trained = train(
        graph,
        fields,
        Path(out),
        resume=resume,
        weights=_weights(graph, given),
        weights_file=given.weights,
        device=given.device,
        say=note,
    )
    if trained.signal:
        if trained.first:
            again = ["cnnc", "train", spec, *(word for each in given.set or () for word in ("--set", each))]
            again += [*(["-o", out] if out != OUT else []), "--resume"]
            stopped = f"stopped in epoch {len(trained.records) + 1}"
            print(f"{stopped}; continue with: {shlex.join(again)}", file=sys.stderr)
        return 128 + trained.signal
    if trained.first and trained.best:
        print(
            summary(
                spec,
                trained.weights,
                trained.best,
                trained.records[-1],
                trained.examples_per_second,
                trained.peak_memory,
                given.set or (),
            )
        )
    return 0


def _require_fields(graph: Any, given: dict[str, Any]) -> None:
    """Raise WrongCall if the fields from the command line make the recipe wrong."""
    from cnnc.diagnostics import CnncError
    from cnnc.train.recipe import merged_recipe

    try:
        merged_recipe(graph.train, given)
    except CnncError as error:
        raise WrongCall("; ".join(each.message for each in error.diagnostics)) from None


def _weights(graph: Any, given: Namespace) -> Any:
    """Return the initial weights, None without `--weights`; only the first rank prints notes about them."""
    from cnnc.train.recipe import merged_recipe
    from cnnc.weights.load import read_start

    if given.weights is None:
        return None
    say = note if os.environ.get("RANK", "0") == "0" else lambda remark: None
    fresh = merged_recipe(graph.train, {"fresh": given.fresh}).fresh
    return read_start(graph, given.weights, fresh, given.map, given.key, say)
