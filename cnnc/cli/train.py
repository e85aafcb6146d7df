"""`cnnc train`: train a spec by its recipe; options override fields of the recipe."""

import os
import shlex
import sys
from argparse import Namespace
from typing import Any

from cnnc.cli.options import EMPTY_OUT, WEIGHTS, add_set, add_weights, note, parameters, require_weights
from cnnc.cli.parser import Number, OneOf, Parser, WrongCall
from cnnc.cli.progress import ProgressLine
from cnnc.cli.recipe_options import add_recipe, recipe_fields

OUT = "runs"


def add_options(parser: Parser) -> None:
    """Add the arguments and options of `cnnc train`."""
    parser.argument("spec", "A spec, YAML or JSON.")
    add_recipe(parser)
    add_set(parser)
    add_weights(parser, f"Initial weights: {WEIGHTS}.")
    devices = OneOf(("auto", "cpu", "cuda", "mps"))
    parser.option("--device", type=devices, default="auto", help="The device to train on; auto uses a GPU if any.")
    parser.option("--devices", type=Number(least=1), default=1, help="Number of devices, with one process each.")
    sweep = "Train with each combination of values of these recipe fields or of parameters of the spec."
    parser.option("--sweep", metavar="NAME=VALUE,...", several=True, help=sweep)
    parser.flag("--find-lr", help="Train some steps with rising learning rates, and propose one.")
    parser.flag("--resume", help="Continue the run in DIR/NAME/, or the sweep in DIR/NAME.sweep/.")
    parser.flag("--live", help="Show curves on the terminal, redrawn after every epoch.")
    parser.option("--out", "-o", metavar="DIR", default=OUT, help="Write to DIR/NAME/.")


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
    require([*NEEDS["train"], *(["plotille"] if given.live else [])], "training")
    if given.devices > 1 and (given.find_lr or given.batch == "auto"):
        raise WrongCall(f"{'--find-lr' if given.find_lr else '--batch auto'} is for one device")
    if given.batch == "auto":
        given.batch = None if given.resume else _largest_batch(given)
    if given.find_lr and (given.sweep or given.resume):
        raise WrongCall("--find-lr is for a new run, and cannot take --sweep or --resume")
    if given.find_lr:
        return _find_rate(given)
    if given.sweep:
        return _sweep(given)
    if not started_by_launcher() and given.devices > 1:
        return launch(sys.argv[1:], given.devices)
    return _train(given, recipe_fields(given))


def _largest_batch(given: Namespace) -> int:
    """Return the batch size that fits the memory; a resumed run keeps the one it began with."""
    from cnnc.compiler import load
    from cnnc.train.largest_batch import largest_batch

    graph, fields = load(given.spec, set=parameters(given.set)), {**recipe_fields(given), "batch": None}
    _require_fields(graph, fields)
    batch = largest_batch(graph, fields, given.device)
    note(f"`--batch auto` is {batch}; `lr` may have to grow with it")
    return batch


def _find_rate(given: Namespace) -> int:
    """Print learning rates with their losses, and a proposal, and draw them."""
    from pathlib import Path

    from cnnc.compiler import load
    from cnnc.diagnostics.missing_packages import require
    from cnnc.train.find_lr import STEPS, find_rate, write

    require(["matplotlib"], "drawing the losses")  # before the work
    graph, fields = load(given.spec, set=parameters(given.set)), recipe_fields(given)
    _require_fields(graph, fields)
    weights = _weights(graph, given)
    with ProgressLine("steps", lambda: STEPS) as line:
        curve = find_rate(graph, fields, weights=weights, device=given.device, say=note, on_step=line.add)
    paths = write(curve, Path(given.out), graph.name)
    print("\n".join([curve.as_text(), "", *map(str, paths)]))
    return 0


def _sweep(given: Namespace) -> int:
    from cnnc.cli.sweep import run_sweep

    if given.devices > 1:
        raise WrongCall("--sweep trains one run after the other on one device, and cannot take --devices")
    if given.weights is not None:
        raise WrongCall("--sweep trains from the start, and cannot take --weights")
    return run_sweep(given, recipe_fields(given))


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
        live=given.live,
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
    fresh = given.fresh or merged_recipe(graph.train, {}).fresh
    return read_start(graph, given.weights, fresh, given.map, given.key, say)
