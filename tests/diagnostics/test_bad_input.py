"""Bad input of every kind: what is said, and where; and what only looks bad and is accepted.

The tables give the exact list of (code, line, column). None of this may take long: no test here builds anything of the
size that its spec asks for.
"""

import os
from pathlib import Path

import pytest

from cnnc.compiler import check
from tests.command import run_command

TOP = "cnnc: 1\nname: net\ninput: {image: [3, 32, 32]}\n"
NODES = f"{TOP}nodes:\n"  # the first node stands on line 5


def found(checked):
    return [
        (each.code.value, *((each.span.line, each.span.column) if each.span else (0, 0)))
        for each in checked.diagnostics
    ]


def check_text(text, tmp_path):
    path = tmp_path / "net.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return check(path)


def nodes(*lines):
    return NODES + "".join(f"  - {line}\n" for line in lines)


TEXTS = {
    "empty": ("", [("E109", 1, 1)]),
    "only comments": ("# a\n# b\n", [("E109", 1, 1)]),
    "only a document's start": ("---\n", [("E109", 2, 1)]),
    "a scalar": ("resnet\n", [("E109", 1, 1)]),
    "a list": ("- relu\n", [("E109", 1, 1)]),
    "two documents": (f"{nodes('relu')}---\n{nodes('relu')}", [("E109", 6, 1)]),
    "an empty mapping": ("{}\n", [("E202", 1, 1), ("E202", 1, 1), ("E309", 1, 1)]),
    "UTF-16": (nodes("relu").encode("utf-16"), [("E103", 1, 1)]),
    "UTF-16 without its mark": (nodes("relu").encode("utf-16-le"), [("E103", 1, 1)]),
    "UTF-32": (nodes("relu").encode("utf-32"), [("E103", 1, 1)]),
    "latin-1": (nodes("relu").replace("net", "réseau").encode("latin-1"), [("E103", 2, 8)]),
    "a NUL": (b"cnnc: 1\nname: a\0b\n", [("E103", 2, 8)]),
    "an escape": (b"cnnc: 1\nname: a\x1bb\n", [("E103", 2, 8)]),
    "binary": (bytes(range(256)), [("E103", 1, 1)]),
    "an ONNX file": (b"\x08\x0a\x12\x07pytorch\x1a\x052.13", [("E103", 1, 1)]),
    "too large": (b"# " + b"x" * (1 << 20), [("E102", 0, 0)]),
    "a tab that indents": (f"{TOP}nodes:\n\t- relu\n", [("E104", 5, 1)]),
    "an unclosed bracket": (f"{TOP}nodes: [relu\n", [("E104", 4, 13)]),
    "an unclosed quote": (f"{TOP}nodes: ['relu]\n", [("E104", 4, 9)]),
    "a missing colon": (f"{TOP}nodes\n  - relu\n", [("E104", 4, 1)]),
    "equal keys": (f"{TOP}name: other\nnodes: [relu]\n", [("E105", 4, 1)]),
    "an anchor and an alias": (nodes("conv: &a {out: 3, kernel: 3}", "conv: *a"), [("E106", 5, 11), ("E106", 6, 11)]),
    "a merge key": (nodes("conv: {<<: {out: 3}, kernel: 3}"), [("E106", 5, 12)]),
    "a tag": (nodes("!!python/object/apply:os.system [ls]"), [("E106", 5, 5)]),
    "a directive": (f"%YAML 1.1\n---\n{nodes('relu')}", [("E106", 1, 1)]),
    "an alias bomb": ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
        [("E106", 1, 4), ("E106", 2, 4), ("E106", 2, 8), ("E106", 2, 12), ("E106", 3, 5), ("E106", 3, 9)]),
    "deep brackets": ("nodes: " + "[" * 200_000, [("E107", 1, 39)]),
    "deep JSON": ('{"nodes": ' + "[" * 5_000 + "]" * 5_000 + "}", [("E107", 1, 42)]),
    "deep blocks of lines": ("".join("  " * depth + "a:\n" for depth in range(100)), [("E107", 33, 65)]),
}  # fmt: skip

