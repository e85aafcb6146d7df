"""The command line: a table of commands, each in a module that is imported where it runs, and what they end with.

In: the words of the command line. Out: the exit code. 0: fine. 1: a spec (a file, a model, a picture) is wrong. 2: the
call is wrong. 3: cnnc itself failed. A user's mistake is told on standard error, without a traceback.
"""

import os
import sys
from collections.abc import Sequence
from errno import EDQUOT, EFBIG, EIO, ENOSPC
from importlib import import_module
from typing import NamedTuple

from cnnc.cli.parser import OneOf, Parser, WrongCall
from cnnc.diagnostics import CnncError, Code
from cnnc.report import show, visible

UNWRITTEN = (ENOSPC, EDQUOT, EIO, EFBIG)
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
        "cnnc.cli.evaluate",
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


def answer(words: Sequence[str]) -> int:
    """Run the command line and tell what went wrong; gives the exit code.

    Raises OSError where the output cannot be written.
    """
    try:
        return _run(words)
    except WrongCall as error:
        return _tell_wrong_call(error)
    except CnncError as error:
        show(error.diagnostics)
        return 2 if any(each.code == Code.UNKNOWN_PARAM for each in error.diagnostics) else 1
    except KeyboardInterrupt:
        return 130
    except SystemExit:  # argparse has printed the help
        return 0
    except Exception as error:
        return _tell_failure(error, words)


def _tell_wrong_call(error: WrongCall) -> int:
    print(f"error: {visible(str(error))}", file=sys.stderr)
    if error.help:
        print(f"  = help: {visible(error.help)}", file=sys.stderr)
    return 2


def _tell_failure(error: Exception, words: Sequence[str]) -> int:
    """Tell of an exception that nobody expected: of a package that is not there, or of an internal error."""
    if isinstance(error, OSError) and (isinstance(error, BrokenPipeError) or error.errno in UNWRITTEN):
        raise error
    if isinstance(error, ModuleNotFoundError):
        from cnnc.installed import not_installed

        if missing := not_installed(error, f"`cnnc {words[0]}`" if words else "cnnc"):
            show(missing.diagnostics)
            return 1
    from cnnc.cli.internal import EXIT_CODE, report_internal

    report_internal(error)
    return EXIT_CODE


def _run(words: Sequence[str]) -> int:
    """Run the command that the first word names, or what the options before any command ask for."""
    if "_CNNC_COMPLETE" in os.environ:
        from cnnc.cli.completion import complete

        print("\n".join(complete(words)))
        return 0
    if not words or words[0].startswith("-"):
        return _run_bare(words)
    name = words[0]
    if name not in COMMANDS:
        from cnnc.spec.suggestions import did_you_mean

        raise WrongCall(f"there is no command `{name}`", did_you_mean(name, COMMANDS))
    given = parser_of(name).read(words[1:])
    code: int = import_module(COMMANDS[name].module).run(given)
    return code


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


def _run_bare(words: Sequence[str]) -> int:
    parser = bare_parser()
    if not words:
        print(parser.format_help(), end="", file=sys.stderr)
        return 2
    given = parser.read(words)
    if given.version:
        from cnnc.targets.version import cnnc_version

        print(cnnc_version())
    elif given.install_completion:
        from cnnc.cli.completion import install

        print(f"{install(given.install_completion)}: completion begins in the next shell that is started")
    elif given.show_completion:
        from cnnc.cli.completion import SCRIPTS

        print(SCRIPTS[given.show_completion], end="")
    else:
        raise WrongCall("which command? It comes first", "`cnnc --help` lists them")
    return 0
