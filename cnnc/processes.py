"""Start the child processes of cnnc, and end processes.

Children run untrusted or slow work: models that may crash, and drawing. Each is a module run with `python -m`, ends
with its parent, and may have a time limit. This is the only module that ends a process without Python's clean-up.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread, Timer
from typing import IO, TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    import subprocess


def start(module: str, *arguments: str, **options: Any) -> "subprocess.Popen[Any]":
    """Start a module of this cnnc, also from a folder that hides it; `options` are those of Popen."""
    import subprocess

    folders = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")]
    return subprocess.Popen(
        [sys.executable, "-P", "-m", module, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, folders))},
        **options,
    )


@contextmanager
def stopped_after(seconds: float, process: "subprocess.Popen[Any]") -> Iterator[Event]:
    """Kill the process if the body takes longer than `seconds`; the event is set if that happened."""
    stopped = Event()

    def stop() -> None:
        stopped.set()
        process.kill()

    alarm = Timer(seconds, stop)
    alarm.daemon = True
    alarm.start()
    try:
        yield stopped
    finally:
        alarm.cancel()


def reserve_stdout() -> IO[bytes]:
    """Return the stream to the parent; from now on, prints to stdout go to stderr. A crash leaves no core dump."""
    stream = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return stream


def end_after(wait: Callable[[], object]) -> None:
    """End this process, also in the middle of native code, when `wait` returns: it waits for the end of the parent."""

    def run() -> None:
        wait()
        os._exit(1)  # only the main thread could end the process otherwise, and native code delays it

    Thread(target=run, daemon=True).start()


def end(code: int) -> NoReturn:
    """Flush the standard streams and end this process without Python's clean-up; raises OSError if a flush fails.

    The clean-up adds 35 % to the CPU time of `cnnc build` and 7 % to that of `cnnc check`, and one rank of several may
    abort in it.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def end_on_interrupt(*_: object) -> NoReturn:
    """Handle SIGINT: exit with 130, the exit code of a command that SIGINT ended.

    A KeyboardInterrupt could be lost inside an import or a callback.
    """
    if sys.stderr.isatty():
        os.write(2, b"\x1b[?25h\n")  # the progress display hides the cursor
    os._exit(130)
