"""`cnnc quantize`: an ONNX file to int8, without its spec."""

import json
from argparse import Namespace
from pathlib import Path

from cnnc.cli.build import shown_progress
from cnnc.cli.options import note
from cnnc.cli.parser import OneOf, Parser
from cnnc.cli.precision import add_calibration


def add_options(parser: Parser) -> None:
    """Add the arguments and options of `cnnc quantize`."""
    parser.argument("model", "An ONNX file in float32.")
    add_calibration(parser, required=True)
    parser.option(
        "--out", "-o", metavar="FILE", help="Write to this file; NAME.int8.onnx beside the model if left out."
    )
    parser.option("--format", type=OneOf(("text", "json")), default="text", help="A line, or one JSON line.")


def run(given: Namespace) -> int:
    """Write the int8 file and print how close it is, and return the exit code."""
    from cnnc.precision.quantize import quantize, target_of

    with shown_progress() as progress:
        reduced = quantize(
            given.model,
            calibrate=given.calibrate,
            out=given.out,
            calibration=given.calibration,
            calibration_pictures=given.calibration_pictures,
            max_drop=given.max_drop,
            progress=progress,
        )
    for remark in reduced.remarks:
        note(remark)
    target = target_of(Path(given.model), given.out)
    kept = f"\n  in float32: {', '.join(reduced.in_float)}" if reduced.in_float else ""
    text = f"{target}  {reduced.file.bytes:,} bytes  {reduced}{kept}"
    print(json.dumps(reduced.as_json()) if given.format == "json" else text)
    return 0