SCALARS = {
    "Norway": (nodes("conv: {out: no, kernel: on}"), [("E208", 5, 17), ("E208", 5, 29)]),
    "yes": (nodes("conv: {out: 3, kernel: 3, bias: yes}"), [("E208", 5, 37)]),
    "a float for an integer": (nodes("conv: {out: 1e3, kernel: 3.0}"), [("E208", 5, 17), ("E208", 5, 30)]),
    "sexagesimal": (nodes("conv: {out: 1:30, kernel: 3}"), [("E208", 5, 17)]),
    "a date": (nodes("conv: {out: 2024-01-01, kernel: 3}"), [("E208", 5, 17)]),
    "an integer in quotes": (nodes("conv: {out: '3', kernel: 3}"), [("E208", 5, 17)]),
    "a boolean": (nodes("conv: {out: true, kernel: 3}"), [("E208", 5, 17)]),
    "10^30": (nodes(f"conv: {{out: {10**30}, kernel: 3}}"), [("E108", 5, 17)]),
    "5,000 digits": (nodes(f"conv: {{out: {'9' * 5_000}, kernel: 3}}"), [("E108", 5, 17)]),
    "infinity": (nodes("batch_norm: {eps: .inf}", "dropout: {rate: .nan}"), [("E108", 5, 23), ("E108", 6, 21)]),
    "too large a float": (nodes("batch_norm: {eps: 1e400}"), [("E108", 5, 23)]),
    "NaN in JSON": ('{"cnnc": 1, "nodes": [{"batch_norm": {"eps": NaN}}]}', [("E309", 1, 2), ("E208", 1, 46)]),
    "null for what is required": (nodes("conv: {out: null, kernel: 3}"), [("E208", 5, 17)]),
    "a list for a scalar": (nodes("conv: {out: [3], kernel: 3}"), [("E208", 5, 17)]),
    "three numbers for a pair": (nodes("conv: {out: 3, kernel: [3, 3, 3]}"), [("E208", 5, 28)]),
    "an expression over the limits": (nodes("dropout: {rate: $(9**9**9)}"), [("E212", 5, 23)]),
    "an expression that calls": (nodes("dropout: {rate: \"$(__import__('os').system('ls'))\"}"), [("E211", 5, 24)]),
}

NAMES = {
    "a keyword": (nodes("relu: {name: class}"), [("E209", 5, 18)]),
    "torch's": (nodes("relu: {name: forward}", "relu: {name: training}"), [("E209", 5, 18), ("E209", 6, 18)]),
    "reserved for Python": (nodes("relu: {name: __init__}"), [("E209", 5, 18)]),
    "dotted": (nodes("relu: {name: a.b}", "tanh: {from: a.b}"), [("E209", 5, 18)]),
    "slashed": (nodes("relu: {name: a/b}"), [("E209", 5, 18)]),
    "a path": (nodes("relu: {name: ../x}"), [("E209", 5, 18)]),
    "empty": (nodes("relu: {name: ''}"), [("E209", 5, 18)]),
    "long": (nodes(f"relu: {{name: {'x' * 10_000}}}"), [("E209", 5, 18)]),
    "with escapes": (nodes(r'relu: {name: "\e[31m\u202e"}'), [("E209", 5, 18)]),
    "a number": (nodes("relu: {name: 7}", "tanh: {from: 7}"), [("E209", 5, 18)]),
    "a list": (nodes("relu: {name: [a]}"), [("E209", 5, 18)]),
    "given twice": (nodes("relu: {name: a}", "tanh: {name: a}"), [("E210", 6, 18)]),
    "the input's": (nodes("relu: {name: image}"), [("E210", 5, 18)]),
    "an input that none can hold": (TOP.replace("image", "class") + "nodes: [relu]\n", [("E209", 3, 9)]),
    "a block that is an op": (f"{TOP}blocks:\n  conv: {{nodes: [relu]}}\nnodes: [relu]\n", [("E210", 5, 3)]),
    "a network": (nodes("relu").replace("net", "../net"), [("E209", 2, 7)]),
    "a near miss of an op": (nodes("Conv2d: {out: 3, kernel: 3}", "flatten"), [("E205", 5, 5)]),
    "a near miss of an attribute": (nodes("conv: {out: 3, kernal: 3}"), [("E206", 5, 20)]),
    "a near miss of a key": (nodes("relu").replace("nodes:", "node:"), [("E201", 4, 1)]),
    "an op's own word": (nodes("relu: {each: 3}"), [("E206", 5, 12)]),
}

