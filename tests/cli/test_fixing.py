"""`cnnc check --fix` and `--diff`: which errors they correct, what they leave alone, and what they print."""

import json
import os
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from cnnc.cli.fixing import Fixes
from cnnc.compiler import check, check_with
from cnnc.formatting import write
from cnnc.graph.graph import text as graph_text
from tests.command import run_command
from tests.strategies import specs
from tests.thorough import examples

ROOT = Path(__file__).parents[2]
HEAD = "cnnc: 1\ninput: {image: [4, 16, 16]}\n"

CERTAIN = [  # nodes, and what becomes of them
    ("Conv2d: {in_channels: 4, out_channels: 8, kernel_size: 3}", "conv: {out: 8, kernel: 3}"),
    ("nn.Conv2d: {out_channels: 8, kernel_size: 3, in_channels: 4}", "conv: {out: 8, kernel: 3}"),
    ("Conv2D: {filters: 8, kernel_size: '(3, 3)', use_bias: no}", "conv: {out: 8, kernel: [3, 3], bias: false}"),
    ("Conv: {num_output: 8, kernel_shape: [3, 3], pads: [1, 1, 1, 1]}",
     "conv: {out: 8, kernel: [3, 3], padding: [1, 1, 1, 1]}"),
    ("conv: {out: 8, kernel: 3, padding: SAME}", "conv: {out: 8, kernel: 3, padding: same}"),
    ("conv: {out: 8, kernel: 3, auto_pad: SAME_UPPER}", "conv: {out: 8, kernel: 3, padding: same}"),
    ("conv: {out: \"8\", kernel: 3.0}", "conv: {out: 8, kernel: 3}"),
    ("conv: {out: 8, kernel: 3, act: ReLU}", "conv: {out: 8, kernel: 3, act: relu}"),
    ("conv: {out: 8, kernel: 3, activation: none}", "conv: {out: 8, kernel: 3, act: null}"),
    ("conv: {out: 8, kernel: 3, relu: true}", "conv: {out: 8, kernel: 3, act: relu}"),
    ("conv: {out: 8, kernel: 3, allow: w304}", "conv: {out: 8, kernel: 3, allow: W304}"),
    ("conv: {out: 8, kernel: 3, name: 1}", "conv: {out: 8, kernel: 3, name: \"1\"}"),
    ("BatchNorm2d: 4", "batch_norm"),
    ("batch_norm: 4", "batch_norm"),
    ("BatchNormalization: {epsilon: 1e-3, data_format: channels_first}", "batch_norm: {eps: 1e-3}"),
    ("MaxPool2d: 2", "max_pool: {kernel: 2}"),
    ("MaxPooling2D: {pool_size: 2, strides: 2}", "max_pool: {kernel: 2, stride: 2}"),
    ("Linear: 10", "linear: {out: 10}"),
    ("Dense: {units: 10}", "linear: {out: 10}"),
    ("nn.ReLU()", "relu"),
    ("ReLU: {inplace: true}", "relu: {}"),
    ("Dropout: 0.5", "dropout: {rate: 0.5}"),
    ("softmax: {dim: 1}", "softmax: {axis: 0}"),
    ("add: image, image", "add: {from: [image, image]}"),
    ("relu: {from: imgae}", "relu: {from: image}"),
    ("relu: {from: Image}", "relu: {from: image}"),
    ("BatchNorm1d: 4", "batch_norm"),
    ("flaten", "flatten"),
]  # fmt: skip
UNCERTAIN = [
    "Conv2d: [8, 3]",  # torch's numbers of input and output channels?
    "Conv2d(4, 8, 3)",
    "Pooling: {kernel_size: 2}",  # Caffe's may be an average
    "DepthwiseConv2D: {kernel_size: 3}",
    "convolutional: {filters: 8, size: 3, pad: 1}",  # Darknet's `pad: 1` is half of the kernel
    "max: {from: [image, image]}",
    "delu",  # elu, selu, celu, gelu or relu
    "relu: 6",
    "softmax: 1",  # with or without the batch?
    "View: {shape: [-1, 1024]}",
    "conv: {out: 8, kernel: 3, data_format: channels_last}",
    "conv: {out: 8, kernel: 3, act: tan}",
    "sqr",
    "conv: {out: 8, kernel: 3, kernel_size: 5}",
    "dropout: {p: 0.5, rate: 0.1}",
    "pad: {pad: [1, 2, 3, 4]}",  # torch begins with the left side
    "hyperloop",
    "AdaptiveAvgPool1d: {size: 4}",
    "conv: {out: 8, kernel: 3, padding: '1, 2, 3, 4'}",
    "conv: {out: 8, kernel: '3-3'}",
    "group: {inputs: [conv1d], nodes: [{relu: {from: conv2d}}]}",  # names of the file: digits count,
    "group: {inputs: [linear], nodes: [{relu: {from: fc}}]}",  # other frameworks' words do not,
    "group: {inputs: [in_a], nodes: [{relu: {from: in_b}}]}",  # and a short part of a name may be on purpose
]


