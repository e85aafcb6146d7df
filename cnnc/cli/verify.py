"""`cnnc verify`: whether a file, which another tool may have rewritten, still computes what its spec says."""

from argparse import Namespace

from cnnc.cli.options import WEIGHTS, add_set, add_spec, add_weights, note, parameters, require_weights
from cnnc.cli.parser import Number, Parser
from cnnc.diagnostics.render import visible


def add_options(parser: Parser) -> None:
    """Take a spec, a model, and the weights that it was made from."""
    add_spec(parser)
    parser.argument("model", "The file: .onnx, .pt, .pt2 or .py.")
    add_weights(parser, f"{WEIGHTS.capitalize()}; left out: the random weights that `build` starts from.")
    add_set(parser)
    seeds = Number(least=0, most=2**63 - 1)
    parser.option("--seed", type=seeds, default=0, help="Seeds random weights and the inputs.")


def run(given: Namespace) -> int:
    """Say how far the model is from torch; gives the exit code, or raises CnncError where that is too far."""
    from cnnc.compiler import verify

    require_weights(given.weights, map=given.map, key=given.key)
    found = verify(
        given.spec,
        given.model,
        set=parameters(given.set),
        weights=given.weights,
        map=given.map,
        key=given.key,
        seed=given.seed,
        note=note,
    )
    print(f"{visible(given.model)}: {found}")
    return 0
