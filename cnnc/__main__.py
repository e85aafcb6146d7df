"""The entry point, `cnnc` and `python -m cnnc`: what a user got wrong is said without a traceback."""

import gc
import os
import sys

from cnnc.diagnostics import CnncError, Code
from cnnc.report import show


def main() -> None:
    """Run the command line and exit: 0 fine, 1 a spec (a file, a model, a picture) is wrong, 2 the call is wrong."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        _run()
    except CnncError as error:
        show(error.diagnostics)
        sys.exit(2 if any(each.code == Code.UNKNOWN_PARAM for each in error.diagnostics) else 1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # whoever read our output has enough; Python would complain once more while it closes the stream
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _run() -> None:
    if sys.argv[1:2] == ["infer"]:
        from cnnc.cli_infer import run

        sys.exit(run(sys.argv[2:]))
    if sys.argv[1:2] == ["check"]:
        # what a check makes is bounded as specs are; looking for garbage in it takes a third of the time
        gc.disable()
    from cnnc.cli import app

    app()


if __name__ == "__main__":
    main()
