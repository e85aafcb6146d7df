"""`cnnc verify`: compare a model file, which another tool may have rewritten, with its spec's torch module.

The file may crash the process that runs it, or never finish. So a child process does the work. It gets the options as
JSON on its command line. On its stdout it sends an empty line before it loads the file, then the result, and last its
exit code, without which the file has ended the process. Messages go to the common stderr.
"""

import json
import os
import signal
import subprocess
import sys
from argparse import Namespace
from functools import partial
from io import TextIOWrapper
from time import sleep
from typing import IO

from cnnc.cli.options import SECONDS, WEIGHTS, add_set, add_spec, add_weights, note, parameters, require_weights
from cnnc.cli.parser import Number, Parser
from cnnc.diagnostics import CnncError, Code
from cnnc.diagnostics.render import visible
from cnnc.processes import end, end_after, reserve_stdout, start, stopped_after

TIMEOUT = 600.0  # large networks are run several times, also by torch, and the machine may be busy


def add_options(parser: Parser) -> None:
    """Add the arguments and options of `cnnc verify`."""
    add_spec(parser)
    parser.argument("model", "The file: .onnx, .pt, .pt2, .py or .spec.yaml.")
    add_weights(parser, f"{WEIGHTS.capitalize()}. Without it, the random weights of `build`.")
    add_set(parser)
    seeds = Number(least=0, most=2**63 - 1)
    parser.option("--seed", type=seeds, default=0, help="Seed of random weights and of the inputs.")
    limit = "Time limit for loading and running the file."
    parser.option("--timeout", metavar="SECONDS", type=SECONDS, default=TIMEOUT, help=limit)


def run(given: Namespace) -> int:
    """Print how far the outputs are from torch's, and return the exit code.

    Raises CnncError (E507) if the process that runs the model dies or takes too long.
    """
    require_weights(given.weights, map=given.map, key=given.key)
    parameters(given.set)
    with _child(given) as process:
        try:
            return _result(process, given.model, given.timeout)
        finally:
            process.kill()  # after an interrupt; otherwise it has ended


def _child(given: Namespace) -> "subprocess.Popen[str]":
    return start("cnnc.cli.verify", json.dumps(vars(given)), stdout=subprocess.PIPE, encoding="utf-8")


def _result(process: "subprocess.Popen[str]", model: str, timeout: float) -> int:
    """Print the result of the child and return its exit code; raises E507."""
    assert process.stdout is not None  # it is a pipe
    first = process.stdout.readline()
    with stopped_after(timeout, process) as stopped:
        *found, last = [first, *process.stdout]
        code = process.wait()
    if stopped.is_set():
        raise CnncError.of(
            Code.MODEL_FAILED,
            f"{model}: stopped after {timeout:g} s of loading and running the file",
            help="give a slow model more time with `--timeout SECONDS`; one with an endless loop cannot be verified",
        )
    if last != f"{code}\n":
        how = f"was killed by signal {-code}" if code < 0 else f"ended with status {code}, without a result"
        raise CnncError.of(
            Code.MODEL_FAILED,
            f"{model}: the process that runs the file {how}",
            help="the file is damaged, or the tool that wrote it has changed what it computes",
        )
    for line in found[1:]:
        print(f"{visible(model)}: {line}", end="")
    return code


def _verify(given: Namespace, answers: IO[str]) -> int:
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


def _wait_for_end_of(parent: int) -> None:
    while os.getppid() == parent:
        sleep(1)


def main() -> None:
    """Run as the child process. Other output goes to stderr, because stdout carries the result."""
    from cnnc.cli.app import report_errors

    signal.signal(signal.SIGINT, signal.SIG_DFL)  # native code would delay a KeyboardInterrupt
    end_after(partial(_wait_for_end_of, os.getppid()))
    answers = TextIOWrapper(reserve_stdout(), encoding="utf-8")
    given = Namespace(**json.loads(sys.argv[1]))
    code = report_errors(partial(_verify, given, answers), ["verify"])
    print(code, file=answers, flush=True)
    end(code)


if __name__ == "__main__":
    main()
