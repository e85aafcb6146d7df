"""Which files a command line means."""

from pathlib import Path

import pytest

from cnnc.spec.find import find_specs


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.yaml", "a.yml", "deep/c.yaml", ".hidden/d.yaml", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("cnnc: 1\n")
    (tmp_path / "spec.json").write_text('{"cnnc": 1}')
    (tmp_path / "other.json").write_text('{"version": 1}')
    (tmp_path / "empty").mkdir()
    (tmp_path / "odd[1].yaml").write_text("cnnc: 1\n")
    return tmp_path


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (["b.yaml"], ["b.yaml"]),
        (["-"], ["-"]),
        (["missing.yaml"], ["missing.yaml"]),
        (["notes.txt"], ["notes.txt"]),
        (["."], ["a.yml", "b.yaml", "deep/c.yaml", "odd[1].yaml", "spec.json"]),
        (["deep", "b.yaml", "deep/c.yaml"], ["deep/c.yaml", "b.yaml"]),
        (["*.yaml"], ["b.yaml", "odd[1].yaml"]),
        (["**/c.yaml"], ["deep/c.yaml"]),
        (["odd[1].yaml"], ["odd[1].yaml"]),
        (["nothing*.yaml"], ["nothing*.yaml"]),
        (["empty"], ["empty"]),
    ],
)
def test_what_is_meant(given, found, folder):
    assert find_specs(given) == found


def test_names_that_no_file_can_have_are_left_to_the_reading(folder):
    assert find_specs(["x" * 5000, "[a]" * 3000, "a\0b", "*a\0b"]) == ["x" * 5000, "[a]" * 3000, "a\0b", "*a\0b"]


def test_what_cannot_be_looked_into_is_left_to_the_reading(folder, monkeypatch):
    (folder / "spec.json").chmod(0)
    monkeypatch.setattr(Path, "open", refuse)
    assert find_specs(["."]) == ["a.yml", "b.yaml", "deep/c.yaml", "odd[1].yaml", "other.json", "spec.json"]


def refuse(path, *args):
    raise PermissionError(13, "Permission denied", str(path))
