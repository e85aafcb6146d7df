"""`cnnc infer`: print the most likely classes of pictures.

Imports are few and late, so that the start takes little longer than importing onnxruntime and numpy.
"""

import json
import sys
from argparse import Namespace

from cnnc.cli.options import SECONDS
from cnnc.cli.parser import Number, OneOf, Parser
from cnnc.diagnostics.render import show, visible
from cnnc.inference.providers import TIMEOUT, WANTED


def add_options(parser: Parser) -> None:
    """Add the arguments and options of `cnnc infer`."""
    parser.argument("model", "An ONNX file.")
    parser.argument("images", "Pictures, or folders of them.", several=True)
    parser.option("--top", "-k", metavar="K", type=Number(least=1), default=5, help="Number of classes to show.")
    provider = "The provider that runs the model; auto uses CUDA if it works."
    parser.option("--provider", type=OneOf(WANTED), default="auto", help=provider)
    formats = OneOf(("text", "json"))
    parser.option("--format", type=formats, default="text", help="A table, or one JSON line per picture.")
    parser.flag("--allow-external", help="Read weights in other files of the model's folder.")
    parser.flag("--accept-changed", help="Run a file of cnnc that another tool has rewritten, or that is damaged.")
    timeout = "Time limit per picture for a model without cnnc's metadata."
    parser.option("--timeout", metavar="SECONDS", type=SECONDS, default=TIMEOUT, help=timeout)


def run(given: Namespace) -> int:
    """Run the model on each picture, and return the exit code; raises CnncError for a model that cannot run."""
    from cnnc.inference.integrity import open_model

    opened = open_model(given.model, accept_changed=given.accept_changed)  # a thread hashes it during the imports
    from cnnc.inference.predict import infer_many, load_model
    from cnnc.inference.results import Failed

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
