"""Which files a command line means."""

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
