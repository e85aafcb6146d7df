"""Specs and settings that are given as data, and what of them is refused."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from cnnc.compiler import check
from cnnc.diagnostics.render import as_github, as_json, render
from cnnc.text.python_data import parse_setting
from tests.nets import conv, faults, net

GOLDEN = Path(__file__).parents[1] / "diagnostics/golden"
STEP = re.compile(r"(?:^|\.)(\w+)|\[([^\]]+)\]")


def nested(depth):
    whole = []
    for _ in range(depth):
        whole = [whole]
    return whole


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_no_plain_data(number):
    [fault] = faults(net(conv(), params={"a": number}))
    assert fault.startswith("E203 the spec is not plain data: ")
    [fault] = faults(net(conv(), params={"a": 1}), set={"a": number})
    assert fault.startswith("E203 a parameter's value is not plain data: ")


@pytest.mark.parametrize("given", [nested(100_000), object()])
def test_what_cannot_be_written_down_is_no_plain_data(given):
    [found] = check(net(conv(), params={"a": given})).diagnostics
    assert found.code == "E203"
    [found] = check(net(conv(), params={"a": 1}), set={"a": given}).diagnostics
    assert found.code == "E203"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("c=5", 5),
        ("c=", None),
        ("c='5'", "5"),
        ("c=[1, 2]", [1, 2]),
        ("c={a: 1}", {"a": 1}),
        ("c=\n  a: 1\n  b: 2", {"a": 1, "b": 2}),
    ],
)
def test_a_setting_is_read_as_in_a_spec(text, value):
    assert parse_setting(text) == ("c", value)


@pytest.mark.parametrize("text", ["c", "=5", "c=[1", "c=5\nz: 7", "c=5\nvalue: 7", "c=5\n---\n6"])
def test_what_is_no_setting_is_refused(text):
    with pytest.raises(ValueError, match=r"^c: |^expected NAME=VALUE"):
        parse_setting(text)


def test_numbers_of_numpy_are_numbers():
    found = check(
        net({"conv": {"out": np.int64(4), "kernel": np.int32(3)}}, {"leaky_relu": {"slope": np.float32(0.5)}})
    )
    assert found.ok, found.diagnostics
    assert check(net(conv(out="$a"), params={"a": 1}), set={"a": np.int64(7)}).graph.nodes[0].cost.params > 0


@pytest.mark.parametrize("given", [None, 3, ["specs/lenet.yaml"]])
def test_what_is_neither_a_path_nor_a_dict_is_a_wrong_call(given):
    with pytest.raises(TypeError, match="a spec is a path or a dict, not"):
        check(given)


def test_settings_that_are_no_dict_are_a_wrong_call():
    with pytest.raises(TypeError, match="`set` must be a dict"):
        check(net(conv()), set=3)


@pytest.mark.parametrize("three", [np.array(3), np.int8(3)])
def test_what_holds_one_number_is_a_number(three):
    assert check(net(conv(out=three))).graph.nodes[0].outputs[0].channels == 3


def test_truth_values_of_numpy_are_truth_values():
    assert check(net(conv(bias=np.bool_(False)))).graph.nodes[0].cost.params == 16


# -- places in data


def place(spec, **settings):
    """Where the only fault of some data is."""
    [fault] = check(spec, **settings).diagnostics
    assert as_json(fault)["path"] == fault.span.path == str(fault.span)
    return fault.span.path


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"nodes": ["relu", conv(), {"conv": {"out": "8", "kernel": 3}}]}, "nodes[2].conv.out"),
        ({"nodes": ["relu", conv(kernel=[3, 3.0])]}, "nodes[1].conv.kernel"),
        ({"nodes": ["relu", "rel"]}, "nodes[1]"),
        ({"nodes": ["relu", {"rel": None}]}, "nodes[1].rel"),
        ({"nodes": ["relu", {"conv": {"out": 4, "kernel": 3, "kernal": [[], {}]}}]}, "nodes[1].conv.kernal"),
        ({"nodes": [conv(out="$(2 * wide)")]}, "nodes[0].conv.out"),
        ({"nodes": [{"add": {"from": ["image", "a"]}}]}, "nodes[0].add.from[1]"),
        ({"nodes": ["relu"], "blocks": {"b": {"nodes": [{"group": {"nodes": [conv("4")]}}]}}},
         "blocks.b.nodes[0].group.nodes[0].conv.out"),
        ({"nodes": ["relu"], "params": {"a b": [{}, []]}}, 'params["a b"]'),
        ({"nodes": ["relu"], "params": {'"{[:,]}\\': 1}}, r'params["\"{[:,]}\\"]'),
        ({"nodes": ["relu"], "params": {"x" * 70: {"a": 1}, "b": 1}}, 'params["' + "x" * 63 + '…"]'),
        ({"nodes": ["relu"], "params": {"\u2028": 1, "b\n": 1}, "input": {"image": [4, 8, 8]}}, None),
        ({}, "<dict>"),
        ({"nodes": [nested(40)]}, "nodes" + "[0]" * 31),
    ],
)  # fmt: skip
def test_places_are_paths(given, path):
    spec = {"cnnc": 1, "input": {"image": [4, 8, 8]}, **given}
    if path is None:
        assert [str(each.span) for each in check(spec).diagnostics] == ['params["\u2028"]', 'params["b\\n"]']
    else:
        assert place(spec) == path


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_path_leads_to_something(path):
    """Each golden spec as data: what is said of it stands somewhere in it."""
    try:
        spec = yaml.safe_load(path.read_text(encoding="utf-8"))
        faults = check(spec).diagnostics if isinstance(spec, dict) else ()
    except yaml.YAMLError:
        return
    for span in (each for fault in faults for each in (fault.span, *(note.span for note in fault.notes)) if each):
        if span.source.name == "<dict>" and span.path != "<dict>":
            here = spec
            for step in STEP.finditer(span.path):
                here = here[step[1] or json.loads(step[2])] if isinstance(here, dict | list) else None
                assert here is not None or step.end() == len(span.path)


def test_places_of_settings_are_paths():
    faults = check(net(conv(), params={"c": 1}), set={"a": [1, {"x": 2}], "b": 1}).diagnostics
    assert [str(each.span) for each in faults] == ["set.a", "set.b"]


def test_no_line_of_a_text_that_nobody_has_is_shown():
    [fault] = check(net("relu", {"linear": {"out": 3}})).diagnostics
    assert render(fault, color=False).splitlines()[:4] == [
        "error[E302]: linear expects a vector, got 4×8×8",
        " --> nodes[1].linear: its input is 4×8×8",
        "note: `relu` is 4×8×8",
        " --> nodes[0]",
    ]
    assert as_github(fault).startswith("::error title=E302::nodes[1].linear: linear expects a vector")
    plain = as_json(fault)
    assert [plain[key] for key in ("file", "line", "column", "end_line", "end_column")] == ["<dict>", *[None] * 4]
    assert plain["notes"][0] == {
        "message": "`relu` is 4×8×8", "file": "<dict>", "line": None, "column": None, "path": "nodes[0]"
    }  # fmt: skip
    assert check(net("relu")).as_json()["nodes"][0]["line"] is None
