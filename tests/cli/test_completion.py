"""Completion of command lines: the words that may come next, and what a shell makes of them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cnnc.cli.commands import COMMANDS
from cnnc.cli.completion import complete
from tests.command import run_command

ROOT = Path(__file__).parents[2]


def words(*given):
    return [line.partition("\t")[0] for line in complete(given)]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((), list(COMMANDS)),
        (("",), list(COMMANDS)),
        ((" ",), list(COMMANDS)),
        (("e",), ["eval", "explain"]),
        (("--ver",), ["--version"]),
        (("check", "--d"), ["--depth", "--deny", "--diff"]),
        (("check", "a.yaml", "--so"), ["--sort"]),
        (("check", "--format", ""), ["text", "json", "github", "sarif", "junit", "gitlab"]),
        (("check", "--format", "j"), ["json", "junit"]),
        (("check", "--format=j"), ["--format=json", "--format=junit"]),
        (("check", "--format", "=", "j"), ["json", "junit"]),
        (("check", "--depth", ""), []),
        (("check", "spec"), []),
        (("--show-completion", "z"), ["zsh"]),
        (("nosuch", "--"), []),
    ],
)
def test_what_may_come_next(given, expected):
    assert words(*given) == expected


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_told_with_its_help(name):
    lines = list(complete([name, "-"]))
    assert len(lines) > 1
    assert all(line.partition("\t")[2] for line in lines)


def shell(program, home, script):
    """What a shell prints, with a `cnnc` on its path that is ours."""
    (home / "bin").mkdir(exist_ok=True)
    (home / "bin/cnnc").write_text(f'#!/bin/sh\nexec {sys.executable} -m cnnc "$@"\n', encoding="utf-8")
    (home / "bin/cnnc").chmod(0o755)
    path = f"{home / 'bin'}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "HOME": str(home), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(program, input=script, env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_bash_completes(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".bashrc").write_text("true", encoding="utf-8")
    for _ in range(2):  # the second changes nothing
        assert run_command("--install-completion", "bash").exit_code == 0
    rules = tmp_path / ".bashrc"
    assert rules.read_text() == f"true\nsource '{tmp_path}/.bash_completions/cnnc.sh'\n"
    ask = "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _cnnc; echo ${COMPREPLY[@]}\n"
    for line, expected in (
        ("cnnc ch", ["check"]),
        ("cnnc check --format ''", ["text", "json", "github", "sarif", "junit", "gitlab"]),
        ("cnnc check 'a b.yaml' --exc", ["--exclude"]),
        ("cnnc check --sort = m", ["macs", "memory"]),
    ):
        assert shell("bash", tmp_path, f"source ~/.bashrc; COMP_WORDS=({line}); {ask}") == expected


@pytest.mark.parametrize("name", ["bash", "zsh", "fish", "powershell"])
def test_a_script_runs_cnnc(name):
    done = run_command("--show-completion", name)
    assert done.exit_code == 0
    assert "_CNNC_COMPLETE" in done.stdout
    if shutil.which(name) and name != "powershell":
        checked = subprocess.run([name, "-n"], input=done.stdout, capture_output=True, text=True, check=False)
        assert (checked.returncode, checked.stderr) == (0, "")


def test_a_home_that_cannot_be_written_is_told(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    done = run_command("--install-completion", "fish")
    assert (done.exit_code, "error[E405]" in done.stderr) == (1, True)
