"""Quick fixes, from the help of diagnostics, and formatting."""

SPEC = """\
cnnc: 1
input: {image: [3, 32, 32]}
nodes:
  - Conv2d: {out_channels: 8, kernel_size: 3}
  - conv: {out: 8, kernal: 3}  # a comment
"""


def test_the_help_is_offered_as_quick_fixes(editor):
    editor.open("spec.yaml", SPEC)
    one, whole = editor.fixes("spec.yaml", "kernal").values()
    assert [*editor.fixes("spec.yaml", "  - conv: {out: 8").values()] == [
        one,
        whole,
    ]
    assert one == SPEC.replace("kernal", "kernel")
    right = SPEC.replace("Conv2d", "conv").replace("out_channels", "out").replace("kernel_size", "kernel")
    assert whole == right.replace("kernal", "kernel")
    editor.open("spec.yaml", right.replace("kernal", "kernel"))
    assert editor.fixes("spec.yaml", "kernel") == {}


def test_a_spec_is_formatted_and_other_files_are_not(editor):
    editor.open("spec.yaml", "input: {image: [3, 8, 8]}\nnodes:\n- relu # a comment\ncnnc: 1\n")
    wanted = "cnnc: 1\ninput: {image: [3, 8, 8]}\nnodes:\n  - relu # a comment\n"
    assert editor.formatted("spec.yaml") == wanted
    editor.open("other.yaml", "b:   1\na:   [1,2]\n")
    assert editor.formatted("other.yaml") == "b:   1\na:   [1,2]\n"


MISFIT = """\
cnnc: 1
input: {image: [3, 16, 16]}
nodes:
  - conv: {out: 8, kernel: 17}
  - relu
  - linear: {out: 10}
"""
JOIN = """\
cnnc: 1
input: {image: [3, 32, 32]}
nodes:
  - conv: {name: left, out: 8, kernel: 3, padding: 1, stride: 2}
  - conv: {name: right, from: image, out: 8, kernel: 1}
  - add: {from: [left, right]}
"""


def test_each_change_that_the_help_of_a_misfit_offers_is_a_quick_fix(editor):
    editor.open("spec.yaml", MISFIT)
    assert editor.fixes("spec.yaml", "kernel: 17") == {
        "Set `padding: 1` in `conv` (which reveals another error)": MISFIT.replace("17", "17, padding: 1"),
    }
    editor.open("spec.yaml", joined := JOIN)
    assert editor.fixes("spec.yaml", "add:") == {
        "Set `stride: 2` in `right`": joined.replace("kernel: 1}", "kernel: 1, stride: 2}"),
        "Set `stride: 1` in `left`": joined.replace("stride: 2", "stride: 1"),
    }


def test_nodes_that_are_missing_are_put_in_and_sizes_of_the_input_set(editor):
    spec = MISFIT.replace("kernel: 17", "kernel: 3")
    editor.open("spec.yaml", spec)
    averaged = "Put `global_avg_pool` and `flatten` between `relu` and `linear`, for a vector of 8"
    flat, pooled = editor.fixes("spec.yaml", "linear:").items()
    assert flat[1] == spec.replace("  - linear", "  - flatten\n  - linear")
    assert pooled == (averaged, spec.replace("  - linear", "  - global_avg_pool\n  - flatten\n  - linear"))
    editor.open("spec.yaml", wide := MISFIT.replace("17", "18").replace("  - linear: {out: 10}\n", ""))
    assert editor.fixes("spec.yaml", "kernel: 18")["Make `image` 18×18"] == wide.replace("16, 16", "18, 18")
