"""The shapes beside the lines."""

SPEC = """\
cnnc: 1
input: {image: [3, 32, 32]}
blocks:
  unit:
    params: {out: null}
    nodes:
      - conv: {out: $out, kernel: 3, padding: 1, act: relu}
      - max_pool: {kernel: 2}
nodes:
  - unit: {out: 8}
  - unit: {name: deep, repeat: 2, out: 16}
  - split: {parts: 2}
  - add: {from: [split.0, split.1]}
  - group:
      nodes:
        - flatten
        - linear: {out: 10}
"""
SHAPES = {
    7: "8×32×32, 16×16×16, 16×8×8",
    8: "8×16×16, 16×8×8, 16×4×4",
    10: "8×16×16",
    11: "16×4×4",
    12: "8×4×4 (×2)",
    13: "8×4×4",
    14: "10",
    16: "128",
    17: "10",
}


def test_each_line_has_its_shape(editor):
    editor.open("spec.yaml", SPEC)
    assert editor.hints("spec.yaml") == SHAPES


def test_a_line_that_is_being_typed_leaves_the_shapes_of_the_others(editor):
    editor.open("spec.yaml", SPEC)
    editor.hints("spec.yaml")
    editor.open("spec.yaml", SPEC.replace("  - split: {parts: 2}\n", "  - conv: {out: 3, ker\n  - split: {parts: 2}\n"))
    found = editor.hints("spec.yaml")
    assert [found[line] for line in (7, 10, 11)] == [SHAPES[7], "8×16×16", "16×4×4"]
    assert found[13] == "8×4×4 (×2) ?"


def test_json_has_shapes(editor):
    text = '{\n"cnnc": 1, "input": {"image": [1, 8, 8]},\n"nodes": [\n{"conv": {"out": 4, "kernel": 3}},\n"relu"\n]}\n'
    editor.open("spec.json", text)
    assert editor.hints("spec.json") == {4: "4×6×6", 5: "4×6×6"}


def test_earlier_shapes_move_with_their_lines(editor):
    editor.open("spec.yaml", SPEC)
    editor.hints("spec.yaml")
    wrong = SPEC.replace("  - unit: {out: 8}\n", "  - unit: {out: 8.5}\n")
    for text in (wrong, "# a comment\n" + wrong, "# a comment\n" + wrong + "# the end\n"):
        editor.open("spec.yaml", text)
        found = editor.hints("spec.yaml")
    assert (found[12], found[18]) == ("16×4×4 ?", "10 ?")


def test_a_file_of_blocks_has_the_shapes_of_its_users(editor):
    blocks = "cnnc: 1\nblocks:\n  unit:\n    nodes:\n      - conv: {out: 2, kernel: 3}\n"
    editor.open("blocks.yaml", blocks, write=True)
    editor.open("user.yaml", "cnnc: 1\nuse: [blocks.yaml]\ninput: {image: [1, 8, 8]}\nnodes: [unit, unit]\n")
    assert editor.hints("blocks.yaml") == {5: "2×6×6, 2×4×4"}
