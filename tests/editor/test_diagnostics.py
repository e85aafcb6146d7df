"""Diagnostics while typing, of all files that a change concerns."""

from lsprotocol import types

SPEC = """\
cnnc: 1
input: {image: [3, 32, 32]}
nodes:
  - conv: {name: a, out: 8, kernel: 3}
  - conv: {name: b, from: image, out: 8, kernel: 5}
  - add: {from: [a, b]}
"""


def test_a_mistake_has_its_place_its_notes_and_its_help(editor):
    editor.open("spec.yaml", SPEC)
    (found,) = editor.diagnostics("spec.yaml", "E301")
    assert (found.source, found.severity) == ("cnnc", types.DiagnosticSeverity.Error)
    assert found.range == types.Range(types.Position(5, 16), types.Position(5, 22))
    assert "`b` is 8×28×28" in found.message
    assert "help: " in found.message
    places = [(each.location.uri, each.location.range.start.line) for each in found.related_information]
    assert (editor.uri("spec.yaml"), 3) in places
    editor.open("spec.yaml", SPEC.replace("kernel: 5", "kernel: 3"))
    editor.diagnostics("spec.yaml")


def test_places_count_in_utf_16(editor):
    editor.open("spec.yaml", SPEC.replace("name: a", "name: 😀"))
    found = [each.range.start for each in editor.diagnostics("spec.yaml", "E209", "E306")]
    assert found == [types.Position(3, 17), types.Position(5, 17)]
    editor.open("spec.yaml", SPEC.replace("kernel: 5", "kernal: 5").replace("name: b", "name: 😀"))
    misspelt = editor.diagnostics("spec.yaml", "E209", "E206", "E306")[1]
    assert misspelt.range == types.Range(editor.at("spec.yaml", "kernal"), editor.at("spec.yaml", "kernal", 6))


def test_a_changed_block_is_checked_in_the_files_that_use_it(editor):
    blocks = "cnnc: 1\nblocks:\n  unit: {nodes: [{conv: {out: 8, kernel: 3}}]}\n"
    user = "cnnc: 1\nuse: [blocks.yaml]\ninput: {image: [3, 9, 9]}\nnodes: [unit, flatten, {linear: {out: 2}}]\n"
    editor.write("closed.yaml", user)
    editor.open("blocks.yaml", blocks, write=True)
    editor.open("user.yaml", user, write=True)
    editor.diagnostics("user.yaml")
    editor.open("blocks.yaml", blocks.replace("kernel: 3", "kernel: 10"))
    (found,) = editor.diagnostics("blocks.yaml", "E303")
    assert editor.refreshes  # of the hints in the other files
    assert "user.yaml" in {each.location.uri.rpartition("/")[2] for each in found.related_information}
    editor.open("blocks.yaml", blocks.replace("unit", "other"))
    editor.diagnostics("user.yaml", "E205")
    editor.diagnostics("closed.yaml", "E205")
    editor.diagnostics("blocks.yaml")
    editor.write("pyproject.toml", "[tool.cnnc]\nexclude = ['closed.yaml']\n")
    editor.diagnostics("closed.yaml")
    editor.write("pyproject.toml", None)
    editor.diagnostics("closed.yaml", "E205")
    editor.write("closed.yaml", None)
    editor.diagnostics("closed.yaml")


def test_a_changed_project_is_followed(editor):
    spec = "cnnc: 1\ninput: {image: [3, 8, 8]}\nnodes: [{conv: {out: 4, kernel: 1}}, batch_norm]\n"
    editor.open("spec.yaml", spec)
    editor.diagnostics("spec.yaml", "W304")
    assert editor.watched[0] == "**/pyproject.toml"
    editor.write("pyproject.toml", "[tool.cnnc]\nallow = ['W304']\n")
    editor.diagnostics("spec.yaml")
    (editor.folder / "pyproject.toml").write_text("[tool.cnnc]\ndeny = ['W304']\n", encoding="utf-8")  # no report
    editor.open("spec.yaml", f"{spec}\n")
    (found,) = editor.diagnostics("spec.yaml", "W304")
    assert found.severity == types.DiagnosticSeverity.Error
    editor.write("pyproject.toml", None)
    editor.open("spec.yaml", spec)


def test_other_files_are_left_alone(editor):
    editor.open("compose.yaml", "services: {web: {image: nginx}}\n")
    editor.diagnostics("compose.yaml")
