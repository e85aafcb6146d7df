"""`python -m tests.diagnostics.commands`: run command lines and Python programs one after another, in one process.

Both come as JSON on standard input: a list of words is a command line, a text is a program. On standard output is, for
each, its exit code and what it printed. Imports only what `cnnc` itself imports at its start.
"""

import json
import os
import sys
from collections.abc import Callable
from functools import partial
from tempfile import TemporaryFile
from typing import Any
from unittest.mock import patch

from cnnc.cli import app, guarded
from tests.command import guarded_here


def main() -> None:
    """Run all, and print the outcomes."""
    in_child = guarded.run

    def run(*arguments: Any) -> int:
        return (guarded_here if sys.modules.get("torch") else in_child)(*arguments)  # a child would import torch again

    jobs = json.load(sys.stdin)
    with patch.object(guarded, "run", run):
        print(json.dumps([_outcome(each) for each in jobs]))


def _outcome(job: Any) -> tuple[int, str, str]:
    """The exit code, and what was printed to stdout and stderr, by child processes too."""
    with TemporaryFile() as out, TemporaryFile() as err:
        code = _redirected(partial(_run, job), (out.fileno(), err.fileno()))
        out.seek(0)
        err.seek(0)
        return code, out.read().decode(), err.read().decode()


def _run(job: Any) -> int:
    if not isinstance(job, str):
        return app.answer(job)
    try:
        exec(job, {})
    except SystemExit as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _redirected(run: Callable[[], int], files: tuple[int, int]) -> int:
    """What `run` returns, with the standard streams going to `files` in the meantime."""
    before = [os.dup(number) for number in (1, 2)]
    for number, file in zip((1, 2), files, strict=True):
        os.dup2(file, number)
    try:
        return run()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, file in zip((1, 2), before, strict=True):
            os.dup2(file, number)
            os.close(file)


if __name__ == "__main__":
    main()
