"""Tests in copies of one warm process: torch and the like are imported once, cnnc and the tests in each copy anew.

`python -m tests.mutants.runner` reads a Job a line on stdin and answers with a Result a line on stdout.
"""

import json
import os
import resource
import select
import signal
import sys
import time
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib import import_module
from typing import Any

import pytest

from tests.mutants import trace

WARM = (
    *("torch", "onnx", "onnxruntime", "safetensors.torch", "hypothesis", "networkx", "pydantic", "yaml"),
    *("numpy", "PIL.Image", "rich.console"),
)
PATIENCE = 30.0  # seconds that a test may take beyond ten times what it took without a fault
MEMORY = 16 << 30  # bytes of address space: a fault in a size could ask for all


@dataclass(frozen=True)
class Job:
    """Run `files`: the tests of `first` in that order, then where `others` says so the rest, for so many seconds.

    Those in `without` do not run.

    `durations` are seconds that tests take without a fault. With `trace` nothing is in an order, and the functions
    that each test calls are noted down. Only with `bytecode` is any written.
    """

    files: tuple[str, ...]
    first: tuple[str, ...] = ()
    others: bool = True
    without: tuple[str, ...] = ()
    seconds: float = 1e9
    durations: dict[str, float] = field(default_factory=dict)
    trace: str | None = None
    bytecode: bool = False


@dataclass(frozen=True)
class Result:
    """`found` by the test `by`, `passed`, or out of `time`; `how`, where the test did not simply fail.

    `traced` has the names, the seconds and the functions of the tests that passed.
    """

    outcome: str
    by: str = ""
    how: str = ""
    traced: tuple[tuple[str, float, list[str]], ...] = ()


class Ordered:
    """Runs the tests of a job in its order, and tells of each that begins and of each that fails."""

    def __init__(self, job: Job, stream: int) -> None:
        self._place = {name: place for place, name in enumerate(job.first)}
        self._others, self._without, self._stream = job.others, frozenset(job.without), stream

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if item.nodeid not in self._without]
        if not self._others:
            items[:] = [item for item in items if item.nodeid in self._place]
        items.sort(key=lambda item: self._place.get(item.nodeid, len(self._place)))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._say("began", nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._say("failed", report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._say("failed", report.nodeid)

    def _say(self, what: str, name: str) -> None:
        os.write(self._stream, json.dumps([what, name]).encode() + b"\n")


class Traced:
    """Writes down of each test that passed: its name, its seconds, the functions of cnnc that it called."""

    def __init__(self, path: str, stream: int) -> None:
        self._path, self._stream = path, stream
        self._passed = True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        trace.called.clear()
        with open(self._path, "w", encoding="utf-8"):
            self._passed, start = True, time.perf_counter()
        result = yield
        with open(self._path, encoding="utf-8") as file:
            names = sorted(set(file.read().splitlines()))
        if self._passed:
            seconds = round(time.perf_counter() - start, 3)
            os.write(self._stream, json.dumps(["traced", [item.nodeid, seconds, names]]).encode() + b"\n")
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._passed = self._passed and not report.failed


def run(job: Job, temporary: str) -> Result:
    """Do a job in a copy of this process; nothing that it started is left."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        _be_the_copy(job, write, temporary)
    os.close(write)
    try:
        return _watch(job, child, read)
    finally:
        os.close(read)
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(child, 0)


def _be_the_copy(job: Job, write: int, temporary: str) -> None:
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    log = os.open(f"{temporary}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    if not job.bytecode:
        sys.dont_write_bytecode = True
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    plugin = Traced(job.trace, write) if job.trace else Ordered(job, write)
    options = [*(() if job.trace else ("-x",)), "-q", "-p", "no:cacheprovider", f"--basetemp={temporary}"]
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # of what is warm already
    code = 1
    try:
        code = int(pytest.main([*options, *job.files], plugins=[plugin]))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _watch(job: Job, child: int, read: int) -> Result:
    end = time.monotonic() + job.seconds
    test, due, traced = "", end, []
    events = _Events(read)
    while event := events.next(min(due, end)):
        what, about = event
        if what == "failed":
            return Result("found", about)
        if what == "traced":
            traced.append(about)
        if what == "began":
            test, due = about, time.monotonic() + 10 * job.durations.get(about, 0.0) + PATIENCE
        if what == "late":
            return Result("time") if time.monotonic() >= end else Result("found", test, "which does not end")
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code in (0, pytest.ExitCode.NO_TESTS_COLLECTED) or traced:
        return Result("passed", traced=tuple(traced))
    return Result("found", test or job.files[0], f"whose process ended with {code}")


class _Events:
    """What the copy tells."""

    def __init__(self, read: int) -> None:
        self._read, self._lines, self._rest = read, deque[bytes](), b""

    def next(self, due: float) -> list[Any] | None:
        """The next event, None when the copy has closed its end, and `late` where nothing came until it was due."""
        while not self._lines:
            ready, _, _ = select.select([self._read, sys.stdin], [], [], max(0.0, due - time.monotonic()))
            if sys.stdin in ready:  # nobody gives a job before the answer to the last one: whoever did is gone
                raise SystemExit(1)
            if not ready:
                return ["late", None]
            data = os.read(self._read, 1 << 20)
            if not data:
                return None
            *whole, self._rest = (self._rest + data).split(b"\n")
            self._lines.extend(whole)
        event: list[Any] = json.loads(self._lines.popleft())
        return event


def _stop(*_: object) -> None:
    raise SystemExit(1)


def main(arguments: Sequence[str]) -> None:
    """Serve jobs until stdin ends; the argument is a folder for what the tests write."""
    signal.signal(signal.SIGTERM, _stop)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in WARM:
            import_module(name)
        for line in sys.stdin:
            print(json.dumps(asdict(run(Job(**json.loads(line)), arguments[0]))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
