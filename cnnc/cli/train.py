"""`cnnc train`: a spec by its recipe, with what the command line puts in place of it."""

import os
import shlex
import sys
from argparse import Namespace
from typing import Any

from cnnc.cli.options import WEIGHTS, add_set, add_weights, note, parameters, require_weights
from cnnc.cli.parser import Number, OneOf, Parser, WrongCall

OTHERS = ("spec", "set", "weights", "map", "key", "device", "devices", "resume", "out")  # what is no field of a recipe
OUT = "runs"


def add_options(parser: Parser) -> None:
    """Take a spec, the fields of a recipe, and what trains and where to."""
    parser.argument("spec", "A spec, YAML or JSON.")
    _add_recipe(parser)
    add_set(parser)
    add_weights(parser, f"Begin with these weights: {WEIGHTS}.")
    devices = OneOf(("auto", "cpu", "cuda", "mps"))
    parser.option("--device", type=devices, default="auto", help="What trains; auto takes a GPU where there is one.")
    parser.option("--devices", type=Number(least=1), default=1, help="How many devices, with a process each.")
    parser.flag("--resume", help="Go on with the run in the folder.")
    parser.option("--out", "-o", metavar="DIR", default=OUT, help="Write to DIR/NAME/.")


def _add_recipe(parser: Parser) -> None:
    """Take the fields of a recipe, by their names; None where the recipe's own stays."""
    whole, real = Number(), Number(float)
    parser.option("--data", help="A data set by name (mnist, fashion-mnist, cifar10), or a path.")
    parser.option("--epochs", type=whole, help="How often every example is seen.")
    parser.option("--batch", type=whole, help="Examples to a batch, on all devices together.")
    parser.option("--lr", type=real, help="The learning rate.")
    rules = OneOf(("sgd", "adamw", "rmsprop"))
    parser.option("--optimizer", type=rules, help="The rule that updates the weights.")
    parser.option("--momentum", type=real, help="The momentum of sgd and rmsprop.")
    parser.switch("--nesterov", help="Nesterov's momentum.")
    parser.option("--weight-decay", type=real, help="Weight decay.")
    schedules = OneOf(("constant", "step", "cosine"))
    parser.option("--schedule", type=schedules, help="How the learning rate changes over the epochs.")
    parser.option("--step-size", type=whole, help="Epochs between the drops of the step schedule.")
    parser.option("--gamma", type=real, help="What the step schedule multiplies the rate by at each drop.")
    parser.option("--warmup", type=whole, help="Epochs of linear warm-up.")
    inits = OneOf(("default", "xavier", "kaiming"))
    parser.option("--init", type=inits, help="How the weights are initialised.")
    changes = OneOf(("flip", "crop", "color"))
    parser.option("--augment", type=changes, repeat=True, help="Change training pictures at random; may be repeated.")
    parser.option("--label-smoothing", type=real, help="How much of each label is spread over all classes, 0 to 1.")
    parser.option("--clip", type=real, help="Clip the gradient to this norm.")
    parser.option("--accumulate", type=whole, help="Add up the gradients of so many batches before each step.")
    parser.option("--aux-weight", type=real, help="The weight of the loss of train-only outputs that have none.")
    parser.option("--seed", type=whole, help="Seeds everything; also asks for deterministic kernels.")
    parser.option("--limit", type=whole, help="Use the first so many examples.")
    parser.option("--val-split", type=real, help="Test on this part of the training set.")
    parser.switch("--skip-unreadable", help="Leave out pictures that cannot be read.")
    precisions = OneOf(("32", "bf16", "16", "auto"))
    parser.option("--precision", type=precisions, help="What it computes in; auto: bf16 where that is in hardware.")
    parser.switch("--tf32", help="Let GPUs multiply in TF32.")
    parser.switch("--channels-last", help="Lay pictures out channels last; left out: where it is faster.")
    parser.switch("--compile", help="Use torch.compile.")


def run(given: Namespace) -> int:
    """Train, or start a process a device that does; gives the exit code."""
    require_weights(given.weights, map=given.map, key=given.key)
    from cnnc.diagnostics.missing_packages import NEEDS, require
    from cnnc.files.checks import is_utf8
    from cnnc.train.launch import launch, started_by_launcher

    if not given.out:
        raise WrongCall("--out: an empty name is no folder; . is the current one")
    if given.data is not None and not is_utf8(given.data):
        raise WrongCall("--data: a recipe cannot hold a path that is not UTF-8; rename the folder")
    require(NEEDS["train"], "training")
    if not started_by_launcher() and given.devices > 1:
        return launch(sys.argv[1:], given.devices)
    return _train(given, {name: value for name, value in vars(given).items() if name not in OTHERS})


def _train(given: Namespace, fields: dict[str, Any]) -> int:
    from pathlib import Path

    from cnnc.compiler import load
    from cnnc.train.monitor.summary import summary
    from cnnc.train.run import train

    spec, out, resume = given.spec, given.out, given.resume
    graph = load(spec, set=parameters(given.set))
    if not resume:
        _require_fields(graph, fields)
    weights = _weights(graph, given)
    trained = train(graph, fields, Path(out), resume=resume, weights=weights, device=given.device, say=note)
    if trained.signal:
        if trained.first:
            again = ["cnnc", "train", spec, *(word for each in given.set or () for word in ("--set", each))]
            again += [*(["-o", out] if out != OUT else []), "--resume"]
            stopped = f"stopped in epoch {len(trained.records) + 1}"
            print(f"{stopped}; go on with: {shlex.join(again)}", file=sys.stderr)
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
            )
        )
    return 0


def _require_fields(graph: Any, given: dict[str, Any]) -> None:
    """What is wrong with a recipe that the spec alone gave right is wrong with the call."""
    from cnnc.diagnostics import CnncError
    from cnnc.train.recipe import recipe

    try:
        recipe(graph.train, given)
    except CnncError as error:
        raise WrongCall("; ".join(each.message for each in error.diagnostics)) from None


def _weights(graph: Any, given: Namespace) -> Any:
    """What training starts from; of several ranks the first says what there is to say of it."""
    from pathlib import Path

    from cnnc.targets import torch_module
    from cnnc.weights import load as files

    if given.weights is None:
        return None
    say = note if os.environ.get("RANK", "0") == "0" else lambda remark: None
    map = None if given.map is None else Path(given.map)
    return files.read(Path(given.weights), torch_module.shapes(graph), map, given.key, say)
