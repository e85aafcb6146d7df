"""Planting faults: what can be planted where, and whether the search tells those that tests find from the others."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.mutants.__main__ import SCOPE
from tests.mutants.draw import draw
from tests.mutants.equivalent import EQUIVALENT
from tests.mutants.plant import faults
from tests.mutants.sandbox import PREFIX
from tests.thorough import thorough

ROOT = Path(__file__).parents[2]


def changes(source):
    """Each fault's kind, and what the line that it stands in becomes."""
    text = source.encode()
    return {(each.kind, each.lines(text)[2]) for each in faults("m.py", text)}


@pytest.mark.parametrize(
    ("source", "kind", "becomes"),
    [
        ("a = b < c", "comparison", "a = b <= c"),
        ("a = b <= c", "comparison", "a = b < c"),
        ("a = b is not None", "comparison", "a = b is None"),
        ("a = b not in c", "comparison", "a = b in c"),
        ("a = 0 < b < c", "comparison", "a = 0 < b <= c"),
        ("a = b - c", "operator", "a = b + c"),
        ("a = b // c", "operator", "a = b * c"),
        ("a = b ** c", "operator", "a = b * c"),
        ("a += 1", "operator", "a -= 1"),
        ("a = b and c", "operator", "a = b or c"),
        ("a = not b", "not", "a =  b"),
        ("a = b if c else d", "not", "a = b if not (c) else d"),
        ("a = -1", "constant", "a = 1"),
        ("a = 3", "constant", "a = 4"),
        ("a = 3", "constant", "a = 2"),
        ("a = True", "constant", "a = False"),
        ("a = 0.5", "constant", "a = 1.0"),
        ("a = b[0]", "index", "a = b[1]"),
        ("a = b[-1]", "index", "a = b[0]"),
        ("a = b[1:]", "constant", "a = b[2:]"),
        ("a = b.left + b.right", "attribute", "a = b.right + b.right"),
        ("a = b.start() + b.end()", "attribute", "a = b.end() + b.end()"),
        ("a = max(b)", "function", "a = min(b)"),
        ("a = f(b, c)", "argument", "a = f(b)"),
        ("a = f(b, c=d)", "argument", "a = f(b)"),
        ("a = f(c=d, e=g)", "argument", "a = f(e=g)"),
        ("a = f(b, c)", "order", "a = f(c, b)"),
        ("f(b)", "statement", "pass"),
        ("a: Annotated[int, Field(ge=1)]", "constant", "a: Annotated[int, Field(ge=2)]"),
        ("a = 'ü', b < c", "comparison", "a = 'ü', b <= c"),
    ],
)
def test_a_fault_of_each_kind(source, kind, becomes):
    assert (kind, becomes) in changes(source)


@pytest.mark.parametrize(
    "source",
    [
        "def f(a: int | None = None) -> 'dict[str, int]':\n    'Gives 1.'",
        "@lru_cache(maxsize=1)\ndef f(): ...",
        "assert a < 1",
        "if TYPE_CHECKING:\n    a = 1",
        "a = 'text' + b",
        "a = zip(b, strict=True)",
        "a = lcm(gcd(b, c), d)",
    ],
)
def test_what_changes_nothing_stays(source):
    assert not {(kind, line) for kind, line in changes(source) if kind != "argument"}


def test_a_fault_knows_the_function_around_it():
    source = b"class A:\n    def f(self):\n        def g():\n            return 1\n        return g\n"
    assert {each.scope for each in faults("m.py", source)} == {"A.f.g"}


def test_a_draw_depends_on_the_seed_alone_and_takes_all_kinds():
    sources = {"a.py": b"a = b < c + 1\nd = not f(b, c)\n", "b.py": b"a = b[0] if c else max(b.x, b.y)\n"}
    drawn = draw(sources, 9, seed=3)
    assert drawn == draw(dict(reversed(sources.items())), 9, seed=3)
    assert drawn != draw(sources, 9, seed=4)
    assert len({each.kind for each in drawn}) >= 8
    assert len(draw(sources, 1000, seed=3)) == len(set(draw(sources, 1000, seed=3))) < 40


def test_a_change_elsewhere_draws_the_same_faults():
    source = b"".join(b"a%d = b < c + %d\n" % (number, number) for number in range(100))
    before, after = (
        [each.lines(text) for each in draw({"a.py": text}, 60, seed=0)] for text in (source, b"a = b + 1\n" + source)
    )
    assert len({told[1:] for told in before} & {told[1:] for told in after}) >= 58


def test_every_equivalent_fault_is_one_that_can_be_planted():
    planted = set()
    for path in {path for path, *_ in EQUIVALENT}:
        source = (ROOT / path).read_bytes()
        planted |= {(path, *each.lines(source)[1:]) for each in faults(path, source)}
    assert {tuple(fault) for *fault, _ in EQUIVALENT} <= planted
    assert all(path.startswith(SCOPE) for path, *_ in EQUIVALENT)


