"""A copy of the repository in a temporary folder, in which faults are planted and tests run.

The working tree is never touched. The copy is gone when the context ends; one that a killed process left is removed by
the next.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from tests.mutants.runner import Job, Result
from tests.mutants.trace import FILE

PREFIX = "cnnc-mutants-"
HOOK = "from tests.mutants.trace import install\n\ninstall()\n"


class Sandbox:
    """`root` is the copy. `run` does a job in it."""

    def __init__(self, root: Path, work: Path, *, trace: bool = False) -> None:
        self.root, self._work = root, work
        environment = {
            **os.environ,
            "PYTHONPATH": str(root),
            "OMP_NUM_THREADS": "1",
            "PYTHONHASHSEED": "0",
            **({FILE: str(work / "called")} if trace else {}),
        }
        self._runner = subprocess.Popen(
            [sys.executable, "-m", "tests.mutants.runner", str(work / "tests")],
            cwd=root,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for this process, which ends the other
        )
        began = self.run(Job(files=("tests",), others=False, bytecode=True))  # imports all, runs nothing
        assert began.outcome == "passed", began

    def run(self, job: Job) -> Result:
        """The result of a job."""
        assert self._runner.stdin is not None
        assert self._runner.stdout is not None
        self._runner.stdin.write(json.dumps(asdict(job)) + "\n")
        self._runner.stdin.flush()
        return Result(**json.loads(self._runner.stdout.readline()))

    @contextmanager
    def planted(self, path: str, source: bytes) -> Iterator[None]:
        """The copy with another source of one module; bytecode of neither is taken for the other's."""
        module = self.root / path
        before = module.read_bytes()
        for compiled in (module.parent / "__pycache__").glob(f"{module.stem}.*.pyc"):
            compiled.unlink()
        module.write_bytes(source)
        try:
            yield
        finally:
            module.write_bytes(before)

    def close(self) -> None:
        """End the runner and what it runs. A signal between two of its reads would be lost, the end of input is not."""
        assert self._runner.stdin is not None
        with self._runner:
            self._runner.stdin.close()
            self._runner.wait()


@contextmanager
def sandbox(tree: Path, *, trace: bool = False) -> Iterator[Sandbox]:
    """A copy of what git knows or would add of the tree, with a runner in it."""
    _sweep()
    work = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    try:
        _copy(tree, work / "tree")
        if trace:
            (work / "tree" / "sitecustomize.py").write_text(HOOK, encoding="utf-8")
        opened = Sandbox(work / "tree", work, trace=trace)
        try:
            yield opened
        finally:
            opened.close()
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _copy(tree: Path, root: Path) -> None:
    for name in listed(tree):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(tree / name, root / name)


def listed(tree: Path) -> list[str]:
    """The files of a tree that git knows or would add."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=tree, check=True, capture_output=True, text=True).stdout
    return sorted(name for name in names.split("\0") if name and (tree / name).is_file())


def _sweep() -> None:
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*"):
        owner = left.name.removeprefix(PREFIX).partition("-")[0]
        try:
            os.kill(int(owner), 0)
        except ProcessLookupError:
            shutil.rmtree(left, ignore_errors=True)
        except (ValueError, PermissionError):
            pass  # somebody else's
