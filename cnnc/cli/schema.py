"""`cnnc schema`: print the JSON Schema of the spec language, for editors and validators."""

import json
from argparse import Namespace

from cnnc.cli.parser import Parser


def add_options(parser: Parser) -> None:
    """Add nothing: `cnnc schema` has no options."""


def run(given: Namespace) -> int:
    """Print the schema and return the exit code."""
    from cnnc.language.json_schema import json_schema

    print(json.dumps(json_schema(), indent=1, ensure_ascii=False))
    return 0
