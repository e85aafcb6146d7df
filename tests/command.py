"""The command line within the tests' own process: what it prints, and its exit code."""

import json
import os
from argparse import Namespace
from contextlib import chdir, redirect_stderr, redirect_stdout
from functools import partial
from importlib import import_module
from io import StringIO
from typing import NamedTuple
from unittest.mock import patch

from cnnc.cli.app import answer, report_errors
from cnnc.diagnostics import CnncError
from cnnc.inference.benchmark.child import JOBS


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


def guarded_here(command, given, model, timeout, show):
    """`cnnc.cli.guarded.run` without its child process, which takes two seconds to import torch.

    For files that end and crash nothing: `model` and `timeout` are only for the others.
    """
    answers = StringIO()
    work = import_module(f"cnnc.cli.{command}").work
    code = report_errors(partial(work, Namespace(**json.loads(json.dumps(vars(given)))), answers), [command])
    for line in answers.getvalue().splitlines()[1:]:  # the first says that the file is about to be loaded
        show(line)
    return code


class BenchHere:
    """A job of `cnnc bench` done in this process, in the place of the Popen of its child; for files that crash nothing.

    Such a child takes a fifth of a second to import onnxruntime, and a command starts several.
    """

    returncode = 0

    def __init__(self, module, text, **pipes):
        job = json.loads(text)
        with patch.dict(os.environ):  # the job of the peak sets numbers of threads for its own process
            try:
                found = JOBS[job["do"]](job)
            except CnncError as error:
                found = {"errors": [(each.code.value, each.message, each.help) for each in error.diagnostics]}
        self.stdout = StringIO(json.dumps(found))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass
