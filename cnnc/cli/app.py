"""Run a command line: call the command that the first word names, and report errors.

Takes the words of the command line and returns the exit code. 0: fine. 1: a spec (a file, a model, a picture) is wrong.
2: the command line is wrong. 3: cnnc itself failed. Errors go to standard error, without a traceback.
"""

import os
import sys
from collections.abc import Callable, Sequence
from errno import EDQUOT, EFBIG, EIO, ENOSPC
from functools import partial
from importlib import import_module

from cnnc.cli.commands import COMMANDS, bare_parser, parser_of
from cnnc.cli.parser import WrongCall
from cnnc.diagnostics import CnncError, Code
from cnnc.diagnostics.render import show, visible

UNWRITTEN = (ENOSPC, EDQUOT, EIO, EFBIG)


def answer(words: Sequence[str]) -> int:
    """Run the command line, report errors, and return the exit code.

    Raises OSError if the output cannot be written.
    """
    return report_errors(partial(_run, words), words)


def report_errors(run: Callable[[], int], words: Sequence[str]) -> int:
    """Return the exit code of `run`, which runs the command line `words`; print its errors to standard error."""
    try:
        return run()
    except WrongCall as error:
        return _report_wrong_call(error)
    except CnncError as error:
        show(error.diagnostics)
        return 2 if any(each.code == Code.UNKNOWN_PARAM for each in error.diagnostics) else 1
    except KeyboardInterrupt:
        return 130
    except SystemExit:  # argparse has printed the help
        return 0
    except Exception as error:
        return _report_failure(error, words)


def _report_wrong_call(error: WrongCall) -> int:
    print(f"error: {visible(str(error))}", file=sys.stderr)
    if error.help:
        print(f"  = help: {visible(error.help)}", file=sys.stderr)
    return 2


def _report_failure(error: Exception, words: Sequence[str]) -> int:
    """Report an unexpected exception, as a missing package (exit code 1) or as an internal error (3)."""
    if isinstance(error, OSError) and (isinstance(error, BrokenPipeError) or error.errno in UNWRITTEN):
        raise error
    if isinstance(error, ModuleNotFoundError):
        from cnnc.diagnostics.missing_packages import not_installed

        if missing := not_installed(error, words[0] if words else "", f"`cnnc {words[0]}`" if words else "cnnc"):
            show(missing.diagnostics)
            return 1
    from cnnc.cli.internal import EXIT_CODE, report_internal

    report_internal(error)
    return EXIT_CODE


def _run(words: Sequence[str]) -> int:
    """Run the command that the first word names, or the options of a line without a command."""
    if "_CNNC_COMPLETE" in os.environ:
        from cnnc.cli.completion import complete

        print("\n".join(complete(words)))
        return 0
    if not words or words[0].startswith("-"):
        return _run_bare(words)
    name = words[0]
    if name not in COMMANDS:
        from cnnc.diagnostics.suggestions import did_you_mean

        raise WrongCall(f"there is no command `{name}`", did_you_mean(name, COMMANDS))
    given = parser_of(name).read(words[1:])
    code: int = import_module(COMMANDS[name].module).run(given)
    return code


def _run_bare(words: Sequence[str]) -> int:
    parser = bare_parser()
    if not words:
        print(parser.format_help(), end="", file=sys.stderr)
        return 2
    given = parser.read(words)
    if given.version:
        from cnnc.version import __version__

        print(__version__)
    elif given.install_completion:
        from cnnc.cli.completion import install

        print(f"{install(given.install_completion)}: completion works in the next shell that you start")
    elif given.show_completion:
        from cnnc.cli.completion import SCRIPTS

        print(SCRIPTS[given.show_completion], end="")
    else:
        raise WrongCall("a command must come first", "`cnnc --help` lists the commands")
    return 0
