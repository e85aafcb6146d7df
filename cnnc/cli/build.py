"""`cnnc build`: a spec to ONNX, TorchScript and more, verified against the torch module."""

import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from cnnc.cli.options import WEIGHTS, add_set, add_spec, add_weights, note, parameters, require_weights
from cnnc.cli.parser import Number, OneOf, Parser, WrongCall
from cnnc.passes.pipeline import NAMES
from cnnc.targets.choices import DEFAULTS, OPSET, OPSETS, Target


def add_options(parser: Parser) -> None:
    """Take a spec, what to make of it, and from which weights."""
    add_spec(parser)
    told = f"What to write; may be repeated. [default: {', '.join(DEFAULTS)}]"
    parser.option("--target", type=OneOf(Target), repeat=True, help=told)
    add_weights(parser, f"{WEIGHTS.capitalize()}; left out: random weights.")
    add_set(parser)
    seeds = Number(least=0, most=2**63 - 1)
    parser.option("--seed", type=seeds, default=0, help="Seeds random weights and the verification.")
    opsets = Number(least=OPSETS[0], most=OPSETS[-1])
    parser.option("--opset", type=opsets, default=OPSET, help="The ONNX operator set.")
    parser.option("--out", "-o", metavar="DIR", default="build", help="Write to DIR/NAME/.")
    passes = f"Print the graph after a pass ({', '.join(NAMES)}); may be repeated."
    parser.option("--print-after", metavar="PASS", type=OneOf(NAMES), repeat=True, help=passes)


def run(given: Namespace) -> int:
    """Write and verify the targets; gives the exit code."""
    from cnnc.compiler import build

    if not given.out:
        raise WrongCall("--out: an empty name is no folder; . is the current one")
    require_weights(given.weights, map=given.map, key=given.key)

    def after_pass(name: str, network: Any) -> None:
        from cnnc.graph.text import text

        if name in (given.print_after or ()):
            print(text(network.graph))

    with _progress() as progress:
        built = build(
            given.spec,
            targets=given.target or DEFAULTS,
            set=parameters(given.set),
            weights=given.weights,
            map=given.map,
            key=given.key,
            seed=given.seed,
            opset=given.opset,
            out=given.out,
            progress=progress,
            note=note,
            after_pass=after_pass,
        )
    print(built.as_text())
    return 0


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """A line that tells what goes on, where somebody looks at it."""
    if not sys.stderr.isatty():
        yield lambda stage: None
        return
    from rich.console import Console

    with Console(stderr=True).status("") as status:
        yield status.update
