"""Data written as YAML or JSON is the same data when cnnc reads it, and reads well."""

import json
import re
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import cnnc
from cnnc.diagnostics import Source
from cnnc.formatting import format, write, write_json
from cnnc.text import yaml_events
from cnnc.text.reader import parse_text
from cnnc.text.yaml_events import PureParser
from tests.free.specs import drawn
from tests.strategies import specs
from tests.thorough import every_network, examples

ROOT = Path(__file__).parents[2]
WORDS = st.lists(
    st.sampled_from(["word", "a", " ", "\n", "-", "#", "# b", "longer-words", "c: d", "'", '"', "\t"]), max_size=60
)
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    WORDS.map(" ".join),
    WORDS.map("".join),
)
SCALARS = st.one_of(
    TEXTS,
    st.sampled_from(
        ["on", "1e3", "1e400", "0o17", "010", "1:30", "null", "~", "", "9" * 30, ".inf", "- a", "a: b", "$(x)"]
    ),
    st.integers(-(2**62), 2**62),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
)
DATA = st.dictionaries(
    st.text("abcx10-_", min_size=1, max_size=5),
    st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=10),
    min_size=1,
)


def typed(data):
    """Data in a form in which 1, 1.0 and true differ; the order of keys does not matter."""
    return json.dumps(data, sort_keys=True)


@given(DATA)
@example({"a": {"word " * 25: {}, "b": None}})
@example({"a": ["0\n"], "nodes": []})
@example({"a": "\x1f\n"})
@example({"k" * 1100: {"l" * 1100: [1]}, "nodes": [{"conv": {"k" * 1100: 1}}]})
def test_what_is_written_is_read_back(data):
    for text in (write(data), write_json(data)):
        assert typed(parse_text(Source("<test>", text)).plain()) == typed(data)
        assert format(text) == text


@given(DATA)
def test_pythons_parser_reads_it_too(data):
    with patch.object(yaml_events, "PARSER", PureParser):
        assert typed(parse_text(Source("<test>", write(data))).plain()) == typed(data)


@given(specs())
@settings(max_examples=examples(30))
def test_random_specs_are_read_back(spec):
    assert typed(parse_text(Source("<test>", write(spec))).plain()) == typed(spec)


@pytest.mark.parametrize("seed", range(examples(60)))
def test_free_specs_are_read_back(seed):
    spec = drawn(seed).spec
    text = write(spec)
    assert typed(parse_text(Source("<test>", text)).plain()) == typed(spec)
    assert format(text) == text


@every_network
def test_every_spec_is_the_same_network_when_written_again(path, tmp_path):
    graph = cnnc.load(path)
    again = tmp_path / "again.yaml"
    again.write_text(write(graph.spec), encoding="utf-8")
    found = cnnc.load(again)
    assert [each.path for each in found.nodes] == [each.path for each in graph.nodes]
    assert found.spec == graph.spec


@pytest.mark.parametrize("name", ["lenet", "resnet18", "densenet", "googlenet", "vgg11_small"])
def test_a_spec_without_comments_is_written_as_it_was_by_hand(name):
    text = re.sub(" +# .*", "", (ROOT / f"specs/{name}.yaml").read_text(encoding="utf-8"))
    assert write(parse_text(Source("<test>", text)).plain()) == text


WRITTEN = """\
cnnc: 1
name: net
description: |
  Two lines:
  # not a comment
params: {rate: 1e-5, words: ["on, off", "1e3", "null", on, 1.2.3, "a: b", "#", "- a", "~", ""]}
input: {image: [3, 224, 224]}

nodes:
  - conv: {name: stem, from: image, repeat: 2, out: 64, kernel: 3, padding: 1, act: relu, when: "$(x[0])"}
  - group:
      name: body
      nodes:
        - relu
        - conv: {name: a_long_name_of_a_convolution, out: $(input.channels), kernel: [3, 3], stride: [1, 1],
                 padding: [1, 1], groups: $(input.channels // 2)}
  - linear: {out: 2, init: .5}
outputs: {out: {from: linear, as: raw}}

train: {lr: 0.1, augment: [flip, crop]}
"""


def test_the_layout():
    data = {
        "train": {"lr": 0.1, "augment": ["flip", "crop"]},
        "outputs": {"out": {"from": "linear", "as": "raw"}},
        "nodes": [
            {
                "conv": {
                    **{"act": "relu", "when": "$(x[0])", "out": 64, "kernel": 3, "padding": 1},
                    **{"repeat": 2, "name": "stem", "from": "image"},
                }
            },
            {
                "group": {
                    "nodes": [
                        "relu",
                        {
                            "conv": {
                                **{"name": "a_long_name_of_a_convolution", "out": "$(input.channels)"},
                                **{"kernel": [3, 3], "stride": [1, 1], "padding": [1, 1]},
                                "groups": "$(input.channels // 2)",
                            }
                        },
                    ],
                    "name": "body",
                }
            },
            {"linear": {"out": 2, "init": 0.5}},
        ],
        "input": {"image": (3, 224, 224)},
        "params": {
            "rate": 1e-5,
            "words": ["on, off", "1e3", "null", "on", "1.2.3", "a: b", "#", "- a", "~", ""],
        },
        "description": "Two lines:\n# not a comment\n",
        "name": "net",
        "cnnc": 1,
    }
    assert write(data) == WRITTEN.replace(".5", "0.5")


@pytest.mark.parametrize(
    "laid_out",
    [
        lambda word: {"labels": ["a" * 50, word, "c"]},
        lambda word: {"nodes": [{"conv": {"name": "a" * 50, "from": word}}]},
        lambda word: {"train": {"data": "a" * 50, "schedule": word}},
    ],
    ids=["list", "node", "mapping"],
)
def test_a_line_has_at_most_120_characters(laid_out):
    short = max(len(line) for line in write(laid_out("b")).splitlines())
    fitting, longer = (write(laid_out("b" * (length - short + 1))).splitlines() for length in (120, 121))
    assert max(map(len, fitting)) == 120
    assert len(longer) > len(fitting)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ({"a": float("nan")}, ValueError),
        ({"a": [float("inf")]}, ValueError),
        ({1: 2}, TypeError),
        ({"a": {3}}, TypeError),
    ],
)
def test_what_no_spec_can_hold_is_refused(data, error):
    with pytest.raises(error):
        write(data)
    with pytest.raises(error):
        write_json(data)
