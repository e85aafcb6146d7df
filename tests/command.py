"""The command line within the tests' own process: what it prints, and its exit code."""

import os
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from typing import NamedTuple

from cnnc.cli.app import answer


class Done(NamedTuple):
    """What a command printed, and its exit code."""

    exit_code: int
    stdout: str
    stderr: str


def run_command(*words: object, cwd: str | os.PathLike[str] = ".") -> Done:
    """Run `cnnc WORDS` in a folder."""
    out, err = StringIO(), StringIO()
    with chdir(cwd), redirect_stdout(out), redirect_stderr(err):
        code = answer(list(map(str, words)))
    return Done(code, out.getvalue(), err.getvalue())
