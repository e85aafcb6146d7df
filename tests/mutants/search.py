"""Who finds a fault: tests are run in the order in which they promise most, until one fails, or the time is over."""

import time
from collections.abc import Sequence

from tests.mutants.plant import Fault
from tests.mutants.reach import Reach
from tests.mutants.runner import Job, Result
from tests.mutants.sandbox import Sandbox

FIRST = 400  # tests that run before all others are collected


class Search:
    """Runs the tests that reach a fault, then the others of their files; at most `seconds` for each fault.

    A test finds a fault where it fails with it, and by itself, and passes without it.
    """

    def __init__(self, box: Sandbox, reach: Reach, seconds: float) -> None:
        self._box, self._reach, self._seconds = box, reach, seconds
        self._passes: dict[str, bool] = {}  # without a fault, and by itself

    def look(self, fault: Fault, source: bytes) -> Result:
        """Who finds the fault that is to be planted in the source."""
        tests = self._reach.tests(fault)
        until = time.monotonic() + self._seconds
        for chosen, others in ((tests[:FIRST], False), (tests, True)):
            while (result := self._run(fault, source, chosen, others, until)).outcome == "found":
                if self._is_sure(fault, source, result.by):
                    return result
            if result.outcome == "time":
                return result
        return Result("passed")

    def _run(self, fault: Fault, source: bytes, tests: Sequence[str], others: bool, until: float) -> Result:
        trusted = tuple(name for name in tests if self._passes.get(name, True))
        if not trusted:
            return Result("passed")
        job = Job(
            files=tuple(dict.fromkeys(name.partition("::")[0] for name in trusted)),
            first=trusted,
            others=others,
            without=tuple(name for name, passes in self._passes.items() if not passes),
            seconds=until - time.monotonic(),
            durations={name: self._reach.seconds(name) for name in trusted},
        )
        with self._box.planted(fault.path, fault.applied(source)):
            return self._box.run(job)

    def _is_sure(self, fault: Fault, source: bytes, test: str) -> bool:
        """Whether the test, or the file of tests that could not be imported, tells the fault by itself."""
        job = Job((test.partition("::")[0],), (test,), others="::" not in test)
        if test not in self._passes:
            self._passes[test] = self._box.run(job).outcome == "passed"
        with self._box.planted(fault.path, fault.applied(source)):
            again = self._box.run(job).outcome == "found"
        self._passes[test] &= again
        return self._passes[test]
