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
