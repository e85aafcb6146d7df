"""`cnnc quantize`: an ONNX file to int8, without its spec.

The work is done in a child process: see `guarded.py`.
"""

import json
from argparse import Namespace
from contextlib import suppress
from pathlib import Path
from typing import IO

from cnnc.cli import guarded
from cnnc.cli.build import shown_progress
from cnnc.cli.options import SECONDS, note
from cnnc.cli.parser import OneOf, Parser
from cnnc.cli.precision import COMPARES, add_calibration, parts_of_run
from cnnc.diagnostics import CnncError


def add_options(parser: Parser) -> None:
    """Add the arguments and options of `cnnc quantize`."""
    parser.argument("model", "An ONNX file in float32.")
    add_calibration(parser, f"{COMPARES}.", required=True)
    parser.option(
        "--out", "-o", metavar="FILE", help="Write to this file; NAME.int8.onnx beside the model if left out."
    )
    parser.option("--format", type=OneOf(("text", "json")), default="text", help="A line, or one JSON line.")
    limit = "Time limit for each step of loading and running the file."
    parser.option("--timeout", metavar="SECONDS", type=SECONDS, default=guarded.TIMEOUT, help=limit)


def run(given: Namespace) -> int:
    """Write the int8 file and print how close it is, and return the exit code.

    Raises CnncError (E507) if the process that runs the model dies or takes too long.
    """
    from cnnc.files.write import sweep

    try:
        return guarded.run("quantize", given, given.model, given.timeout, _show)
    except CnncError:
        with suppress(OSError):
            sweep(_target(given).parent)  # a killed process leaves its staging folder
        raise


def _show(line: str) -> None:
    if line:  # an empty one only restarts the time limit
        print(line)


def _target(given: Namespace) -> Path:
    from cnnc.precision.quantize import target_of

    return target_of(Path(given.model), given.out)


def work(given: Namespace, answers: IO[str]) -> int:
    """Quantize in this process, and write the result to `answers`, with an empty line before each step."""
    from cnnc.precision.quantize import quantize

    with shown_progress() as show:

        def progress(stage: str) -> None:
            print(file=answers, flush=True)
            show(stage)

        reduced = quantize(
            given.model,
            calibrate=given.calibrate,
            out=given.out,
            calibration=given.calibration,
            calibration_pictures=given.calibration_pictures,
            max_drop=given.max_drop,
            **parts_of_run(given),
            progress=progress,
        )
    for remark in reduced.remarks:
        note(remark)
    kept = f"\n  in float32: {', '.join(reduced.in_float)}" if reduced.in_float else ""
    text = f"{_target(given)}  {reduced.file.bytes:,} bytes  {reduced}{kept}"
    print(json.dumps(reduced.as_json()) if given.format == "json" else text, file=answers)
    return 0
