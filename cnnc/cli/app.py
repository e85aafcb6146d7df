"""The command line: the command that its first word names is run, and what went wrong is told.

In: the words of the command line. Out: the exit code. 0: fine. 1: a spec (a file, a model, a picture) is wrong. 2: the
call is wrong. 3: cnnc itself failed. A user's mistake is told on standard error, without a traceback.
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
    """Run the command line and tell what went wrong; gives the exit code.

    Raises OSError where the output cannot be written.
    """
    return told(partial(_run, words), words)


def told(run: Callable[[], int], words: Sequence[str]) -> int:
    """Return the exit code of `run`, which carries out the command line `words`; print its errors on standard error."""
    try:
        return run()
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
        from cnnc.diagnostics.missing_packages import not_installed

        if missing := not_installed(error, words[0] if words else "", f"`cnnc {words[0]}`" if words else "cnnc"):
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
        from cnnc.version import cnnc_version

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