SUM = """def add(a, b):
    return a + b


def half(a):
    return a // 2


def sign(a):
    if a < 0:
        return -1
    return 1
"""
LIMITS = """MOST = 3


class Limit:
    least = 5

    def told(self):
        return "a limit"
"""
OTHER_TESTS = """from cnnc.ops.limits import Limit


def test_told():
    assert Limit().told() == "a limit"
"""
TESTS = """import subprocess
import sys
import time

from cnnc.ops.limits import MOST, Limit
from cnnc.ops.sum import add, half, sign

RUNS = []


def test_add():
    assert add(1, 2) == 3


def test_half_in_another_process():
    RUNS.append(1)
    code = "from cnnc.ops.sum import half; assert half(4) == 2"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_limits():
    assert MOST == 3
    assert Limit.least == 5


def test_sign_hardly():
    assert sign(5) == 1


def test_that_fails_whenever_something_is_planted():
    assert RUNS
"""


@pytest.fixture
def tree(tmp_path):
    """A small repository with these tools in it, that need nothing warm."""
    tree = tmp_path / "tree"
    shutil.copytree(
        ROOT / "tests/mutants", tree / "tests/mutants", ignore=shutil.ignore_patterns("__pycache__", "test_*")
    )
    runner = tree / "tests/mutants/runner.py"
    runner.write_text(runner.read_text().replace("for name in WARM:", "for name in ():"))
    (tree / "cnnc/ops").mkdir(parents=True)
    for folder in ("cnnc", "cnnc/ops", "tests"):
        (tree / folder / "__init__.py").touch()
    (tree / "cnnc/ops/sum.py").write_text(SUM)
    (tree / "cnnc/ops/limits.py").write_text(LIMITS)
    (tree / "tests/test_limits.py").write_text(OTHER_TESTS)
    (tree / "tests/test_sum.py").write_text(TESTS)
    (tree / "pyproject.toml").write_text("[tool.pytest.ini_options]\npythonpath = ['.']\n")
    (tree / ".gitignore").write_text(".cache/\n__pycache__/\n")
    subprocess.run(["git", "init", "-q"], cwd=tree, check=True)
    return tree


def start(tree, *arguments, **more):
    environment = {
        **os.environ,
        "PYTHONPATH": str(tree),
        "TMPDIR": str(tree.parent),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    command = [sys.executable, "-m", "tests.mutants", "cnnc/ops", *arguments]
    return subprocess.Popen(
        command, cwd=tree, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more
    )


def left(tree):
    return [path.name for path in tree.parent.glob(f"{PREFIX}*")]


needs_git = pytest.mark.skipif(shutil.which("git") is None or sys.platform == "win32", reason="needs git and fork")


@needs_git
def test_found_and_not_found_are_told_apart_and_nothing_is_left(tree):
    run = start(tree, "--n", "100")
    output, _ = run.communicate(timeout=120)
    assert run.returncode == 1, output
    told = output.partition(" faults: ")[0].splitlines()
    outcomes = {line.split("  →  ")[1]: line.split()[1] for line in told if "  →  " in line}
    assert outcomes["return a - b"] == "found"
    assert outcomes["return a * 2"] == outcomes["MOST = 4"] == outcomes["least = 6"] == "found"
    assert outcomes["if a < 1:"] == outcomes["return 1"] == "NOT"
    assert "test_half_in_another_process" in output
    assert "test_that_fails" not in output
    assert (tree / "cnnc/ops/sum.py").read_text() == SUM
    assert left(tree) == []


@thorough
@needs_git
def test_the_map_of_tests_is_that_of_the_tree_as_it_is(tree):
    runs = []
    for path in (None, None, "cnnc/ops/sum.py", "tests/data.txt"):
        if path:
            with (tree / path).open("a") as file:
                file.write("\n")
        runs.append("tests/test_sum.py: " in start(tree, "--n", "1").communicate(timeout=120)[0])
    assert runs == [True, False, True, True]


@needs_git
@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=thorough)])
def test_nothing_is_left_by_a_run_that_is_stopped(tree, number):
    (tree / "tests/test_sum.py").write_text("import time\n\ndef test_slow():\n    time.sleep(60)\n")
    with start(tree, "--n", "1") as run:
        until = time.monotonic() + 60
        while not list(tree.parent.glob(f"{PREFIX}*/called")):
            assert run.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        run.send_signal(number)
        run.wait(20)
    if number == signal.SIGKILL:
        assert left(tree)
        (tree / "tests/test_sum.py").write_text(TESTS)
        start(tree, "--n", "1").communicate(timeout=60)
    assert left(tree) == []
