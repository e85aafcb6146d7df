"""`cnnc diff` as a user meets it: files, git revisions, formats and exit codes."""

import json
import os
import shutil
import subprocess

import pytest

SPEC = """cnnc: 1
name: net
params: {out: 8}
input: {image: [3, 16, 16]}
use: [blocks/tail.yaml]
nodes:
  - conv: {name: a, out: $out, kernel: 3}
  - tail: {name: tail}
"""
TAIL = """cnnc: 1
use: [more/end.yaml]
blocks:
  tail: {nodes: [relu, end: {name: end}]}
"""
END = """cnnc: 1
blocks:
  end: {nodes: [global_avg_pool, flatten, linear: {name: fc, out: 10}]}
"""
GIT = ("git", "-c", "user.name=somebody", "-c", "user.email=somebody@example.org", "-c", "commit.gpgsign=false")

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture
def run(run):
    return lambda *arguments: run("diff", *arguments)


def write(folder, **files):
    for name, text in {"net": SPEC, "blocks/tail": TAIL, "blocks/more/end": END, **files}.items():
        path = folder / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with the specs in `specs/`, committed once; the working directory is its top."""
    for name in [each for each in os.environ if each.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "specs")
    commit("init", "-q")
    save()
    return tmp_path


def commit(*arguments):
    subprocess.run([*GIT, *arguments], check=True, capture_output=True)


def save():
    commit("add", "-A")
    commit("commit", "-q", "-m", "specs")


def change(path, old, new):
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


def test_files_are_compared(tmp_path, monkeypatch, run):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, new=SPEC.replace("kernel: 3", "kernel: 5"))
    code, out, err = run("net.yaml", "new.yaml")
    assert (code, err) == (0, "")
    assert "kernel 3 → 5" in out
    assert run("net.yaml", "new.yaml", "--exit-code")[0] == 1
    assert run("net.yaml", "net.yaml", "--exit-code")[:2] == (0, "no difference\n")


def test_parameters_are_set_on_both_sides_or_on_one(tmp_path, monkeypatch, run):
    monkeypatch.chdir(tmp_path)
    write(tmp_path)
    assert run("net.yaml", "net.yaml", "--set", "out=4")[1] == "no difference\n"
    assert "out 8 → 4" in run("net.yaml", "net.yaml", "--set-new", "out=4")[1]
    assert "out 5 → 4" in run("net.yaml", "net.yaml", "--set", "out=4", "--set-old", "out=5")[1]
    assert run("net.yaml", "net.yaml", "--set", "aut=4")[0] == 2
    assert run("net.yaml", "net.yaml", "--set-old", "out")[0] == 2


def test_formats(tmp_path, monkeypatch, run):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, new=SPEC.replace("kernel: 3", "kernel: 5"))
    (line,) = run("net.yaml", "new.yaml", "--format", "json")[1].splitlines()
    found = json.loads(line)
    assert (found["old"], found["new"], found["same"]) == ("net.yaml", "new.yaml", False)
    assert run("net.yaml", "new.yaml", "--format", "markdown")[1].startswith("### `net.yaml` → `new.yaml`")
    assert run("net.yaml", "new.yaml", "--format", "html")[0] == 2


@needs_git
def test_lines_of_used_files_and_of_revisions_are_named_for_a_pull_request(repository, run):
    change(repository / "specs/blocks/more/end.yaml", "out: 10", "out: 7")
    notice = "::notice file=specs/blocks/more/end.yaml,line=3,title=1 node changed::tail.end.fc%0Aout 10 → 7%0A"
    assert run("HEAD:specs/net.yaml", "specs/net.yaml", "--format", "github")[1].startswith(notice)
    assert " end.yaml:3  tail.end.fc " in run("HEAD:specs/net.yaml", "specs/net.yaml")[1]
    (changed,) = json.loads(run("HEAD:specs/net.yaml", "specs/net.yaml", "--format", "json")[1])["changes"]
    assert (changed["old"]["file"], changed["old"]["line"]) == ("HEAD:specs/blocks/more/end.yaml", 3)
    save()
    assert run("HEAD~1:specs/net.yaml", "HEAD:specs/net.yaml", "--format", "github")[1].startswith(notice)


def test_what_is_wrong_with_either_side_is_said(tmp_path, monkeypatch, run):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, wrong=SPEC.replace("conv:", "cov:"))
    code, out, err = run("wrong.yaml", "missing.yaml")
    assert (code, out) == (1, "")
    assert "E205" in err
    assert "there is no file missing.yaml" in err


def test_standard_input_cannot_be_both_sides(run):
    assert run("-", "-")[0] == 2


@needs_git
def test_a_revision_is_read_with_the_files_that_it_uses(repository, run):
    change(repository / "specs/blocks/more/end.yaml", "out: 10", "out: 7")
    assert "out 10 → 7" in run("HEAD:specs/net.yaml", "specs/net.yaml")[1]
    assert run("HEAD:specs/net.yaml", ":specs/net.yaml")[1] == "no difference\n"  # the index
    save()
    assert "out 10 → 7" in run("HEAD~1:specs/net.yaml", "HEAD:specs/net.yaml")[1]
    assert not list(repository.glob("**/cnnc-*"))


@needs_git
def test_a_page_names_the_files_of_a_revision(repository, run):
    change(repository / "specs/blocks/more/end.yaml", "out: 10", "out: 7")
    assert run("HEAD:specs/net.yaml", "specs/net.yaml", "--html")[:2] == (0, "diff.html  1 changed node\n")
    text = (repository / "diff.html").read_text(encoding="utf-8")
    assert '"HEAD:specs/blocks/more/end.yaml"' in text
    assert "/cnnc-" not in text
    assert run("HEAD:specs/net.yaml", "specs/net.yaml", "--html", "--format", "json")[0] == 2


@needs_git
def test_paths_of_a_revision_are_those_of_git(repository, run, monkeypatch):
    monkeypatch.chdir(repository / "specs/blocks")
    assert run("HEAD:specs/net.yaml", "HEAD:../net.yaml")[1] == "no difference\n"
    monkeypatch.chdir(repository / "specs")
    assert run("HEAD:./net.yaml", "net.yaml")[1] == "no difference\n"


@needs_git
def test_places_are_named_by_the_revision(repository, run):
    change(repository / "specs/blocks/more/end.yaml", "linear", "linaer")
    save()
    code, out, err = run("HEAD:specs/net.yaml", "HEAD~1:specs/net.yaml")
    assert (code, out) == (1, "")
    assert "--> HEAD:specs/blocks/more/end.yaml:3:" in err
    assert "did you mean `linear`?" in err
    assert "/cnnc-" not in err


@needs_git
def test_a_used_file_that_the_revision_lacks_is_named_by_it(repository, run):
    (repository / "specs/blocks/more/end.yaml").unlink()
    save()
    code, _, err = run("HEAD:specs/net.yaml", "HEAD~1:specs/net.yaml")
    assert code == 1
    assert "there is no file HEAD:specs/blocks/more/end.yaml" in err


@needs_git
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("nope:specs/net.yaml", "git has no revision `nope`"),
        ("HEAD:net.yaml", "there is no file `net.yaml` in the revision `HEAD`"),
        (":net.yaml", "there is no file `net.yaml` in git's index"),
        ("HEAD:specs", "there is no file `specs` in the revision `HEAD`"),
        ("--help:net.yaml", "git has no revision `--help`"),
        ("HEAD\nHEAD:net.yaml", "git has no revision"),
    ],
)
def test_what_git_does_not_have_is_said(repository, run, given, said):
    code, out, err = run("--", given, "specs/net.yaml")
    assert (code, out) == (1, "")
    assert "E101" in err
    assert said in err


@needs_git
def test_links_inside_a_revision_are_followed_and_those_out_of_it_are_not(repository, run):
    (repository / "specs/link.yaml").symlink_to("net.yaml")
    (repository / "specs/out.yaml").symlink_to("/etc/hostname")
    save()
    assert run("HEAD:specs/link.yaml", "specs/net.yaml")[1] == "no difference\n"
    assert "there is no file `specs/out.yaml`" in run("HEAD:specs/out.yaml", "specs/net.yaml")[2]


@needs_git
def test_a_revision_brings_no_file_from_outside_the_spec_s_folder(repository, run):
    change(repository / "specs/net.yaml", "blocks/tail.yaml", "../secret.yaml")
    save()
    assert "E214" in run("HEAD:specs/net.yaml", "HEAD~1:specs/net.yaml")[2]


@needs_git
def test_a_large_file_is_refused_as_it_would_be_on_the_disk(repository, run):
    (repository / "specs/large.yaml").write_bytes(b"#" * (3 << 20))
    save()
    code, _, err = run("HEAD:specs/large.yaml", "specs/net.yaml")
    assert code == 1
    assert "HEAD:specs/large.yaml is larger than" in err


@needs_git
def test_without_a_repository_a_revision_is_no_file(tmp_path, monkeypatch, run):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    write(tmp_path)
    code, _, err = run("HEAD:net.yaml", "net.yaml")
    assert code == 1
    assert "not a git repository" in err


def test_without_git_a_revision_is_no_file(tmp_path, monkeypatch, run):
    monkeypatch.setenv("PATH", "")
    monkeypatch.chdir(tmp_path)
    write(tmp_path)
    assert "git is not installed" in run("HEAD:net.yaml", "net.yaml")[2]


def test_a_file_whose_name_has_a_colon_is_that_file(tmp_path, monkeypatch, run):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, **{"HEAD:net": SPEC})
    assert run("HEAD:net.yaml", "net.yaml")[1] == "no difference\n"
