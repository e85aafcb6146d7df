"""Which files a command line means."""

from pathlib import Path

import pytest

from cnnc.text.find_specs import find_specs
from cnnc.text.globs import Globs


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.yaml", "a.yml", "deep/c.yaml", ".hidden/d.yaml", "node_modules/e/f.yaml", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
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
        (["other.json"], ["other.json"]),
        (["."], ["a.yml", "b.yaml", "deep/c.yaml", "odd[1].yaml", "spec.json"]),
        (["deep", "b.yaml", "deep/c.yaml"], ["deep/c.yaml", "b.yaml"]),
        (["*.yaml"], ["b.yaml", "odd[1].yaml"]),
        (["*.json"], ["other.json", "spec.json"]),
        (["**/c.yaml"], ["deep/c.yaml"]),
        (["odd[1].yaml"], ["odd[1].yaml"]),
        (["nothing*.yaml"], ["nothing*.yaml"]),
        (["empty"], ["empty"]),
    ],
)
def test_what_is_meant(given, found, folder):
    assert list(find_specs(given).specs) == found


def test_names_that_no_file_can_have_are_left_to_the_reading(folder):
    names = ("x" * 5000, "[a]" * 3000, "a\0b", "*a\0b")
    assert find_specs(names).specs == names


def test_what_cannot_be_looked_into_is_left_to_the_reading(folder, monkeypatch):
    (folder / "spec.json").chmod(0)
    monkeypatch.setattr(Path, "open", refuse)
    found = ("a.yml", "b.yaml", "deep/c.yaml", "odd[1].yaml", "other.json", "spec.json")
    assert find_specs(["."]).specs == found


def refuse(path, *args):
    raise PermissionError(13, "Permission denied", str(path))


def test_what_looks_like_no_spec_is_passed_over(folder):
    assert find_specs(["."]).passed_over == ("other.json",)
    assert find_specs([".", "other.json"]).passed_over == ()  # which is named
    assert find_specs(["b.yaml"]).passed_over == ()


@pytest.mark.parametrize(
    "text",
    [
        "cnnc: 1\n",
        "name: net\nnodes:\n- relu\n",
        "# a comment\n\n---\ninput: {image: [3, 8, 8]}\n",
        "--- # a comment\nblocks : {}\n",
        "--- {nodes: []}\n",
        "  cnnc: 1\n  nodes: []\n",
        '"nodes": [\n',
        "'blocks':\n  a: {}\n",
        "\ufeffcnnc: 1\n",
        "cnnc: 1\r\nnodes: []\r\n",
        "name: net\rnodes: []\r",
        "{description: [a, {b: c}], nodes: [",
        '{"input": {"image": [3, 8, 8]}, "nodes": [{"conv": {"out": 4, "kernel": 9}}]}',
        '{"a": "}", "b": "\\"}", "nodes" : []}',
        '{\n\t"name": "net",\n\t"blocks": {}}',
        "# in a comment\n{cnnc: 1}\n",
    ],
)
def test_a_spec_is_known_by_its_looks(text, tmp_path):
    for suffix, encoding in ((".yaml", "utf-8"), (".json", "utf-8"), (".yml", "utf-16")):
        (tmp_path / f"net{suffix}").write_bytes(text.encode(encoding))
    assert len(find_specs([str(tmp_path)]).specs) == 3


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# cnnc: 1\n",
        "services:\n  nodes: 3\n",
        "cnnc\n",
        "the nodes: 3\n",
        "nodes:3\n",
        "- nodes: 3\n",
        "text: |\n  nodes: 3\n",
        "inputs2: 3\n",
        "name: an action\ninputs: {python: {default: 3}}\nruns: {using: composite}\n",
        '{"a": {"nodes": []}, "b": "nodes", "c": ["input"]}',
        '{"a": "nodes: 3, nodes:"}',
        '[{"nodes": []}]',
        "\x7fELF\x02\x01\x01",
    ],
)
def test_what_is_no_spec_does_not_look_like_one(text, tmp_path):
    for suffix in (".yaml", ".json"):
        (tmp_path / f"net{suffix}").write_text(text, encoding="utf-8")
    assert len(find_specs([str(tmp_path)]).passed_over) == 2


@pytest.mark.parametrize(
    ("glob", "path", "meant"),
    [
        ("drafts", "a/drafts/x.yaml", True),
        ("drafts/", "drafts/x.yaml", True),
        ("*.draft.yaml", "a/b.draft.yaml", True),
        ("specs/*", "specs/a.yaml", True),
        ("specs/*.yaml", "specs/zoo/a.yaml", False),
        ("specs/**", "specs/zoo/a.yaml", True),
        ("specs/zoo", "specs/zoo/a.yaml", True),
        ("specs/zoo", "old/specs/zoo/a.yaml", False),
        ("**/zoo", "old/specs/zoo/a.yaml", True),
        ("./a.yaml", "b/a.yaml", True),
        ("**/a.yaml", "a.yaml", True),
        ("a?b", "a/b", False),
        ("[!ab].yaml", "b.yaml", False),
        ("[a", "[a", True),
        ("", "a", False),
        (".", "a", False),
        ("base", "a.yaml", False),
        ("{base}/*.yaml", "a.yaml", True),
        ("*.yaml", "../outside.yaml", False),
    ],
)
def test_globs(glob, path, meant, tmp_path, monkeypatch):
    base = tmp_path / "base"
    (base / "sub").mkdir(parents=True)
    for here, way in ((base, path), (base / "sub", f"../{path}"), (base, str(base / path))):
        monkeypatch.chdir(here)
        assert Globs([glob.format(base=base)], str(base)).match(way) == meant


def test_files_are_left_out_of_folders_alone(folder):
    left_out = Globs(["deep", "*.yml"], ".").match
    assert find_specs(["."], left_out).specs == ("b.yaml", "odd[1].yaml", "spec.json")
    found = find_specs(["a.yml", "deep"], left_out)
    assert (found.specs, found.emptied) == (("a.yml",), ("deep",))


def test_a_folder_without_specs_is_kept_if_what_is_left_out_is_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("other.json").write_text("{}")
    found = find_specs(["."], lambda path: True)
    assert (found.specs, found.emptied) == ((".",), ())