BLOCKS = f"{TOP}blocks:\n"  # the first block stands on line 5
GRAPHS = {
    "no input": ("cnnc: 1\nnodes: [relu]\n", [("E309", 1, 1)]),
    "input and inputs": (f"{TOP}inputs: {{b: [3]}}\nnodes: [relu]\n", [("E203", 4, 1)]),
    "no nodes": (f"{TOP}nodes: []\n", [("E309", 4, 8)]),
    "nodes that are no list": (f"{TOP}nodes: relu\n", [("E203", 4, 8)]),
    "the input as output": (f"{TOP}nodes: [relu]\noutputs: [image]\n", [("E309", 5, 11)]),
    "an output that is not there": (f"{TOP}nodes: [relu]\noutputs: [scores]\n", [("E306", 5, 11)]),
    "outputs of training alone": (
        f"{TOP}nodes: [relu]\noutputs: {{a: {{from: relu, only: train}}}}\n", [("E309", 5, 11)]),
    "a self loop": (nodes("relu: {name: a, from: a}"), [("E307", 5, 5)]),
    "a long cycle": (nodes("relu: {name: n0, from: n999}",
                           *(f"relu: {{name: n{k}, from: n{k - 1}}}" for k in range(1, 1000))), [("E307", 5, 5)]),
    "a dense cyclic graph": (nodes(*(f"add: {{name: n{k}, from: [{', '.join(f'n{j}' for j in range(40) if j != k)}]}}"
                                     for k in range(40))), [("E307", 5, 5)]),
    "an unreachable node": (nodes("relu", "tanh: {from: image}"), [("E308", 5, 5)]),
    "an unused input": (
        "cnnc: 1\ninputs: {a: [3], b: [3]}\nnodes:\n  - relu: {from: a}\n", [("E308", 2, 18)]),
    "a dangling from": (nodes("relu: {from: nowhere}"), [("E306", 5, 18)]),
    "one input for add": (nodes("add"), [("E305", 5, 5)]),
    "two for relu": (nodes("tanh", "relu: {from: [image, tanh]}"), [("E305", 6, 18)]),
    "no inputs": (nodes("add: {from: []}"), [("E305", 5, 17)]),
    "the first of several inputs": ("cnnc: 1\ninputs: {a: [3], b: [3]}\nnodes: [add]\n", [("E305", 3, 9)]),
    "repeat 0, -1 and yes": (nodes("relu: {repeat: 0}", "relu: {repeat: -1}", "relu: {repeat: yes}"),
                             [("E215", 5, 20), ("E215", 6, 20), ("E215", 7, 20)]),
    "repeat 10^9": (nodes("relu: {repeat: 1000000000}"), [("E217", 5, 20)]),
    "three nested repeats of 1,000": (
        f"{BLOCKS}  a: {{nodes: [{{relu: {{repeat: 1000}}}}]}}\n  b: {{nodes: [{{a: {{repeat: 1000}}}}]}}\n"
        "nodes:\n  - b: {repeat: 1000}\n", [("E217", 8, 17)]),
    "three nested repeats of nothing": (
        f"{BLOCKS}  a: {{nodes: [{{relu: {{repeat: 1000, when: false}}}}]}}\n"
        "  b: {nodes: [{a: {repeat: 1000}}]}\n"
        "nodes:\n  - b: {repeat: 1000}\n  - tanh\n", [("E217", 6, 16)]),
    "a block in itself": (f"{BLOCKS}  a: {{nodes: [a]}}\nnodes: [a]\n", [("E213", 5, 15)]),
    "blocks in each other": (
        f"{BLOCKS}  a: {{nodes: [b]}}\n  b: {{nodes: [a]}}\nnodes: [a]\n", [("E213", 5, 15)]),
    "blocks that double": (
        BLOCKS + "  b0: {nodes: [relu]}\n" + "".join(f"  b{k}: {{nodes: [b{k - 1}, b{k - 1}]}}\n" for k in range(1, 30))
        + "nodes: [b29]\n", [("E217", 35, 9)]),
    "blocks 40 deep": (
        BLOCKS + "  b0: {nodes: [relu]}\n" + "".join(f"  b{k}: {{nodes: [b{k - 1}]}}\n" for k in range(1, 40))
        + "nodes: [b39]\n", [("E217", 13, 16)]),
    "a port that is not there": (nodes("split: {parts: 3}", "relu: {from: split.7}"), [("E314", 6, 18)]),
    "several outputs for one": (nodes("split: {parts: 3}", "relu"), [("E314", 6, 5)]),
    "an unknown parameter of a block": (
        f"{BLOCKS}  a: {{params: {{width: 3}}, nodes: [relu]}}\nnodes: [{{a: {{with: 4}}}}]\n", [("E206", 6, 14)]),
}  # fmt: skip

