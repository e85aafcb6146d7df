"""What the Makefile installs, where, and what it leaves: in a copy, so that this environment stays as it is."""

import os
import shlex
import shutil
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

from tests.thorough import QUICK

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or shutil.which("make") is None, reason="needs make and a POSIX shell"
)


@pytest.fixture
def copy(tmp_path):
    """The files that the Makefile reads, a few modules, and an environment that counts as made."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("cnnc/ops", "build", "tests", ".venv/bin"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("cnnc/__init__.py", "cnnc/compiler.py", "cnnc/ops/conv.py"):
        (tmp_path / name).touch()
    (tmp_path / ".venv/bin/python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (tmp_path / ".venv/bin/python").chmod(0o755)
    (tmp_path / ".venv/.installed").touch()
    return tmp_path


def make(folder, *arguments):
    outer = ("MAKE", "MFLAGS", "LATEST", "LOWEST", "ALL")  # what the make that runs these tests was given
    environment = {name: value for name, value in os.environ.items() if not name.startswith(outer)}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    done = subprocess.run(
        ["make", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def installs(text):
    """The lines that pip installs by, and those that make an environment."""
    return [line for line in text.splitlines() if "pip install" in line or "-m venv" in line]


def bytecode(folder):
    return {path.name.partition(".")[0] for path in folder.rglob("*.pyc")}


def test_bytecode_is_there_where_python_writes_none(copy):
    make(copy, ".venv/.compiled")
    assert bytecode(copy / "cnnc") >= {path.stem for path in (copy / "cnnc").rglob("*.py")}
    (copy / "cnnc/new.py").touch()
    os.utime(copy / "cnnc/new.py", (4e9, 4e9))  # clocks of file systems are coarse
    make(copy, ".venv/.compiled")
    assert "new" in bytecode(copy / "cnnc")
    make(copy, "clean")
    assert not bytecode(copy / "cnnc")
    make(copy, ".venv/.compiled")
    assert "new" in bytecode(copy / "cnnc")


def test_every_command_may_write_bytecode(copy):
    (copy / ".venv/bin/python").write_text('#!/bin/sh\necho "[$PYTHONDONTWRITEBYTECODE]"\n')
    for name in (".installed-dev", ".compiled"):
        (copy / ".venv" / name).touch()
    assert make(copy, "bench").endswith("[]\n")


@pytest.mark.parametrize("target", ["demo", "test", "bench"])
def test_commands_that_are_timed_or_shown_have_bytecode(copy, target):
    assert "-m compileall -q cnnc" in make(copy, "-n", target)


def test_the_demo_brings_what_the_tour_uses(copy):
    (copy / ".venv/.installed").unlink()
    made, installed = installs(make(copy, "-n", "demo"))
    assert made.endswith("-m venv --clear .venv")
    assert installed.endswith("'.[all]'")
    assert "PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt" in installed


@pytest.mark.parametrize("changed", ["pyproject.toml", "constraints.txt"])
def test_an_environment_is_made_anew_when_the_pins_change(copy, changed):
    assert not installs(make(copy, "-n", "demo"))
    os.utime(copy / changed, (4e9, 4e9))
    assert len(installs(make(copy, "-n", "demo"))) == 2


@pytest.mark.parametrize(("words", "selected"), [((), QUICK), (("ALL=1",), "")])
def test_thorough_tests_run_only_with_all(copy, words, selected):
    """Of the options `-m` in pyproject.toml and on the command line, pytest takes the last."""
    options = tomllib.loads((copy / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]["ini_options"]
    [command] = [line for line in make(copy, "-n", "test", *words).splitlines() if " -m pytest " in line]
    given = [*options["addopts"], *shlex.split(command.partition(" -m pytest ")[2])]
    assert [value for name, value in pairwise(given) if name == "-m"][-1] == selected


def test_the_newest_packages_have_an_environment_without_pins(copy):
    made, *installed = installs(make(copy, "-n", "test", "LATEST=1"))
    assert made.endswith("-m venv --clear .venv-latest")
    assert [line.split()[0] for line in installed] == ["PIP_CONSTRAINT=", "PIP_CONSTRAINT="]


def test_the_oldest_packages_have_an_environment_and_pins_of_their_own(copy):
    resolved, made, *installed = installs(make(copy, "-n", "test", "LOWEST=1"))
    assert "pip install --quiet uv" in resolved
    assert made.endswith("-m venv --clear .venv-lowest")
    assert all("PIP_CONSTRAINT=.venv-lowest.txt" in line for line in installed)
