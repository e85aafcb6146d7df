"""The entry point of `cnnc` and `python -m cnnc`: signals, streams, exit codes, no traceback for a user's mistake.

Only a process that runs the command line is changed here: `import cnnc` leaves its caller's process as it is.
"""

import gc
import os
import signal
import sys
from importlib import import_module
from types import ModuleType
from typing import NoReturn

from cnnc.processes import end, end_on_interrupt

SHORT = ("check", "build", "infer", "explain")  # a later run removes what an interrupted one leaves half done
PLUGINS = "pydantic.plugin._loader"


def main() -> NoReturn:
    """Run the command line and exit.

    Exit codes: 0 fine, 1 a spec (a file, a model, a picture) is wrong, 2 the command line is wrong, 3 cnnc failed.
    """
    _open_streams()
    if sys.argv[1:2] and sys.argv[1] in SHORT:
        signal.signal(signal.SIGINT, end_on_interrupt)
    _disable_pydantic_plugins()
    if sys.argv[1:2] in (["check"], ["build"], ["fmt"]):
        # limits on specs bound the memory; collection adds 8 % to the CPU time of a check of 13 specs (one spec: 4 %),
        # 5 to 13 % to that of a build, and 100 % to that of formatting 10,000 nodes
        gc.disable()
    try:
        from cnnc.cli.app import answer  # after the signal handlers: the import takes time

        code = answer(sys.argv[1:])
        sys.stdout.flush()
    except OSError as error:
        # the reader has closed the pipe, or the disk is full; Python would report it again when it closes the stream
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            print(f"error: cannot write the output: {error.strerror}", file=sys.stderr)
        code = 1
    end(code)


def _disable_pydantic_plugins() -> None:
    """Keep pydantic from searching the metadata of all installed packages for plugins: 7.5 % of a check's CPU time.

    A stub replaces the module that pydantic calls for its plugins. pydantic's own switch, PYDANTIC_DISABLE_PLUGINS,
    saves only 1.5 %: that module still imports importlib.metadata. The name is private. If a version of pydantic does
    not have it, the stub is never used; if one needs any other name of the module, the stub loads the real one.
    """

    def load_real_module(name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        sys.modules.pop(PLUGINS, None)
        return getattr(import_module(PLUGINS), name)

    stub = ModuleType(PLUGINS)
    vars(stub).update(get_plugins=tuple, __getattr__=load_real_module)
    sys.modules[PLUGINS] = stub


def _open_streams() -> None:
    """Escape characters that the streams cannot encode, and open /dev/null for streams that `>&-` has closed.

    Otherwise a file that is opened later would get the number of a closed stream.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (to the end)
        getattr(sys, name).reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    main()