SHAPES = {
    "an accidental broadcast": (nodes("mean: {axes: 1}", "add: {from: [image, mean]}"), [("E301", 6, 17)]),
    "concat of unequal maps": (nodes("max_pool: {kernel: 2}", "concat: {from: [image, max_pool]}"), [("E301", 6, 20)]),
    "a kernel over its input": (nodes("conv: {out: 3, kernel: 33}"), [("E303", 5, 28)]),
    "nothing left after k stages": (
        nodes(*["max_pool: {kernel: 2}"] * 8), [("E303", 10, 24)]),
    "sizes of 0 and less": (
        nodes("conv: {out: 0, kernel: 0, stride: 0, dilation: -1, padding: -1}"),
        [("E208", 5, 17), ("E208", 5, 28), ("E208", 5, 39), ("E208", 5, 52), ("E208", 5, 65)]),
    "an input of 0": (TOP.replace("3, 32", "0, 32") + "nodes: [relu]\n", [("E203", 3, 17)]),
    "an input with its batch": (TOP.replace("[3,", "[8, 3,") + "nodes: [relu]\n", [("E203", 3, 16)]),
    "groups that do not divide": (nodes("conv: {out: 4, kernel: 3, groups: 2}"), [("E304", 5, 39)]),
    "padding over the kernel in a pool": (nodes("max_pool: {kernel: 2, padding: 2}"), [("E303", 5, 36)]),
    "LRN of even size": (nodes("local_response_norm: {size: 4}"), [("E313", 5, 33)]),
    "eps of 0": (nodes("batch_norm: {eps: 0}"), [("E208", 5, 23)]),
    "dropout of everything": (nodes("dropout: {rate: 1.0}"), [("E208", 5, 21)]),
    "group norm that does not divide": (nodes("group_norm: {groups: 2}"), [("E304", 5, 26)]),
    "linear on a map": (nodes("linear: {out: 10}"), [("E302", 5, 5)]),
    "conv on a vector": (nodes("flatten", "conv: {out: 3, kernel: 3}"), [("E302", 6, 5)]),
    "an axis that is not there": (nodes("softmax: {axis: 9}"), [("E313", 5, 21)]),
    "an unknown size where one is needed": (
        TOP.replace("32, 32", "null, null") + "nodes: [flatten]\n", [("E310", 4, 9)]),
    "labels that do not fit": (f"{TOP}labels: [a, b]\nnodes: [global_avg_pool, flatten]\n", [("E203", 4, 9)]),
}  # fmt: skip