def fixed(path):
    return Fixes({str(path): lambda read: check_with(path, read, set=None, allow=(), deny=())}).find()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("wrong", "right"), CERTAIN, ids=[wrong for wrong, _ in CERTAIN])
def test_what_is_certain_is_fixed(folder, wrong, right):
    Path("net.yaml").write_text(HEAD + f"nodes:\n  - flatten\n  - {wrong}  # a comment\n")
    [file] = fixed("net.yaml").values()
    assert file.text == HEAD + f"nodes:\n  - flatten\n  - {right}  # a comment\n"


@pytest.mark.parametrize("wrong", UNCERTAIN)
def test_what_is_not_certain_stays(folder, wrong):
    Path("net.yaml").write_text(HEAD + f"nodes:\n  - {wrong}\n")
    assert not check("net.yaml").ok
    assert not fixed("net.yaml")


def test_keys_are_fixed_if_the_right_ones_are_not_there(folder):
    wrong = "cnnc: 1.0\ninput: {image: [4, 8, 8]}\nlayers: [relu]\ntrain: {batchSize: 8, epoch: 2, optimizer: adam}\n"
    Path("net.yaml").write_text(wrong)
    right = "cnnc: 1\ninput: {image: [4, 8, 8]}\nnodes: [relu]\ntrain: {batch: 8, epochs: 2, optimizer: adam}\n"
    assert fixed("net.yaml")[os.path.realpath("net.yaml")].text == right
    Path("net.yaml").write_text(HEAD + "nodes: [relu]\nlayers: [tanh]\n")
    assert not fixed("net.yaml")


LAYOUTS = {
    "block style": (
        "  - conv:  # first\n"
        "      in_channels: 4\n"
        "      # the width\n"
        "      filters:   8\n"
        "      device: cpu  # of the author\n"
        "      kernel: 3\n"
        "      dtype: float32\n"
        "  - relu",
        "  - conv:  # first\n      # the width\n      out:   8\n        # of the author\n      kernel: 3\n  - relu",
    ),
    "several lines in braces": (
        "  - conv: {'out_channels': 8,  # the width\n"
        "           in_channels: 4, kernel: 3,  # square\n"
        "           device: cpu}\n",
        "  - conv: {'out': 8,  # the width\n           kernel: 3  # square\n           }\n",
    ),
    "only needless attributes": (
        "  - relu: {inplace: true}\n  - relu:\n      inplace: true\n  - tanh\n",
        "  - relu: {}\n  - relu:\n  - tanh\n",
    ),
    "commas in comments": (
        "  - conv: {in_channels: 3 # hello, world\n      , out: 4, kernel: 3}\n"
        "  - conv: {kernel: 3, out: 4 # a, b\n      , in_channels: 3}\n",
        "  - conv: { # hello, world\n       out: 4, kernel: 3}\n  - conv: {kernel: 3, out: 4 # a, b\n       }\n",
    ),
    "a list below its key": (
        "  - add:\n    - image\n    - image\n  - tanh\n",
        "  - add:\n     {from: [image, image]}\n  - tanh\n",
    ),
    "another indent, and brackets": (
        "    - BatchNorm2d:\n        4\n    - conv: { out: '8' , kernel: \"3x3\" , inplace: true , }\n",
        "    - batch_norm\n    - conv: { out: 8 , kernel: [3, 3] , }\n",
    ),
}


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("name", LAYOUTS)
def test_comments_and_layout_stay(folder, name, ending):
    wrong, right = ((HEAD + "nodes:\n" + text).replace("\n", ending) for text in LAYOUTS[name])
    Path("net.yaml").write_text(wrong, newline="")
    assert fixed("net.yaml")[os.path.realpath("net.yaml")].text == right
    Path("net.yaml").write_text(right, newline="")
    assert check("net.yaml").ok


