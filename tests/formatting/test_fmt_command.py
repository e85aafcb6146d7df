"""`cnnc fmt`: which files it changes, what it prints, and what it leaves alone."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cnnc.cli import fmt
from tests.command import run_command

ROOT = Path(__file__).parents[2]
UGLY = "nodes: [relu]\ninput: {image:   [3, 8, 8]}\ncnnc: 1  # the version\n"
NICE = "cnnc: 1  # the version\ninput: {image: [3, 8, 8]}\nnodes:\n  - relu\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def give(monkeypatch, text):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


def test_a_file_is_formatted_in_place(folder):
    path = folder / "net.yaml"
    path.write_text(UGLY, encoding="utf-8")
    assert run_command("fmt", "net.yaml") == (0, "formatted net.yaml\n", "")
    assert path.read_text(encoding="utf-8") == NICE
    before = path.stat()
    assert run_command("fmt", "net.yaml") == (0, "", "")
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    assert [each.name for each in folder.iterdir()] == ["net.yaml"]


def test_check_lists_the_files_that_would_change(folder):
    (folder / "ugly.yaml").write_text(UGLY, encoding="utf-8")
    (folder / "nice.yaml").write_text(NICE, encoding="utf-8")
    done = run_command("fmt", "--check", ".")
    assert done == (1, "would format ugly.yaml\n", "2 specs: 1 unchanged, 1 would change\n")
    assert (folder / "ugly.yaml").read_text(encoding="utf-8") == UGLY
    assert run_command("fmt", "--check", "nice.yaml") == (0, "", "")


@pytest.mark.parametrize("old", [NICE[:-1], NICE.replace("\n", "\r\n"), UGLY[:-1], UGLY.replace("\n", "\r\n")])
def test_diff_is_a_patch(folder, old):
    path = folder / "net.yaml"
    path.write_bytes(old.encode())
    done = run_command("fmt", "--diff", "--check", "net.yaml")
    shown = done.stdout.removesuffix("would format net.yaml\n")
    assert done.exit_code == (shown != ""), "--check and --diff agree"
    assert run_command("fmt", "net.yaml").exit_code == 0
    formatted = path.read_bytes()
    if not shown:
        assert formatted == old.encode()
        return
    assert old.endswith("\n") or "\n\\ No newline at end of file\n" in shown
    path.write_bytes(old.encode())
    subprocess.run(["patch", "--binary", "-s", "net.yaml"], input=shown.encode(), check=True)
    assert path.read_bytes() == formatted


def test_diff_shows_what_would_change(folder):
    (folder / "net.yaml").write_text(UGLY, encoding="utf-8")
    done = run_command("fmt", "--diff", "net.yaml")
    assert done.exit_code == 0
    assert done.stdout.startswith("--- net.yaml\n+++ net.yaml\n@@ ")
    assert "-nodes: [relu]\n" in done.stdout
    assert "+  - relu\n" in done.stdout
    assert (folder / "net.yaml").read_text(encoding="utf-8") == UGLY
    done = run_command("fmt", "--diff", "--check", "net.yaml")
    assert done.exit_code == 1
    assert done.stdout.endswith("would format net.yaml\n")


def test_standard_input_goes_to_standard_output(folder, monkeypatch):
    give(monkeypatch, UGLY)
    assert run_command("fmt", "-") == (0, NICE, "")
    give(monkeypatch, UGLY)
    assert run_command("fmt", "-", "--check") == (1, "would format <stdin>\n", "")
    give(monkeypatch, "cnnc: [\n")
    done = run_command("fmt", "-")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "error[E104]" in done.stderr
    done = run_command("fmt", "-", "net.yaml")
    assert done.exit_code == 2


def test_the_bytes_of_standard_output_are_the_file(folder):
    """Also on a terminal that cannot show them, and with line ends of Windows."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    text = "\ufeff# é ×\r\ncnnc:    1\r\nname: n\u00f6t\r\n".encode()
    done = subprocess.run(
        [sys.executable, "-m", "cnnc", "fmt", "-"], input=text, env=environment, capture_output=True, check=True
    )
    assert done.stdout == "# é ×\r\ncnnc: 1\r\nname: nöt\r\n".encode()


