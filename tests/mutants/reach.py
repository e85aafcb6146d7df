"""Which tests reach a fault: a map from tests to the functions that they call, kept from run to run.

The map lies in `.cache`, which git ignores. It holds a test file as long as that file, and all that tests may call or
read, is the same: with a new test its file alone runs again, with another compiler all do.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from tests.mutants.plant import Fault
from tests.mutants.runner import Job
from tests.mutants.sandbox import listed, sandbox

MAP = Path(".cache") / "mutants.json"
READ = ("cnnc/", "specs/", "tests/")
LEFT_OUT = ("tests/mutants", "tests/bench", "tests/test_readme.py", "tests/train/test_processes.py")


@dataclass(frozen=True)
class Traced:
    """A test that passed: its seconds, and the functions that it calls, as `cnnc/ops/conv.py:Conv.infer`."""

    seconds: float
    called: frozenset[str]


class Reach:
    """The tests of a tree, by what they call."""

    def __init__(self, tests: Mapping[str, Traced]) -> None:
        self._tests = tests

    def seconds(self, test: str) -> float:
        return self._tests[test].seconds

    def tests(self, fault: Fault) -> list[str]:
        """The tests that call the function of the fault; of one in no function that is called, all, the nearest first.

        What stands in a class or a module is looked at by tests that call nothing of it. The quick tests that call
        little come first: those say most about a function in the least time.
        """
        prefix = f"{fault.path}:"
        inner = f"{prefix}{fault.scope}"
        rings = [self._calling(lambda name: name == inner or name.startswith(f"{inner}."))]
        if not self._calling(lambda name: name == inner):
            rings += [self._calling(lambda name: name.startswith(prefix)), list(self._tests)]
        return list(dict.fromkeys(test for ring in rings for test in sorted(ring, key=self._cost)))

    def _cost(self, test: str) -> float:
        return (self._tests[test].seconds + 0.02) * len(self._tests[test].called)

    def _calling(self, wanted: Callable[[str], bool]) -> list[str]:
        return [test for test, traced in self._tests.items() if any(map(wanted, traced.called))]


def survey(tree: Path, say: Callable[[str], None]) -> Reach:
    """The map of the tests of a tree; test files that it does not hold are run and added to it."""
    files = _read(tree / MAP)
    now = _digests(tree)
    files = {name: about for name, about in files.items() if now.get(name) == about[0]}
    missing = [name for name in now if name not in files]
    if missing:
        for name, tests in _trace(tree, missing):
            say(f"{name}: {len(tests)} tests, {sum(test.seconds for test in tests.values()):.1f} s")
            files[name] = now[name], tests
            _write(tree / MAP, files)
    return Reach({test: traced for _, tests in files.values() for test, traced in tests.items()})


Files = dict[str, tuple[str, dict[str, Traced]]]  # by the test file's name: its digest, and its tests


def _trace(tree: Path, names: Iterable[str]) -> Iterable[tuple[str, dict[str, Traced]]]:
    with sandbox(tree, trace=True) as box:
        for name in names:
            result = box.run(Job(files=(name,), trace=str(box.root.parent / "called")))
            yield name, {test: Traced(seconds, frozenset(called)) for test, seconds, called in result.traced}


def _read(path: Path) -> Files:
    if not path.exists():
        return {}
    said = json.loads(path.read_text(encoding="utf-8"))
    names = said["names"]
    return {
        file: (
            about["digest"],
            {
                test: Traced(seconds, frozenset(names[index] for index in called))
                for test, (seconds, called) in about["tests"].items()
            },
        )
        for file, about in said["files"].items()
    }


def _write(path: Path, files: Files) -> None:
    names = sorted({name for _, tests in files.values() for traced in tests.values() for name in traced.called})
    place = {name: index for index, name in enumerate(names)}
    said = {
        file: {
            "digest": digest,
            "tests": {
                test: [each.seconds, sorted(place[name] for name in each.called)] for test, each in tests.items()
            },
        }
        for file, (digest, tests) in files.items()
    }
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"names": names, "files": said}), encoding="utf-8")


def _digests(tree: Path) -> dict[str, str]:
    """Of each test file: what tells it, and all that its tests may call or read, from others."""
    names = [name for name in listed(tree) if name.startswith(READ)]
    tests = [name for name in names if re.fullmatch(r"tests/(.*/)?test_[^/]*\.py", name)]
    common = sha256()
    for name in sorted({*names} - {*tests}):
        if not name.startswith("tests/mutants"):
            common.update(name.encode() + sha256((tree / name).read_bytes()).digest())
    return {
        name: sha256(common.digest() + (tree / name).read_bytes()).hexdigest()
        for name in tests
        if not name.startswith(LEFT_OUT)
    }