SIZES = {
    "10^15 parameters": (nodes("flatten", "linear: {out: 325520833333}"), [("E208", 6, 19)]),
    "10^12 parameters": (nodes("flatten", "linear: {out: 1000000000}"), [("E311", 6, 5)]),
    "10^10 parameters in all": (
        nodes("flatten", "linear: {out: 99999}", "linear: {out: 99999}", "linear: {out: 9999}"), [("E311", 7, 5)]),
    "10^12 activations": (nodes("upsample: {factor: 20000}"), [("E311", 5, 5)]),
    "an input of 10^11": ("cnnc: 1\ninput: {image: [10, 100000, 100000]}\nnodes: [relu]\n", [("E311", 2, 16)]),
    "10^6 nodes": (nodes("relu: {repeat: 1000000}"), [("E217", 5, 20)]),
    "sums over 2^63": (
        nodes("flatten", *["linear: {out: 2147483647}"] * 3), [("E311", 6, 5)]),
    "a budget that is over": (
        f"{TOP}budget: {{params: 1K, macs: 1}}\nnodes: [flatten, {{linear: {{out: 10}}}}]\n",
        [("E312", 4, 18), ("E312", 4, 28)]),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), TEXTS.values(), ids=TEXTS)
def test_texts(text, expected, tmp_path):
    assert found(check_text(text, tmp_path)) == expected


@pytest.mark.parametrize(("text", "expected"), SCALARS.values(), ids=SCALARS)
def test_scalars(text, expected, tmp_path):
    assert found(check_text(text, tmp_path)) == expected


@pytest.mark.parametrize(("text", "expected"), NAMES.values(), ids=NAMES)
def test_names(text, expected, tmp_path):
    assert found(check_text(text, tmp_path)) == expected


@pytest.mark.parametrize(("text", "expected"), GRAPHS.values(), ids=GRAPHS)
def test_graphs(text, expected, tmp_path):
    assert found(check_text(text, tmp_path)) == expected


@pytest.mark.parametrize(("text", "expected"), SHAPES.values(), ids=SHAPES)
def test_shapes(text, expected, tmp_path):
    assert found(check_text(text, tmp_path)) == expected


@pytest.mark.parametrize(("text", "expected"), SIZES.values(), ids=SIZES)
def test_sizes(text, expected, tmp_path):
    assert found(check_text(text, tmp_path)) == expected


ACCEPTED = {
    "a byte order mark": b"\xef\xbb\xbf" + nodes("relu").encode(),
    "CRLF": nodes("relu", "conv: {out: 3, kernel: 3}").replace("\n", "\r\n"),
    "no newline at the end": nodes("relu").rstrip(),
    "a document's start and end": f"---\n{nodes('relu')}...\n",
    "comments everywhere": nodes("relu # the op").replace("cnnc: 1", "# a spec\ncnnc: 1 # the version"),
    "JSON": '{"cnnc": 1, "input": {"image": [3, 32, 32]}, "nodes": ["relu", {"conv": {"out": 3, "kernel": 3}}]}',
    "JSON with tabs": '{\t"cnnc": 1,\t"input": {"image": [3]},\t"nodes": ["relu"]\t}',
    "octal as YAML 1.2 has it": nodes("conv: {out: 010, kernel: 0o3}"),
    "a small float": nodes("batch_norm: {eps: 1e-3}"),
    "a forward reference": nodes("add: {from: [t, image]}", "tanh: {name: t, from: image}", "mul: {from: [add, t]}"),
    "case twins": nodes("relu: {name: conv}", "relu: {name: Conv}", "add: {from: [conv, Conv]}"),
    "names in quotes that look like numbers": nodes("relu: {name: '7'}", "tanh: {from: '7'}"),
    "a label that looks like a boolean": f"{TOP}labels: [yes, no, on]\nnodes: [global_avg_pool, flatten]\n",
    "an unknown height and width": TOP.replace("32, 32", "null, null") + "nodes: [{conv: {out: 3, kernel: 3}}]\n",
    "a budget that is kept": f"{TOP}budget: {{params: 1K, macs: 2.5G, activations: 64MB}}\nnodes: [relu]\n",
    "a block that nothing uses": f"{TOP}blocks: {{a: {{nodes: [relu]}}}}\nnodes: [relu]\n",
    "a file of blocks": "cnnc: 1\nblocks: {a: {params: {out: null}, nodes: [{conv: {out: $out, kernel: 3}}]}}\n",
}  # fmt: skip


