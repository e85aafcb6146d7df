"""The table of commands, each in a module that is imported where it runs, and their parsers."""

from importlib import import_module
from typing import NamedTuple

from cnnc.cli.parser import OneOf, Parser

CODES = "Exit codes: 0 fine, 1 a spec (a file, a model, a picture) is wrong, 2 the call is wrong, 3 cnnc itself failed."


class Command(NamedTuple):
    """Where a command lives, in a module with `add_options` and `run`, and what it is for."""

    module: str
    help: str


COMMANDS = {
    "check": Command(
        "cnnc.cli.check",
        "Prove specs without running them: a table with a row for each node, or every mistake with its place.",
    ),
    "build": Command(
        "cnnc.cli.build", "Compile a spec to ONNX, TorchScript and more, verified against the torch module."
    ),
    "verify": Command(
        "cnnc.cli.verify", "Verify a file against the spec that it was made from; another tool may have rewritten it."
    ),
    "infer": Command("cnnc.cli.infer", "Run an ONNX file on pictures: the most likely classes of each."),
    "eval": Command(
        "cnnc.cli.eval",
        "Score a model on labelled pictures: accuracy, loss, and a table with a row for each class.",
    ),
    "diff": Command("cnnc.cli.diff", "Compare two networks: nodes added, removed and changed, and what that costs."),
    "weights": Command(
        "cnnc.cli.weights",
        "Propose a map from a checkpoint's names to a spec's, by order and shape; exits with 1 where any is undecided.",
    ),
    "explain": Command("cnnc.cli.explain", "Print the page about a diagnostic's code."),
    "train": Command(
        "cnnc.cli.train",
        "Train a spec by its recipe; options, up to --compile, put other values in place of the recipe's.",
    ),
}


def parser_of(name: str) -> Parser:
    """The parser of a command."""
    parser = Parser(f"cnnc {name}", COMMANDS[name].help)
    import_module(COMMANDS[name].module).add_options(parser)
    return parser


def bare_parser() -> Parser:
    """The parser of a line without a command."""
    about = "Compile specs of convolutional networks: check shapes, build torch and ONNX files, run them on pictures."
    parser = Parser("cnnc", about, CODES)
    parser.flag("--version", help="Print the version and exit.")
    shells = OneOf(("bash", "zsh", "fish"))
    parser.option("--install-completion", type=shells, help="Install completion of command lines for this shell.")
    shells = OneOf((*shells.words, "powershell"))
    told = "Show the script for completion, to copy it or customize the installation."
    parser.option("--show-completion", type=shells, help=told)
    parser.list_commands({name: each.help for name, each in COMMANDS.items()})
    return parser
