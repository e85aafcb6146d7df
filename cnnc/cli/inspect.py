"""`cnnc inspect`: print what an ONNX file contains: contract, preprocessing, labels, hashes, sizes and the spec."""

import json
from argparse import Namespace

from cnnc.cli.parser import OneOf, Parser
from cnnc.diagnostics.render import show


def add_options(parser: Parser) -> None:
    """Add the argument and options of `cnnc inspect`."""
    parser.argument("model", "An ONNX file.")
    parser.flag("--spec", help="Print only the spec, as YAML that the other commands take.")
    formats = OneOf(("text", "json"))
    parser.option("--format", type=formats, default="text", help="Text, or one JSON line; --spec prints YAML or JSON.")


def run(given: Namespace) -> int:
    """Print the description or the spec, and return the exit code: 1 for a file that has changed since the build."""
    from cnnc.inference.inspection import inspect, require_spec

    found = inspect(given.model)
    if given.spec:
        from cnnc.formatting import write

        spec = require_spec(found)
        print(json.dumps(spec, ensure_ascii=False) if given.format == "json" else write(spec).rstrip())
    else:
        print(json.dumps(found.as_json()) if given.format == "json" else found.as_text())
    show(found.faults)
    return 1 if found.faults else 0