@pytest.mark.parametrize("text", ACCEPTED.values(), ids=ACCEPTED)
def test_what_is_accepted(text, tmp_path):
    checked = check_text(text, tmp_path)
    assert found(checked) == []
    assert checked.ok


@pytest.fixture
def odd(tmp_path):
    """A folder with files that are none."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("nothing")
    with (tmp_path / "sparse.yaml").open("wb") as file:
        file.truncate(100 << 20)
    (tmp_path / "line.yaml").write_bytes(b"x" * (2 << 20))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("missing.yaml", "E101"),
        ("folder", "E101"),
        ("pipe", "E101"),
        ("loop", "E101"),
        ("dangling", "E101"),
        ("a\0b", "E101"),
        ("sparse.yaml", "E102"),
        ("line.yaml", "E102"),
        ("x" * 5_000, "E101"),
    ],
)
def test_files(odd, name, code):
    assert found(check(f"{odd}/{name}")) == [(code, 0, 0)]


def test_ten_independent_mistakes_are_ten_diagnostics(tmp_path):
    text = nodes(
        "conv: {out: 8, kernal: 3}",
        "relu6",
        "Conv2d: {out: 8, kernel: 3}",
        "conv: {out: 0, kernel: 3}",
        "conv: {name: forward, from: image, out: 8, kernel: 3}",
        "conv: {from: image, out: 8, kernel: 99}",
        "relu: {from: nowhere}",
        "conv: {from: image, out: 8, kernel: 3, groups: 2}",
        "linear: {from: image, out: $(3 / 0)}",
        "linear: {from: image, out: 10}",
        "add: {from: [forward, image]}",
        "softmax",
    )
    assert [code for code, _, _ in found(check_text(text, tmp_path))] == [
        "E206", "E205", "E208", "E209", "E303", "E306", "E304", "E212", "E302", "E301",
    ]  # fmt: skip


def test_mistakes_in_every_part_are_all_told(tmp_path):
    text = """cnnc: 1
name: ../net
colour: red
params: {a: null, class: 3, b: $nope}
labels: [1]
budget: {params: lots}
train: {lr: fast, optimiser: sgd}
outputs: {x: nowhere}
use: [../x.yaml]
blocks:
  unused:
    params: {k: 3}
    nodes:
      - conv: {out: 0, kernel: $k}
      - relu: {from: nope}
input: {image: [3, 32, no]}
nodes:
  - relu: {repeat: 0}
"""
    assert found(check_text(text, tmp_path)) == [
        ("E209", 2, 7), ("E201", 3, 1), ("E202", 4, 13), ("E209", 4, 19), ("E212", 4, 33), ("E203", 5, 10),
        ("E203", 6, 18), ("E203", 7, 13), ("E201", 7, 19), ("E306", 8, 14), ("E214", 9, 7), ("E208", 14, 21),
        ("E306", 15, 22), ("E203", 16, 24), ("E215", 18, 20),
    ]  # fmt: skip


def test_a_line_of_a_block_that_is_wrong_in_every_instance_is_told_once(tmp_path):
    text = f"""{BLOCKS}  stage:
    params: {{channels: null}}
    nodes:
      - conv: {{out: $(channels / 2), kernel: 3}}
nodes:
  - stage: {{channels: 8}}
  - stage: {{channels: 16, from: image}}
  - concat: {{from: [stage, stage_2]}}
