"""`cnnc infer`: the most likely classes of pictures.

Its options are read by argparse. The command shall start in little more time than onnxruntime and numpy do, and typer
(with the pydantic that it reads options by) would take as long again; `cnnc.cli.app` hands over to this file.
"""

import argparse
import json
import sys
from collections.abc import Sequence

from cnnc.report import show, visible
from cnnc.runtime.providers import TIMEOUT, WANTED

LONGEST = 1e9  # seconds: threads cannot wait for ever


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cnnc infer", description="Run an ONNX file on pictures: the most likely classes."
    )
    parser.add_argument("model", help="an ONNX file")
    parser.add_argument("images", nargs="+", help="pictures, or folders of them")
    parser.add_argument(
        "-k", "--top", type=_count, default=5, metavar="K", help="how many classes to show (default: 5)"
    )
    parser.add_argument(
        "--provider",
        choices=WANTED,
        default="auto",
        help="what runs the model; auto takes CUDA where it works (the default)",
    )
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="a table, or one JSON line a picture"
    )
    parser.add_argument(
        "--allow-external", action="store_true", help="follow weights in other files of the model's folder"
    )
    parser.add_argument(
        "--accept-changed",
        action="store_true",
        help="run a file of cnnc that another tool has rewritten, or that is damaged",
    )
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=TIMEOUT,
        metavar="SECONDS",
        help=f"how long a model without cnnc's metadata may take for a picture (default: {TIMEOUT:g})",
    )
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of classes")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= LONGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return seconds


def run(arguments: Sequence[str]) -> int:
    """Run the command; gives the exit code. A wrong call exits with 2; raises CnncError for a model that cannot run."""
    given = _parser().parse_args(arguments)
    from cnnc.runtime.whole import open_model

    opened = open_model(given.model, accept_changed=given.accept_changed)  # it is hashed while the rest is imported
    from cnnc.runtime.infer import Failed, infer_many, load_model

    fine = True
    model = load_model(opened, given.provider, allow_external=given.allow_external, timeout=given.timeout)
    with model:
        for note in model.notes:
            print(visible(note), file=sys.stderr)
        for each in infer_many(model, given.images, given.top):
            if isinstance(each, Failed):
                fine = False
                show(each.error.diagnostics)
            if given.format == "json":
                print(json.dumps(each.as_json()))
            elif not isinstance(each, Failed):
                print(each.as_text())
    return 0 if fine else 1
