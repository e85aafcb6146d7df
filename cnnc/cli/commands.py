"""The table of commands and their parsers. Only the module of the command that runs is imported."""

from importlib import import_module
from typing import NamedTuple

from cnnc.cli.parser import OneOf, Parser

CODES = (
    "Exit codes: 0 fine, 1 a spec (a file, a model, a picture) is wrong, 2 the command line is wrong, "
    "3 cnnc itself failed."
)


class Command(NamedTuple):
    """A command: its module, which has `add_options` and `run`, and its help text."""

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
    "import": Command(
        "cnnc.cli.import_onnx",
        "Write the spec and the weights of an ONNX file or a torch module, and verify them by running both.",
    ),
    "verify": Command(
        "cnnc.cli.verify", "Verify a model file against its spec, for example after another tool has rewritten it."
    ),
    "quantize": Command(
        "cnnc.cli.quantize", "Write an ONNX file in int8, calibrated and compared with the float32 file on pictures."
    ),
    "infer": Command("cnnc.cli.infer", "Run an ONNX file on pictures and print the most likely classes of each."),
    "eval": Command(
        "cnnc.cli.eval",
        "Score a model on labelled pictures: accuracy, loss, and a table with a row for each class.",
    ),
    "bench": Command(
        "cnnc.cli.bench", "Measure ONNX files side by side: latency, pictures/s, memory, GFLOP/s, time of each block."
    ),
    "inspect": Command("cnnc.cli.inspect", "Print what an ONNX file contains: contract, labels, hashes, sizes, spec."),
    "diff": Command("cnnc.cli.diff", "Compare two networks: nodes added, removed and changed, and the change in cost."),
    "draw": Command(
        "cnnc.cli.draw", "Draw a network as SVG, PNG, an HTML page to explore, or text for Graphviz and Mermaid."
    ),
    "fmt": Command(
        "cnnc.cli.fmt", "Format specs in place: order of keys, one line or several by length, comments kept."
    ),
    "weights": Command(
        "cnnc.cli.weights",
        "Propose a map from a checkpoint's names to a spec's, by order and shape. Exits with 1 if any is undecided.",
    ),
    "schema": Command("cnnc.cli.schema", "Print the JSON Schema of the spec language, for editors and validators."),
    "lsp": Command("cnnc.cli.lsp", "Serve an editor: shapes beside the lines, diagnostics, completion, renaming."),
    "explain": Command("cnnc.cli.explain", "Print the page about a diagnostic code, an op or a word."),
    "train": Command(
        "cnnc.cli.train",
        "Train a spec by its recipe. The options from --data to --save-steps override fields of the recipe.",
    ),
    "data": Command(
        "cnnc.cli.data",
        "Pack a data set: its pictures, decoded and resized, in one file from which training is faster.",
    ),
    "runs": Command(
        "cnnc.cli.runs", "List training runs side by side: state, best epoch, time, and how their recipes differ."
    ),
}


def parser_of(name: str) -> Parser:
    """Return the parser of a command."""
    parser = Parser(f"cnnc {name}", COMMANDS[name].help)
    import_module(COMMANDS[name].module).add_options(parser)
    return parser


def bare_parser() -> Parser:
    """Return the parser of a command line without a command."""
    about = "Compile specs of convolutional networks: check shapes, build torch and ONNX files, run them on pictures."
    parser = Parser("cnnc", about, CODES)
    parser.flag("--version", help="Print the version and exit.")
    shells = OneOf(("bash", "zsh", "fish"))
    parser.option("--install-completion", type=shells, help="Install command line completion for this shell.")
    shells = OneOf((*shells.words, "powershell"))
    script = "Print the completion script, to copy it or customize the installation."
    parser.option("--show-completion", type=shells, help=script)
    parser.list_commands({name: each.help for name, each in COMMANDS.items()})
    return parser
