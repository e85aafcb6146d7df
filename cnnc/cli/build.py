"""`cnnc build`: a spec to ONNX, TorchScript and more, verified against the torch module."""

import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from cnnc.cli.options import EMPTY_OUT, WEIGHTS, add_set, add_spec, add_weights, note, parameters, require_weights
from cnnc.cli.parser import Number, OneOf, Parser, WrongCall
from cnnc.cli.precision import add_precision, request_of
from cnnc.passes.pipeline import NAMES
from cnnc.targets.choices import DEFAULTS, OPSET, OPSETS, Target


def add_options(parser: Parser) -> None:
    """Add the arguments and options of `cnnc build`."""
    add_spec(parser)
    targets = f"Format to write; may be repeated. [default: {', '.join(DEFAULTS)}]"
    parser.option("--target", type=OneOf(Target), repeat=True, help=targets)
    add_weights(parser, f"{WEIGHTS.capitalize()}. Without it, the weights are random.")
    add_set(parser)
    seeds = Number(least=0, most=2**63 - 1)
    parser.option("--seed", type=seeds, default=0, help="Seed of random weights and of the verification.")
    opsets = Number(least=OPSETS[0], most=OPSETS[-1])
    parser.option("--opset", type=opsets, default=OPSET, help="ONNX operator set version.")
    uint8 = "The ONNX file takes pictures as uint8 N×H×W×C, and scales, normalises and transposes them itself."
    parser.flag("--uint8", help=uint8)
    add_precision(parser)
    parser.option("--out", "-o", metavar="DIR", default="build", help="Write to DIR/NAME/.")
    passes = f"Print the graph after a pass ({', '.join(NAMES)}); may be repeated."
    parser.option("--print-after", metavar="PASS", type=OneOf(NAMES), repeat=True, help=passes)


def run(given: Namespace) -> int:
    """Write and verify the targets, and return the exit code."""
    from cnnc.compiler import build

    if not given.out:
        raise WrongCall(EMPTY_OUT)
    require_weights(given.weights, map=given.map, key=given.key)
    targets = tuple(given.target or DEFAULTS)
    request = request_of(given, given.precision or (), trained=given.weights is not None, targets=targets)

    def after_pass(name: str, network: Any) -> None:
        from cnnc.graph.graph import text

        if name in (given.print_after or ()):
            print(text(network.graph))

    with shown_progress() as progress:
        built = build(
            given.spec,
            targets=targets,
            set=parameters(given.set),
            weights=given.weights,
            map=given.map,
            key=given.key,
            seed=given.seed,
            opset=given.opset,
            uint8=given.uint8,
            precision=request,
            out=given.out,
            progress=progress,
            note=note,
            after_pass=after_pass,
        )
    for each in built.versions:
        for remark in each.remarks:
            note(remark)
    print(built.as_text())
    return 0


@contextmanager
def shown_progress() -> Iterator[Callable[[str], None]]:
    """Show the current stage if standard error is a terminal."""
    if not sys.stderr.isatty():
        yield lambda stage: None
        return
    from rich.console import Console

    with Console(stderr=True).status("") as status:
        yield status.update
