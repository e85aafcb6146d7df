"""Run a command in a child process, because the model file that it runs may crash the process, or never finish.

Takes the command's name and options; its module has `work(given, answers)`, which returns the exit code. The child gets
the options as JSON on its command line. On its stdout it sends an empty line before it loads the file, then the result,
and last its exit code, without which the file has ended the process. The time limit starts with the empty line, and
again with every line after it. Messages go to the common stderr.
"""

import json
import os
import signal
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from functools import partial
from importlib import import_module
from io import TextIOWrapper
from time import sleep

from cnnc.diagnostics import CnncError, Code
from cnnc.processes import end, end_after, reserve_stdout, start, stopped_after

TIMEOUT = 600.0  # large networks are run several times, also by torch, and the machine may be busy


def run(command: str, given: Namespace, model: str, timeout: float, show: Callable[[str], None]) -> int:
    """Run the command, call `show` with each line of its result, and return its exit code.

    Raises CnncError (E507) if the process that runs `model` dies, or sends nothing for `timeout` seconds.
    """
    child = start("cnnc.cli.guarded", command, json.dumps(vars(given)), stdout=subprocess.PIPE, encoding="utf-8")
    with child as process:
        try:
            return _result(process, model, timeout, show)
        finally:
            process.kill()  # after an interrupt; otherwise it has ended


def _result(process: "subprocess.Popen[str]", model: str, timeout: float, show: Callable[[str], None]) -> int:
    """Show the result of the child and return its exit code; raises E507."""
    assert process.stdout is not None  # it is a pipe
    lines, late = [process.stdout.readline()], False
    while lines[-1]:
        with stopped_after(timeout, process) as stopped:
            lines.append(process.stdout.readline())
        late = stopped.is_set()
    with stopped_after(timeout, process) as stopped:
        code = process.wait()
    if late or stopped.is_set():
        raise CnncError.of(
            Code.MODEL_FAILED,
            f"{model}: stopped after {timeout:g} s of loading and running the file",
            help="give a slow model more time with `--timeout SECONDS`; one with an endless loop cannot be used",
        )
    if lines[-2:] != [f"{code}\n", ""]:
        how = f"was killed by signal {-code}" if code < 0 else f"ended with status {code}, without a result"
        raise CnncError.of(
            Code.MODEL_FAILED,
            f"{model}: the process that runs the file {how}",
            help="the file is damaged, the tool that wrote it has changed what it computes, or memory has run out",
        )
    for line in lines[1:-2]:
        show(line.removesuffix("\n"))
    return code


def _wait_for_end_of(parent: int) -> None:
    while os.getppid() == parent:
        sleep(1)


def main() -> None:
    """Run as the child process. Other output goes to stderr, because stdout carries the result."""
    from cnnc.cli.app import report_errors

    signal.signal(signal.SIGINT, signal.SIG_DFL)  # native code would delay a KeyboardInterrupt
    end_after(partial(_wait_for_end_of, os.getppid()))
    answers = TextIOWrapper(reserve_stdout(), encoding="utf-8")
    command, options = sys.argv[1:]
    work = import_module(f"cnnc.cli.{command}").work
    code = report_errors(partial(work, Namespace(**json.loads(options)), answers), [command])
    print(code, file=answers, flush=True)
    end(code)


if __name__ == "__main__":
    main()
