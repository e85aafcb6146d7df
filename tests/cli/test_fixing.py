"""`cnnc check --fix` and `--diff`: which errors they correct, what they leave alone, and what they print."""

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from cnnc.cli.fixing import fixed_files
from cnnc.compiler import check, check_with
from cnnc.formatting import write
from cnnc.graph.graph import text as graph_text
from tests.strategies import specs

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
    "conv: {out: 8, kernel: 3, kernel_size: 5}",
    "dropout: {p: 0.5, rate: 0.1}",
    "pad: {pad: [1, 2, 3, 4]}",  # torch begins with the left side
    "hyperloop",
]


def fixed(path):
    return fixed_files({str(path): lambda read: check_with(path, read, set=None, allow=(), deny=())})


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


def test_a_right_network_stays(folder):
    for path in [*ROOT.glob("specs/*.yaml"), *ROOT.glob("tests/diagnostics/golden/W*.yaml")]:
        assert not fixed(path)


def slips(word):
    """Words that differ from `word` by one letter."""
    at = st.integers(1, len(word) - 1)
    return st.one_of(
        at.map(lambda i: word[:i] + word[i + 1 :]),
        at.map(lambda i: word[:i] + word[i] + word[i:]),
        at.map(lambda i: word[: i - 1] + word[i] + word[i - 1] + word[i + 1 :]),
    )


@given(specs(), st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
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