def test_a_broken_file_is_reported_and_the_others_are_formatted(folder):
    (folder / "a.yaml").write_text("cnnc: 1\nnodes: [\n", encoding="utf-8")
    (folder / "b.yaml").write_text(UGLY, encoding="utf-8")
    (folder / "c.yml").write_text("cnnc: &x 1\n", encoding="utf-8")
    done = run_command("fmt", ".", "missing.yaml")
    assert (done.exit_code, done.stdout) == (1, "formatted b.yaml\n")
    assert {"error[E101]", "error[E104]", "error[E106]"} <= {
        line.partition(":")[0] for line in done.stderr.splitlines()
    }
    assert done.stderr.endswith("4 specs: 3 wrong, 1 formatted\n")
    assert (folder / "c.yml").read_text(encoding="utf-8") == "cnnc: &x 1\n"


def test_folders_are_searched_as_by_check(folder):
    for name in ("deep/er/net.yml", ".hidden/net.yaml", "drafts/net.yaml", "left.yaml"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(UGLY, encoding="utf-8")
    (folder / "other.yaml").write_text("jobs: {a:   1}\n", encoding="utf-8")
    (folder / "net.json").write_text('{"cnnc": 1, "nodes": []}', encoding="utf-8")
    (folder / "pyproject.toml").write_text('[tool.cnnc]\nexclude = ["drafts"]\n', encoding="utf-8")
    done = run_command("fmt", ".", "--exclude", "left.yaml")
    assert done.exit_code == 0
    assert done.stdout == "formatted deep/er/net.yml\nformatted net.json\n"
    assert "skipped, without a top-level" in done.stderr
    assert (folder / "other.yaml").read_text(encoding="utf-8") == "jobs: {a:   1}\n"
    assert (folder / "net.json").read_text(encoding="utf-8") == '{\n  "cnnc": 1,\n  "nodes": []\n}\n'
    done = run_command("fmt", "drafts", "--exclude", "drafts")
    assert done.exit_code == 2


@pytest.mark.skipif(sys.platform == "win32", reason="no modes")
def test_links_and_modes_stay(folder):
    path = folder / "real/net.yaml"
    path.parent.mkdir()
    path.write_text(UGLY, encoding="utf-8")
    path.chmod(0o640)
    (folder / "link.yaml").symlink_to("real/net.yaml")
    assert run_command("fmt", "link.yaml").exit_code == 0
    assert (folder / "link.yaml").is_symlink()
    assert path.read_text(encoding="utf-8") == NICE
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_file_that_cannot_be_written_stays(folder, monkeypatch):
    path = folder / "net.yaml"
    path.write_text(UGLY, encoding="utf-8")
    monkeypatch.setattr(os, "access", lambda *_: False)
    done = run_command("fmt", "net.yaml")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "error[E405]: cannot write net.yaml: it is read-only" in done.stderr
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(os, "fsync", full)
    done = run_command("fmt", "net.yaml")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "the disk is full" in done.stderr
    assert path.read_text(encoding="utf-8") == UGLY
    assert [each.name for each in folder.iterdir()] == ["net.yaml"]


def full(*_):
    raise OSError(28, "No space left on device")


def test_an_internal_error_leaves_the_file_and_goes_on(folder, monkeypatch):
    (folder / "a.yaml").write_text(UGLY, encoding="utf-8")
    (folder / "b.yaml").write_text(UGLY, encoding="utf-8")
    real = fmt._format

    def fail(path, given):
        if path == "a.yaml":
            raise AssertionError("formatting would change the data")
        return real(path, given)

    monkeypatch.setattr(fmt, "_format", fail)
    done = run_command("fmt", ".")
    assert (done.exit_code, done.stdout) == (3, "formatted b.yaml\n")
    assert "internal error: cnnc failed on a.yaml: AssertionError: formatting would change the data" in done.stderr
    assert (folder / "a.yaml").read_text(encoding="utf-8") == UGLY


def test_the_specs_of_this_repository_pass():
    done = run_command("fmt", "--check", ROOT / "specs", ROOT / "tests/published")
    assert (done.exit_code, done.stdout) == (0, "")
