"""Completion, hover and the outline, also in the middle of a line that is being typed."""

import pytest

SPEC = """\
cnnc: 1
params: {classes: 10}
input: {image: [3, 32, 32]}
blocks:
  unit:
    description: a convolution and its activation
    params: {width: null, stride: 1}
    nodes:
      - conv: {name: inner, out: $width, kernel: 3, stride: $stride}
      - relu
nodes:
  - conv: {name: stem, out: 8, kernel: 3}
  - split: {parts: 2}
@
  - unit: {name: deep, from: split.0, width: 4}
  - flatten
  - linear: {out: $classes}
"""

TYPED = [
    ("  - |", {"conv": "conv", "unit": "unit", "group": "group"}, ()),
    ("  - max|", {"max_pool": "max_pool"}, ("kernel",)),
    ("  - conv: {|", {"out": "out: ", "kernel": "kernel: ", "act": "act: ", "from": "from: "}, ("parts",)),
    ("  - conv: {out: 3, ker|", {"kernel": "kernel: "}, ("out",)),
    ("  - conv: {out: 3, ker|nel: 3}", {"kernel": "kernel"}, ("out",)),
    ("  - conv: {out: 3, padding: |}", {"same": "same", "0": "0"}, ("kernel",)),
    ("  - conv: {out: 3, act: |", {"relu": "relu"}, ("kernel",)),
    ("  - conv:\n      out: 3\n      |", {"kernel": "kernel: "}, ("out",)),
    ("  - conv:\n      out: 3\n      ker|:", {"kernel": "kernel"}, ("out",)),
    ("  - conv: {out: 3, ker|nel:}", {"kernel": "kernel"}, ("out",)),
    ("  - con|:", {"conv": "conv"}, ("kernel",)),
    ("  - unit: {|", {"width": "width: ", "stride": "stride: ", "name": "name: "}, ("kernel",)),
    ("  - add: {from: [stem, |", {"stem": "stem", "image": "image", "deep": "deep"}, ("inner",)),
    ("  - relu: {from: split.|}", {"0": "0", "1": "1"}, ("stem",)),
    ("  - relu: {allow: |}", {"W302": "W302"}, ()),
    ("  - unit: {width: $|", {"classes": "classes"}, ("i", "stride")),
    ("  - unit: {repeat: 2, width: $(2 * |)}", {"classes": "classes", "i": "i", "image": "image.", "min": "min("}, ()),
    ("  - unit: {width: $(stem.|", {"channels": "channels"}, ("classes",)),
    ("train: {optimizer: |}", {"adamw": "adamw"}, ()),
]


@pytest.mark.parametrize(("line", "offered", "not_offered"), TYPED)
def test_what_may_come_next_is_offered(editor, line, offered, not_offered):
    before, after = line.split("|")
    text = SPEC.replace("@", f"{before}⟨{after}" if "train" not in line else f"  - relu\n{before}⟨{after}")
    editor.open("spec.yaml", text)
    position = editor.at("spec.yaml", "⟨")
    editor.open("spec.yaml", text.replace("⟨", ""))
    found = editor.complete_at("spec.yaml", position)
    assert offered.keys() <= found.keys()
    assert not found.keys() & set(not_offered)
    written = {label: each.text_edit.new_text for label, each in found.items()}
    assert {label: written[label] for label, text in offered.items() if text} == {k: v for k, v in offered.items() if v}


def test_files_are_completed_as_a_whole(editor):
    editor.open("parts/blocks.yaml", "cnnc: 1\nblocks: {}\n", write=True)
    editor.open("spec.yaml", "cnnc: 1\nuse: [parts/bl]\n")
    found = editor.complete("spec.yaml", "]\n")["parts/blocks.yaml"].text_edit
    assert (found.new_text, found.range.start) == ("parts/blocks.yaml", editor.at("spec.yaml", "parts"))


def test_a_word_at_the_end_of_a_text_without_a_newline_is_replaced(editor):
    editor.open("spec.yaml", "cnnc: 1\ninput: {image: [3, 8, 8]}\nnodes:\n  - max_p")
    edit = editor.complete("spec.yaml", "max_p", 5)["max_pool"].text_edit
    assert (edit.range.start, edit.range.end) == (editor.at("spec.yaml", "max_p"), editor.at("spec.yaml", "max_p", 5))
    editor.open("spec.yaml", "cnnc: 1\ninput: {image: [3, 8, 8]}\nnodes:\n  - relu")
    assert editor.hints("spec.yaml") == {4: "3×8×8"}


def test_json_is_completed_as_json(editor):
    text = '{"cnnc": 1, "input": {"image": [1, 8, 8]}, "nodes": [{"conv": {"out": 3, }}, {""}]}'
    editor.open("spec.json", text)
    assert editor.complete("spec.json", "}}, {")["kernel"].text_edit.new_text == '"kernel": '
    assert editor.complete("spec.json", '"}]}')["linear"].text_edit.new_text == "linear"


@pytest.mark.parametrize(
    ("mark", "words"),
    [
        ("conv: {name: stem", ["`stem`", "3×32×32 → **8×30×30**", "224 parameters", "receptive field 3×3", "MACs"]),
        ("conv: {name: stem", ["Cross-correlation", "| `kernel` | integer"]),
        ("unit: {name", ["`deep`", "4×30×30 → **4×28×28**", "a convolution and its activation", "`stride` = 1"]),
        ("kernel: 3}\n", ["`kernel`", "height and width of the kernel"]),
        ("split.0", ["`split`", "4×30×30 (×2)"]),
        ("stride}", ["parameter `stride`, default 1"]),
        ("width: 4", ["parameter `width`, required"]),
        ("from: split", ["names the input, or a list of inputs"]),
        ("inner, out", ["`deep.inner`", "4×30×30 → **4×28×28**"]),
    ],
)
@pytest.mark.parametrize("typed", ["  - relu: {from: split.0}\n", "  - relu: {from: [stem, spl\n"])
def test_a_word_is_explained(editor, mark, words, typed):
    editor.open("spec.yaml", SPEC.replace("@\n", "" if "0}" in typed else typed))
    shown = editor.hover("spec.yaml", mark)
    assert [word for word in words if word not in shown] == []


def test_a_scope_behind_an_error_has_no_figures(editor):
    editor.open("spec.yaml", SPEC.replace("@\n", "  - linear: {out: 3}\n").replace("from: split.0, ", ""))
    shown = editor.hover("spec.yaml", "deep")
    assert "no known shape, because of an error" in shown
    assert "MB" not in shown


@pytest.mark.parametrize("typed", ["", "  - conv: {out: 3, [\n"])
def test_the_outline_has_blocks_and_nodes(editor, typed):
    editor.open("spec.yaml", SPEC.replace("@\n", typed))
    found = editor.outline("spec.yaml")
    names = [each.name for each in found]
    assert names[:3] == ["classes", "image", "unit"]
    assert [each for each in names[3:] if each != "conv"] == ["stem", "split", "deep", "flatten", "linear"]
    assert [each.name for each in found[2].children] == ["width", "stride", "inner", "relu"]
