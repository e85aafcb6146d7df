"""The entry point, `cnnc` and `python -m cnnc`: what a user got wrong is said without a traceback."""

import errno
import gc
import os
import signal
import sys
from typing import NoReturn

from cnnc.diagnostics import CnncError, Code
from cnnc.report import show

UNWRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG)
SHORT = ("check", "build", "infer", "explain")  # what they leave half done is swept later


def main() -> NoReturn:
    """Run the command line and exit.

    0: fine. 1: a spec (a file, a model, a picture) is wrong. 2: the call is wrong. 3: cnnc itself failed.
    """
    _open_streams()
    if sys.argv[1:2] and sys.argv[1] in SHORT:
        # at once: an interrupt within an import or a callback can be lost there, and what is half done is swept later
        signal.signal(signal.SIGINT, _stop)
    try:
        code = _report()
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError as error:
        # whoever reads our output has enough, or the disk; Python would complain again while it closes the stream
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            print(f"error: cannot write the output: {error.strerror}", file=sys.stderr)
        code = 1
    # an interpreter with torch in it takes half a second to be torn down, and that of one rank of several may abort
    os._exit(code)


def _stop(*_: object) -> NoReturn:
    """Ctrl-C: exit as a command that it has ended does."""
    if sys.stderr.isatty():
        os.write(2, b"\x1b[?25h\n")  # the progress display hides the cursor
    os._exit(130)


def _open_streams() -> None:
    """Streams that take every character; those that `>&-` has closed lead nowhere, and no file gets their numbers."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (to the end)
        getattr(sys, name).reconfigure(errors="backslashreplace")


def _report() -> int:
    """Run the command and print what the user got wrong; gives the exit code."""
    try:
        return _run()
    except CnncError as error:
        show(error.diagnostics)
        return 2 if any(each.code == Code.UNKNOWN_PARAM for each in error.diagnostics) else 1
    except KeyboardInterrupt:
        return 130
    except ModuleNotFoundError as error:
        from cnnc.installed import not_installed

        missing = not_installed(error, f"`cnnc {sys.argv[1]}`" if sys.argv[1:] else "cnnc")
        if missing is None:
            return _failed(error)
        show(missing.diagnostics)
        return 1
    except Exception as error:
        if isinstance(error, OSError) and (isinstance(error, BrokenPipeError) or error.errno in UNWRITTEN):
            raise
        return _failed(error)


def _failed(error: Exception) -> int:
    """Tell of an exception that nobody expected; gives the exit code."""
    from cnnc.cli.internal import EXIT_CODE, report_internal

    report_internal(error)
    return EXIT_CODE


def _run() -> int:
    """Run the command; gives its exit code."""
    if sys.argv[1:2] == ["infer"]:
        from cnnc.cli.infer import run

        return run(sys.argv[2:])
    if sys.argv[1:2] in (["check"], ["build"]):
        # what they make is bounded as specs are; looking for garbage takes a third of a check, a tenth of a build
        gc.disable()
    from cnnc.cli.app import app

    try:
        app()
    except SystemExit as exit:
        return exit.code if isinstance(exit.code, int) else 0
    return 0


if __name__ == "__main__":
    main()
