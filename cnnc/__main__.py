"""The entry point, `cnnc` and `python -m cnnc`: what a user got wrong is said without a traceback."""

import gc
import os
import signal
import sys
from importlib import import_module
from types import ModuleType
from typing import NoReturn

SHORT = ("check", "build", "infer", "explain")  # what they leave half done is swept later
PLUGINS = "pydantic.plugin._loader"


def main() -> NoReturn:
    """Run the command line and exit.

    0: fine. 1: a spec (a file, a model, a picture) is wrong. 2: the call is wrong. 3: cnnc itself failed.
    """
    _open_streams()
    if sys.argv[1:2] and sys.argv[1] in SHORT:
        # at once: an interrupt within an import or a callback can be lost there, and what is half done is swept later
        signal.signal(signal.SIGINT, _stop)
    _have_no_plugins()
    if sys.argv[1:2] in (["check"], ["build"]):
        # what they make is bounded as specs are; looking for garbage takes a third of a check, a tenth of a build
        gc.disable()
    try:
        from cnnc.cli.app import answer  # behind the signals: an import takes time

        code = answer(sys.argv[1:])
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


def _have_no_plugins() -> None:
    """Spare pydantic the search for its plugins in the metadata of all that is installed: a twelfth of a check.

    It asks a module of its own, and a stand-in answers. Of a version that asks it for more, the module itself answers.
    """

    def ask_the_module_itself(name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        sys.modules.pop(PLUGINS, None)
        return getattr(import_module(PLUGINS), name)

    stand_in = ModuleType(PLUGINS)
    vars(stand_in).update(get_plugins=tuple, __getattr__=ask_the_module_itself)
    sys.modules[PLUGINS] = stand_in


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


if __name__ == "__main__":
    main()
