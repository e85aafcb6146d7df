"""Specs and settings that are given as data, and what of them is refused."""

import math

import numpy as np
import pytest

from cnnc.compiler import check
from cnnc.spec.given import parse_setting
from tests.language.nets import conv, faults, net


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
    with pytest.raises(ValueError, match=r"^c: |is not NAME=VALUE$"):
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
    with pytest.raises(TypeError, match="`set` is a dict"):
        check(net(conv()), set=3)


@pytest.mark.parametrize("three", [np.array(3), np.int8(3)])
def test_what_holds_one_number_is_a_number(three):
    assert check(net(conv(out=three))).graph.nodes[0].outputs[0].channels == 3


def test_truth_values_of_numpy_are_truth_values():
    assert check(net(conv(bias=np.bool_(False)))).graph.nodes[0].cost.params == 16
