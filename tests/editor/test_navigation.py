"""Definitions, references and renaming, across files."""

import pytest
from pygls.exceptions import JsonRpcException

BLOCKS = """\
cnnc: 1
blocks:
  unit:
    params: {width: null}
    nodes:
      - conv: {name: first, out: $width, kernel: 1}
      - conv: {out: $(2 * first.channels), kernel: 1}
      - add: {from: [conv, input]}
"""
SPEC = """\
cnnc: 1
params: {classes: 10}
input: {image: [8, 4, 4]}
use: [lib/blocks of mine.yaml]
nodes:
  - unit: {name: stem, width: 4}
  - unit: {from: stem, width: $(image.channels // 2)}
  - flatten
  - linear: {out: $classes}
"""
LIB = "lib/blocks of mine.yaml"


@pytest.fixture
def spec(editor):
    editor.open(LIB, BLOCKS, write=True)
    editor.open("spec.yaml", SPEC, write=True)
    editor.save("spec.yaml")
    return editor


@pytest.mark.parametrize(
    ("file", "mark", "defined", "used"),
    [
        ("spec.yaml", "unit: {name", [f"{LIB}:3:3"], ["spec.yaml:6:5", "spec.yaml:7:5"]),
        ("spec.yaml", "width: 4", [f"{LIB}:4:14"], [f"{LIB}:6:35", "spec.yaml:6:24", "spec.yaml:7:24"]),
        ("spec.yaml", "stem, width: $", ["spec.yaml:6:18"], ["spec.yaml:7:18"]),
        ("spec.yaml", "image.channels", ["spec.yaml:3:9"], ["spec.yaml:7:33"]),
        ("spec.yaml", "classes}", ["spec.yaml:2:10"], ["spec.yaml:9:20"]),
        (LIB, "first.channels", [f"{LIB}:6:22"], [f"{LIB}:7:27"]),
        (LIB, "width: null", [f"{LIB}:4:14"], [f"{LIB}:6:35", "spec.yaml:6:24", "spec.yaml:7:24"]),
        (LIB, "conv, input", [f"{LIB}:7:9"], [f"{LIB}:8:22"]),
    ],
)
def test_a_name_leads_to_its_definition_and_uses(spec, file, mark, defined, used):
    assert spec.definition(file, mark) == defined
    assert spec.references(file, mark) == sorted({*defined, *used})


def test_a_used_file_is_opened(spec):
    assert spec.definition("spec.yaml", LIB) == [f"{LIB}:1:1"]


def test_renaming_changes_all_files(spec):
    assert spec.rename("spec.yaml", "unit: {name", "cell") == {
        LIB: BLOCKS.replace("unit:", "cell:"),
        "spec.yaml": SPEC.replace("unit:", "cell:"),
    }
    assert spec.rename(LIB, "width: null", "w") == {
        LIB: BLOCKS.replace("width", "w"),
        "spec.yaml": SPEC.replace("width", "w"),
    }
    assert spec.rename("spec.yaml", "stem,", "start") == {"spec.yaml": SPEC.replace("stem", "start")}


@pytest.mark.parametrize(
    ("file", "mark", "new", "reason"),
    [
        ("spec.yaml", "stem,", "forward", "an attribute of torch modules"),
        ("spec.yaml", "stem,", "image", "`image` is taken"),
        ("spec.yaml", "unit: {name", "conv", "there is an op `conv`"),
        (LIB, "conv, input", "other", "default name"),
        (LIB, "first,", "conv", "`conv` is taken"),
        ("spec.yaml", "stem,", "1", "an error that it has not now"),
    ],
)
def test_a_renaming_that_would_break_something_is_refused(spec, file, mark, new, reason):
    with pytest.raises(JsonRpcException, match=reason):
        spec.rename(file, mark, new)


def test_a_renaming_that_would_change_default_names_is_refused(editor):
    editor.open(
        "named.yaml",
        "cnnc: 1\ninput: {image: [8, 4, 4]}\nnodes:\n  - relu: {name: tanh}\n  - tanh\n  - tanh: {name: b}\n"
        "  - sigmoid: {from: tanh_2}\n  - add: {from: [b, sigmoid]}\n",
    )
    with pytest.raises(JsonRpcException, match="other names would get another meaning"):
        editor.rename("named.yaml", "tanh}", "other")


def test_a_renaming_in_a_file_of_blocks_looks_at_the_networks_that_use_it(editor):
    nodes = "[{relu: {name: tanh}}, tanh, {tanh: {name: b}}, {sigmoid: {from: tanh_2}}]"
    editor.open("units.yaml", f"cnnc: 1\nblocks:\n  u: {{nodes: {nodes}}}\n", write=True)
    editor.open("user.yaml", "cnnc: 1\nuse: units.yaml\ninput: {image: [8, 4, 4]}\nnodes: [u]\n")
    with pytest.raises(JsonRpcException, match="with this name"):
        editor.rename("units.yaml", "tanh}", "other")
