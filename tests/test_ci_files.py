"""`action.yml` and `.pre-commit-hooks.yaml`: they are valid, and what they run does what they promise.

The steps of the action run as shell, without GitHub. pre-commit itself runs with CNNC_TEST_PRE_COMMIT=1, because it
installs cnnc from the package index.
"""

import gzip
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft7Validator

from tests.command import run_command

ROOT = Path(__file__).parents[1]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
HOOKS = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
STEPS = {step["name"]: step for step in ACTION["runs"]["steps"] if "run" in step}
NET = "cnnc: 1\ninput: {image: [1, 8, 8]}\nnodes:\n  - conv: {out: 6, kernel: 3}\n"
IDENTITY = {
    f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in (("NAME", "a"), ("EMAIL", "a@b"))
}


def git(*words):
    command = ("git", "-c", "init.defaultBranch=main", *words)
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, **IDENTITY})


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A clone whose origin has two specs; `cnnc` and `python` are those of this environment."""
    origin, clone, programs = (tmp_path / name for name in ("origin", "clone", "bin"))
    (origin / "specs").mkdir(parents=True)
    for name in ("same", "net"):
        (origin / f"specs/{name}.yaml").write_text(NET)
    git("init", "-q", origin)
    git("-C", origin, "add", ".")
    git("-C", origin, "commit", "-qm", "specs")
    git("clone", "-q", origin, clone)
    programs.mkdir()
    (programs / "cnnc").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m cnnc "$@"\n')
    (programs / "cnnc").chmod(0o755)
    (programs / "python").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(clone)
    return clone


def run_step(name, **inputs):
    """Run a step as GitHub does; returns its exit code, its output, and what it adds to the job summary."""
    step = STEPS[name]
    assert step["shell"] == "bash"
    values = {**{key: each["default"] for key, each in ACTION["inputs"].items()}, "base": "main", **inputs}
    env = {key: re.sub(r"\$\{\{ inputs\.(\w+) \}\}", lambda found: values[found[1]], text)
           for key, text in step["env"].items()}  # fmt: skip
    summary = Path("../summary.md")
    summary.write_text("")
    command = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step["run"]]
    env |= {**os.environ, "GITHUB_STEP_SUMMARY": str(summary.absolute()), "RUNNER_TEMP": str(Path("..").absolute())}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr, summary.read_text(encoding="utf-8")


def test_the_action_follows_githubs_schema():
    schema = json.loads(gzip.decompress((ROOT / "tests/github-action.json.gz").read_bytes()))
    Draft7Validator(schema).validate(ACTION)
    assert not Draft7Validator(schema).is_valid({**ACTION, "runs": {"using": "composite"}})


def test_the_action_installs_no_extra():
    assert STEPS["Install cnnc"]["run"].split("#")[0].split()[-1] == '"$ACTION"'


@pytest.mark.skipif(sys.platform == "win32", reason="the steps run in bash")
def test_the_action_annotates_mistakes_and_shows_what_changed(repository):
    assert run_step("Check the specs", specs="specs") == (0, "2 specs: 2 fine; 0 errors, 0 warnings\n", "")
    (repository / "specs/net.yaml").write_text(NET.replace("out: 6", "out: 8"))
    (repository / "specs/new.yaml").write_text(NET)
    (repository / "specs/wrong.yaml").write_text(NET.replace("kernel: 3", "kernel: 9"))
    code, output, _ = run_step("Check the specs", specs="specs/w*.yaml specs/net.yaml", options="--deny warnings")
    assert code == 1
    assert output.startswith("::error file=specs/wrong.yaml,line=4,")
    code, output, summary = run_step("Write the job summary", specs="specs")
    assert code == 0
    assert output == (
        "::notice file=specs/net.yaml,line=4,title=1 node changed::conv%0Aout 6 → 8%0A6×6×6 → 8×6×6%0A+20 parameters%0A"
        "+648 MACs%0A+288 bytes of activations\n"
    )
    assert "specs/net.yaml: fine, 1 node, 80 parameters" in summary
    assert "error[E303]" in summary
    assert re.findall("^### .*", summary, re.MULTILINE) == [summary[(at := summary.index("### ")) :].split("\n")[0]]
    assert ":./specs/net.yaml` → `specs/net.yaml`" in summary
    assert "| parameters | 60 → 80 (+20, +33.3%) |" in summary[at:]
    assert "###" not in run_step("Write the job summary", specs="specs", base="")[2]


@pytest.mark.skipif(sys.platform == "win32", reason="the steps run in bash")
def test_a_summary_is_cut_before_github_drops_it(repository):
    (repository / "../bin/cnnc").write_text("#!/bin/sh\nhead -c 1100000 /dev/zero | tr '\\0' x\n")
    code, _, summary = run_step("Write the job summary", base="")
    assert code == 0
    assert 1_000_000 < len(summary) < 1 << 20
    assert summary.endswith("ends here.\n")


@pytest.mark.parametrize("hook", HOOKS, ids=[hook["id"] for hook in HOOKS])
def test_the_hooks_run_commands_on_a_repository(hook, tmp_path, monkeypatch):
    assert (hook["language"], hook["pass_filenames"]) == ("python", False)
    monkeypatch.chdir(tmp_path)
    Path("other.yaml").write_text("on: push\n")
    Path("net.yaml").write_text(NET.replace("cnnc: 1\n", "") + "cnnc: 1\n")
    program, *words = hook["entry"].split()
    assert program == "cnnc"
    assert run_command(*words, *hook["args"]).exit_code == 0
    assert (Path("net.yaml").read_text() == NET) == (hook["id"] == "cnnc-fmt")


@pytest.mark.skipif(
    "CNNC_TEST_PRE_COMMIT" not in os.environ or shutil.which("pre-commit") is None, reason="it installs packages"
)
def test_pre_commit_finds_and_changes_specs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PRE_COMMIT_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    git("init", "-q", "net")
    monkeypatch.chdir(tmp_path / "net")
    path = Path("net.yaml")
    path.write_text(NET.replace("kernel: 3", "kernal:   3"))
    git("add", ".")
    found = {}
    for hook in ("cnnc-fmt", "cnnc-check"):
        command = ["pre-commit", "try-repo", ROOT, hook, "--all-files"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        found[hook] = done.returncode, done.stdout
    assert found["cnnc-fmt"][0] == 1, found
    assert "files were modified by this hook" in found["cnnc-fmt"][1]
    assert "kernal: 3" in path.read_text()
    assert found["cnnc-check"][0] == 1, found
    assert "`conv` has no attribute `kernal`" in found["cnnc-check"][1]
