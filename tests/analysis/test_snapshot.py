"""`cnnc check --snapshot` and `--against`: what they write, what they report, and which files they refuse."""

import json
from pathlib import Path

import pytest

from tests.command import run_command

NET = "cnnc: 1\ninput: {image: [1, 8, null]}\nnodes:\n  - conv: {out: 6, kernel: 3}\n  - split: {parts: 2, name: s}\n"
NET += "  - add: {from: [s.0, s.1]}\n"
BLOCKS = "cnnc: 1\nblocks:\n  b:\n    nodes:\n      - relu\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "specs").mkdir()
    for name in ("a", "b"):
        (tmp_path / f"specs/{name}.yaml").write_text(NET)
    (tmp_path / "specs/blocks.yaml").write_text(BLOCKS)
    monkeypatch.chdir(tmp_path)
    done = run_command("check", "specs", "--snapshot", "cnnc.lock")
    assert (done.exit_code, done.stderr) == (0, "wrote cnnc.lock: 2 networks\n")
    return tmp_path


def against(*arguments):
    done = run_command("check", *arguments)
    return done.exit_code, [line for line in done.stderr.split("\n") if line.startswith(("error", "  = note"))]


def test_a_snapshot_has_a_line_for_each_node_and_does_not_depend_on_the_working_directory(folder, monkeypatch):
    text = Path("cnnc.lock").read_text()
    assert text.count('"s": {"op": "split", "shapes": [[3, 6, null], [3, 6, null]], "params": 0, "macs": 0},\n') == 2
    assert list(json.loads(text)["specs"]) == ["specs/a.yaml", "specs/b.yaml"]
    monkeypatch.chdir(folder / "specs")
    run_command("check", "b.yaml", "a.yaml", "--snapshot", "../cnnc.lock")
    assert Path("../cnnc.lock").read_text() == text
    assert against(".", "--against", "../cnnc.lock") == (0, [])


def test_what_differs_is_named(folder):
    Path("specs/a.yaml").write_text(NET.replace("kernel: 3", "kernel: 5"))
    Path("specs/b.yaml").rename("specs/c.yaml")
    code, lines = against("specs", "--against", "cnnc.lock")
    assert code == 1
    assert lines == [
        "error[E412]: the network is not the one in cnnc.lock",
        "  = note: - conv: conv, 6×6×?, 60 parameters, ? MACs",
        "  = note: - s: split, 3×6×?, 3×6×?",
        "  = note: - add: add, 3×6×?",
        "  = note: - output add: 3×6×?",
        "  = note: - total, 60 parameters, ? MACs",
        "  = note: + conv: conv, 6×4×?, 156 parameters, ? MACs",
        "  = note: + s: split, 3×4×?, 3×4×?",
        "  = note: + add: add, 3×4×?",
        "  = note: + output add: 3×4×?",
        "  = note: + total, 156 parameters, ? MACs",
        "error[E412]: specs/c.yaml is not in cnnc.lock",
        "error[E412]: specs/b.yaml is in cnnc.lock, but there is no such file",
    ]
    assert (
        "file=specs/a.yaml,line=4," in run_command("check", "specs", "--against", "cnnc.lock", "--format", "github")[1]
    )
    Path("specs/c.yaml").rename("specs/b.yaml")
    Path("specs/a.yaml").write_text(BLOCKS)
    emptied = "error[E412]: specs/a.yaml has a network in cnnc.lock, but has only blocks now"
    assert against("specs/a.yaml", "--against", "cnnc.lock") == (1, [emptied])
    assert against("specs/b.yaml", "--against", "cnnc.lock") == (0, [])  # the others are not checked


def test_a_wrong_spec_leaves_the_snapshot_as_it_is(folder):
    before = Path("cnnc.lock").read_text()
    Path("specs/a.yaml").write_text(NET.replace("kernel: 3", "kernel: 9"))
    done = run_command("check", "specs", "--snapshot", "cnnc.lock")
    assert done.exit_code == 1
    assert done.stderr.endswith("cnnc.lock is not written: 1 spec cannot be in it\n")
    assert Path("cnnc.lock").read_text() == before


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[:100], "cnnc.lock is not JSON, so it is no snapshot"),
        (lambda _: "[]", "cnnc.lock has no `cnnc_snapshot: 1`, got null"),
        (lambda text: text.replace("1,", "2,", 1), "cnnc.lock has no `cnnc_snapshot: 1`, got 2"),
        (lambda text: text.replace('"params": 60', '"params": "60"', 1),
         "cnnc.lock is damaged at specs.specs/a.yaml.params: Input should be a valid integer"),
        (None, "cnnc.lock cannot be read: No such file or directory"),
    ],
)  # fmt: skip
def test_what_is_no_snapshot_is_refused(folder, damage, message):
    path = Path("cnnc.lock")
    text = path.read_text()
    path.unlink()
    if damage:
        path.write_text(damage(text))
    assert against("specs", "--against", "cnnc.lock") == (1, [f"error[E413]: {message}"])


@pytest.mark.parametrize("words", [("-", "--snapshot", "a"), ("specs", "--snapshot", "a", "--against", "b")])
def test_wrong_calls(folder, words):
    assert run_command("check", *words).exit_code == 2