def test_json_stays_json(folder):
    nodes = '[{"Conv2d": {"in_channels": 4, "out_channels": "8", "kernel_size": 3.0}},\n '
    nodes += '{"BatchNorm2d": 8}, "flaten", {"Linear": 2}]'
    text = f'{{"cnnc": 1, "input": {{"image": [4, 8, 8]}}, "nodes": {nodes}}}'
    Path("net.json").write_text(text)
    done = run_command("check", "--fix", "net.json")
    assert done.exit_code == 0
    assert Path("net.json").read_text().partition('"nodes": ')[2] == (
        '[{"conv": {"out": 8, "kernel": 3}},\n {"batch_norm": {}}, "flatten", {"linear": {"out": 2}}]}'
    )


def test_files_that_are_used_change_only_if_they_are_checked(folder):
    Path("blocks.yaml").write_text("cnnc: 1\nblocks:\n  twice:\n    nodes: [rellu]\n")
    Path("net.yaml").write_text(f"use: [blocks.yaml]\n{HEAD}nodes: [Twice]\n")
    done = run_command("check", "--fix", "net.yaml")
    assert (done.exit_code, "fixed net.yaml: 1 change\n" in done.stderr) == (1, True)
    assert "nodes: [twice]" in Path("net.yaml").read_text()
    assert "nodes: [rellu]" in Path("blocks.yaml").read_text()
    done = run_command("check", "--fix", ".")
    assert (done.exit_code, done.stderr) == (0, "fixed blocks.yaml: 1 change\n")
    assert "nodes: [relu]" in Path("blocks.yaml").read_text()


BIAS = HEAD + "blocks:\n  b:\n    nodes:\n      - conv: {out: 8, kernel: 3}\n      - %s\nnodes:\n  - b\n  - %s\n"


def test_a_bias_goes_only_if_its_warning_is_an_error_and_no_other_node_needs_it(folder):
    Path("net.yaml").write_text(text := BIAS % ("batch_norm", "conv"))
    Path("net.yaml").write_text(text := text.replace("- conv\n", "- conv: {out: 2, kernel: 1}\n  - batch_norm\n"))
    assert run_command("check", "--fix", "net.yaml").exit_code == 0
    assert Path("net.yaml").read_text() == text
    assert run_command("check", "--fix", "net.yaml", "--deny", "W304").exit_code == 0
    assert Path("net.yaml").read_text() == re.sub(r"(kernel: \d)", r"\1, bias: false", text)
    for other in (
        (BIAS % ("", "batch_norm\n  - b")).replace("      - \n", ""),  # the second `b` has no norm after it
        f"params: {{on: true}}\n{text}",  # another value may leave out the norm
        text.replace("kernel: 1}", "kernel: 1, bias: $(1 < 2)}").replace("kernel: 3}", "kernel: 3, bias: false}"),
    ):
        Path("net.yaml").write_text(other)
        run_command("check", "--fix", "net.yaml", "--deny", "W304")
        assert Path("net.yaml").read_text() == other


def test_a_diff_can_be_applied_and_writes_nothing(folder):
    text = HEAD + "nodes:\n  - Conv2d: {filters: 8, kernel: 3}\n  - reluu\n  - hyperloop"
    Path("net.yaml").write_text(text)
    done = run_command("check", "--diff", "net.yaml")
    assert (done.exit_code, "hyperloop" in done.stderr, "Conv2d" in done.stderr) == (1, True, False)
    assert Path("net.yaml").read_text() == text
    subprocess.run(["git", "apply", "-p0"], input=done.stdout, text=True, check=True)
    assert Path("net.yaml").read_text() == HEAD + "nodes:\n  - conv: {out: 8, kernel: 3}\n  - relu\n  - hyperloop"
    assert run_command("check", "--diff", "net.yaml").stdout == ""
    Path("net.yaml").write_text(text.replace("hyperloop", "Flatten"))
    assert run_command("check", "--diff", "net.yaml").exit_code == 1  # nothing is left, but nothing is written either


@pytest.mark.parametrize("words", [("--fix", "-"), ("--diff", "net.yaml", "--format", "json")])
def test_wrong_calls(folder, words):
    assert run_command("check", *words).exit_code == 2


def test_a_wrong_call_writes_nothing(folder):
    Path("net.yaml").write_text(text := HEAD + "nodes: [reluu]\n")
    assert run_command("check", "--fix", "net.yaml", "--set", "width=3").exit_code == 2
    assert Path("net.yaml").read_text() == text


