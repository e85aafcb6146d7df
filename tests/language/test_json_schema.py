"""`cnnc schema`: every right spec is valid, and a spec whose form is wrong is not."""

import copy
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from cnnc.compiler import check
from cnnc.diagnostics import CnncError, Source
from cnnc.language.json_schema import json_schema
from cnnc.ops import registry
from cnnc.text.reader import parse_text
from cnnc.text.source import read
from tests.command import run_command
from tests.free.specs import drawn

ROOT = Path(__file__).parents[2]
SPECS = sorted((ROOT / "specs").rglob("*.yaml"))
GOLDEN = sorted((ROOT / "tests/diagnostics/golden").glob("E2*.yaml"))
VALIDATOR = Draft202012Validator(json_schema())
UNSEEN = {  # faults in values, in the scope of names, and in what expressions give
    *("E202-param", "E203-channels-last", "E203-input-tokens", "E203-labels-of-a-map", "E203-labels-of-numbers"),
    *("E203-labels", "E208-block", "E209-keyword", "E209-path", "E210-twice", "E211-expressions", "E212-parameter"),
    *("E212-truth", "E212-values", "E212-work", "E213-mutual", "E214-circle", "E215-act", "E215-ports", "E216-set"),
    *("E217-links", "E217-nested", "E217-repeat"),
}


def data_of(source):
    return parse_text(source).plain()


def test_it_is_a_schema():
    Draft202012Validator.check_schema(json_schema())
    assert json.loads(run_command("schema").stdout) == json_schema()


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_our_specs_are_valid(path):
    VALIDATOR.validate(data_of(read(path)))


def test_the_right_examples_of_the_reference_are_valid():
    page = (ROOT / "specs/README.md").read_text(encoding="utf-8")
    examples = re.findall(r"```(?:yaml|json)[^\n]*\n(.*?)```", page, re.DOTALL)
    tried = 0
    for text in examples:
        try:
            data = data_of(Source("example", text))
        except CnncError:
            continue
        if "cnnc" in data and check(data).ok:
            VALIDATOR.validate(data)
            tried += 1
    assert tried > 30


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_wrong_forms_are_invalid(path):
    try:
        data = data_of(read(path))
    except CnncError:
        return  # not even data
    assert VALIDATOR.is_valid(data) == (path.stem in UNSEEN)


@given(st.integers(0, 2**32))
def test_random_right_specs_are_valid(seed):
    of = drawn(seed)
    if check(of.spec, set=of.settings).ok:
        VALIDATOR.validate(of.spec)


@pytest.mark.parametrize("op", registry.PLACES)
def test_each_op_refuses_unknown_attributes(op):
    node = {"cnnc": 1, "input": {"x": [3, 8, 8]}, "nodes": [{op: {"kernal": 3}}]}
    assert not VALIDATOR.is_valid(node)


@pytest.mark.parametrize(
    "wrong",
    [
        {"conv": {"out": 8, "kernel": -3}},
        {"conv": {"out": 8, "kernel": [3, 3, 3]}},
        {"conv": {"out": 0, "kernel": 3}},
        {"conv": {"out": 8, "kernel": 3, "act": "rleu"}},
        {"conv": {"out": 8, "kernel": 3, "padding": "SAME"}},
        {"conv": {"kernel": 3}},
        {"conv": {"out": 8, "kernel": 3}, "relu": None},
        {"activation": {"kind": "rleu"}},
        {"Conv2d": {"out": 8, "kernel": 3}},
        "rleu",
        "conv",
        {"relu": {"repeat": 0}},
        {"relu": {"from": []}},
        {"group": {"nodes": ["rleu"]}},
    ],
)
def test_faults_of_a_node(wrong):
    right = {"cnnc": 1, "input": {"x": [3, 8, 8]}, "nodes": ["relu"]}
    VALIDATOR.validate(right)
    spec = copy.deepcopy(right)
    spec["nodes"].append(wrong)
    assert not VALIDATOR.is_valid(spec)


def test_nodes_may_be_of_any_name_only_if_there_are_blocks():
    spec = {"cnnc": 1, "input": {"x": [4]}, "nodes": ["twice"]}
    assert not VALIDATOR.is_valid(spec)
    assert VALIDATOR.is_valid({**spec, "use": ["blocks.yaml"]})
    assert VALIDATOR.is_valid({**spec, "blocks": {"twice": {"nodes": ["relu"]}}})
    assert not VALIDATOR.is_valid({**spec, "blocks": {"relu": {"nodes": ["relu"]}}})
