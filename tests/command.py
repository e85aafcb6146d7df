"""The command line within the tests' own process: what it prints, and its exit code."""

from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from typing import NamedTuple

from cnnc.cli.app import answer


class Done(NamedTuple):
    """What a command printed, and its exit code."""

    exit_code: int
    stdout: str
    stderr: str


def run_command(*words: object) -> Done:
    """Run `cnnc WORDS`."""
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = answer(list(map(str, words)))
    return Done(code, out.getvalue(), err.getvalue())