"""
    checked = check_text(text, tmp_path)
    assert found(checked) == [("E208", 8, 21)]
    assert [str(note.span).rpartition("net.yaml")[2] for note in checked.diagnostics[0].notes] == [":10:5"]


def test_names_of_a_scope_that_failed_are_not_missed(tmp_path):
    text = nodes(
        "conv: {name: a, out: 0, kernel: 1}",
        "Relu6x: {from: a}",
        "each: {over: 3, nodes: [{tanh: {name: t}}]}",
        "conv: {out: 3, kernel: 1, act: rleu}",
        "add: {from: [a, t, conv]}",
        "linear: {from: a, out: $(a.channels)}",
    )
    assert found(check_text(text, tmp_path)) == [("E208", 5, 26), ("E205", 6, 5), ("E215", 7, 18), ("E208", 8, 36)]


def test_a_used_file_that_is_not_there_does_not_make_its_blocks_unknown(tmp_path):
    text = f"{TOP}use: [blocks.yaml]\nnodes: [residual, {{relux: {{}}}}]\n"
    assert found(check_text(text, tmp_path)) == [("E101", 4, 7), ("E205", 5, 20)]


def test_a_fault_of_a_used_file_stands_in_that_file(tmp_path):
    (tmp_path / "blocks.yaml").write_text("cnnc: 1\nblocks:\n  a: {nodes: [{conv: {out: 0, kernel: 3}}]}\n")
    checked = check_text(f"{TOP}use: [blocks.yaml]\nnodes: [a]\n", tmp_path)
    assert found(checked) == [("E208", 3, 28)]
    assert checked.diagnostics[0].span.source.name.endswith("blocks.yaml")


def test_a_folder_is_checked_with_the_files_of_blocks_in_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("blocks.yaml").write_text("cnnc: 1\nblocks:\n  a: {nodes: [relu]}\n")
    Path("net.yaml").write_text(f"{TOP}use: [blocks.yaml]\nnodes: [a]\n")
    result = run_command("check", ".")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "blocks.yaml: fine, a file of blocks",
        "net.yaml: fine, 1 node, 0 parameters, 0 MACs",
        "2 specs: 2 fine; 0 errors, 0 warnings",
    ]


ODD_NAME = "a\\e[31m\\u202eb\\u0000c%\\r\\n::warning::x"


@pytest.mark.parametrize("format", ["text", "github", "json"])
def test_what_a_file_says_cannot_move_a_terminal(format, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    odd = f'"{ODD_NAME}"'
    Path("net.yaml").write_text(nodes(f"relu: {{name: {odd}}}", f"{odd}: {{}}", f"relu: {{{odd}: 3}}"))
    result = run_command("check", "--format", format, "net.yaml")
    said = result.stdout + result.stderr
    assert result.exit_code == 1
    assert "E205" in said
    assert "E206" in said
    assert "E209" in said
    assert not {"\x1b", "\u202e", "\0", "\r"} & set(said)
    assert not any(line.startswith("::warning") for line in said.splitlines())


def test_a_file_name_cannot_move_a_terminal(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "a\x1b[31m\u202e\n::error::b.yaml"
    Path(name).write_text(nodes("relux"))
    for format in ("text", "github"):
        result = run_command("check", "--format", format, name)
        said = result.stdout + result.stderr
        assert result.exit_code == 1
        assert not {"\x1b", "\u202e"} & set(said)
        assert sum(line.startswith("::error") for line in said.splitlines()) == (format == "github")


@pytest.mark.parametrize("node", ["each", "each:", "each: {}", "group", "group:", "group: {}", "group: {nodes: }"])
def test_an_each_or_a_group_without_its_parts(node, tmp_path):
    code = "E203" if "nodes" in node else "E207" if "each" in node else "E202"
    assert [each for each, _, _ in found(check_text(nodes(node), tmp_path))] == [code]


@pytest.mark.parametrize(
    "line", ["relu: {{from: nowhere{}}}", "relux{}", "relu: {{colour{}: 3}}", "dropout: {{rate: $nope{}}}"]
)
def test_a_file_that_is_wrong_all_over_is_not_told_line_by_line(line, tmp_path):
    checked = check_text(nodes(*(line.format(k) for k in range(5_000))), tmp_path)
    assert len(checked.diagnostics) == 101
    assert any("more than 100 problems" in each.message for each in checked.diagnostics)
