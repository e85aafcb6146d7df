"""`cnnc verify`: compare a model file, which another tool may have rewritten, with its spec's torch module.

The work is done in a child process: see `guarded.py`.
"""

from argparse import Namespace
from typing import IO

from cnnc.cli import guarded
from cnnc.cli.options import SECONDS, WEIGHTS, add_set, add_spec, add_weights, note, parameters, require_weights
from cnnc.cli.parser import Number, Parser
from cnnc.diagnostics.render import visible


def add_options(parser: Parser) -> None:
    """Add the arguments and options of `cnnc verify`."""
    add_spec(parser)
    parser.argument("model", "The file: .onnx, .pt, .pt2, .py or .spec.yaml.")
    add_weights(parser, f"{WEIGHTS.capitalize()}. Without it, the random weights of `build`.")
    add_set(parser)
    seeds = Number(least=0, most=2**63 - 1)
    parser.option("--seed", type=seeds, default=0, help="Seed of random weights and of the inputs.")
    limit = "Time limit for loading and running the file."
    parser.option("--timeout", metavar="SECONDS", type=SECONDS, default=guarded.TIMEOUT, help=limit)


def run(given: Namespace) -> int:
    """Print how far the outputs are from torch's, and return the exit code.

    Raises CnncError (E507) if the process that runs the model dies or takes too long.
    """
    require_weights(given.weights, map=given.map, key=given.key)
    parameters(given.set)
    return guarded.run(
        "verify", given, given.model, given.timeout, lambda line: print(f"{visible(given.model)}: {line}")
    )


def work(given: Namespace, answers: IO[str]) -> int:
    """Verify in this process, and write the result to `answers`."""
    from cnnc.compiler import verify

    def before_run() -> None:
        print(file=answers, flush=True)

    found = verify(
        given.spec,
        given.model,
        set=parameters(given.set),
        weights=given.weights,
        map=given.map,
        key=given.key,
        seed=given.seed,
        note=note,
        before_run=before_run,
    )
    print(found, file=answers, flush=True)
    return 0