def test_json_and_sarif_carry_the_edits(folder):
    Path("net.yaml").write_text(HEAD + "nodes:\n  - dropout: 0.5\n")
    [found] = json.loads(run_command("check", "net.yaml", "--format", "json").stdout)["diagnostics"]
    place = {"line": 4, "column": 14, "end_line": 4, "end_column": 17}
    assert found["fix"] == {"certain": True, "edits": [{"file": "net.yaml", **place, "text": "{rate: 0.5}"}]}
    [run] = json.loads(run_command("check", "net.yaml", "--format", "sarif").stdout)["runs"]
    [fix] = run["results"][0]["fixes"]
    assert fix["description"] == {"text": found["help"]}
    [change] = fix["artifactChanges"]
    [replacement] = change["replacements"]
    assert replacement["insertedContent"] == {"text": "{rate: 0.5}"}
    assert replacement["deletedRegion"] == {"startLine": 4, "startColumn": 14, "endLine": 4, "endColumn": 17}
    assert check({"cnnc": 1, "input": {"x": [4, 8, 8]}, "nodes": ["reluu"]}).as_json()["diagnostics"][0]["fix"] is None


def test_a_right_network_stays(folder):
    for path in [*ROOT.glob("specs/*.yaml"), *ROOT.glob("tests/diagnostics/golden/W*.yaml")]:
        assert not fixed(path)


def test_a_spec_is_checked_again_only_if_a_file_that_it_reads_is_fixed(folder, monkeypatch):
    Path("blocks.yaml").write_text("cnnc: 1\nblocks:\n  twice:\n    nodes: [rellu]\n")
    Path("fine.yaml").write_text(f"{HEAD}nodes: [relu]\n")
    Path("user.yaml").write_text(f"use: [blocks.yaml]\n{HEAD}nodes: [twice]\n")
    Path("wrong.yaml").write_text(f"{HEAD}nodes: [hyperloop]\n")
    checks = Counter()
    monkeypatch.setattr("cnnc.compiler.check_with", lambda path, read, **how: counted(path, read, checks, how))
    assert run_command("check", "--fix", ".").exit_code == 1
    assert checks == {"blocks.yaml": 2, "fine.yaml": 1, "user.yaml": 1, "wrong.yaml": 1}
    Path("blocks.yaml").rename("z.yaml")  # comes after its user
    Path("z.yaml").write_text("cnnc: 1\nblocks:\n  twice:\n    nodes: [rellu]\n")
    Path("user.yaml").write_text(f"use: [z.yaml]\n{HEAD}nodes: [twice]\n")
    checks.clear()
    assert run_command("check", "--fix", ".").exit_code == 1
    assert checks == {"fine.yaml": 1, "user.yaml": 2, "wrong.yaml": 1, "z.yaml": 1}


def counted(path, read, checks, how):
    checks[path] += 1
    return check_with(path, read, **how)


def slips(word):
    """Words that differ from `word` by one letter."""
    at = st.integers(1, len(word) - 1)
    return st.one_of(
        at.map(lambda i: word[:i] + word[i + 1 :]),
        at.map(lambda i: word[:i] + word[i] + word[i:]),
        at.map(lambda i: word[: i - 1] + word[i] + word[i - 1] + word[i + 1 :]),
    )


@given(specs(), st.data())
@settings(max_examples=examples(25), deadline=None, suppress_health_check=list(HealthCheck))
def test_a_slip_in_a_random_network_is_undone_or_stays(tmp_path_factory, data, draw):
    text = write(data)
    after = re.search(r"^(outputs|blocks|nodes):", text, re.MULTILINE).start()  # names of inputs are not known before
    words = list(re.compile(r"(?<!name: )\b[a-z_]{3,}(?=:|$)", re.MULTILINE).finditer(text, after))
    word = draw.draw(st.sampled_from(words))
    wrong = text[: word.start()] + draw.draw(slips(word[0])) + text[word.end() :]
    path = tmp_path_factory.mktemp("slip") / "net.yaml"
    path.write_text(wrong, encoding="utf-8")
    assume(not check(path).ok)
    files = fixed(path)
    event("fixed" if files else "left")
    for file in files.values():
        path.write_text(file.text, encoding="utf-8")
        found = check(path)
        if found.ok:
            assert graph_text(found.graph) == graph_text(check(data).graph).replace("network dict", "network net")
