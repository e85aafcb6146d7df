"""Lints: each is a warning at its place, a spec with warnings is right, and what is meant is not warned of."""

import json
import re

import pytest

import cnnc


def codes(*nodes, shape=(3, 8, 8), **more):
    checked = cnnc.check({"cnnc": 1, "input": {"x": list(shape)}, "nodes": list(nodes), **more})
    assert checked.ok
    return [each.code.value for each in checked.diagnostics]


@pytest.mark.parametrize(
    ("nodes", "found"),
    [
        ([{"adaptive_avg_pool": {"size": 3}}], ["W301"]),
        ([{"adaptive_avg_pool": {"size": 4}}], []),
        ([{"max_pool": {"kernel": 3, "stride": 2}}], ["W302"]),
        ([{"max_pool": {"kernel": 3, "stride": 2, "padding": 1}}], []),
        ([{"max_pool": {"kernel": 3, "stride": 2, "ceil": True}}], []),
        ([{"conv": {"out": 3, "kernel": 3, "stride": 3}}], ["W302"]),
        ([{"conv": {"out": 3, "kernel": 3, "stride": 3, "padding": [0, 0, 2, 2]}}], []),
        ([{"conv": {"out": 3, "kernel": 1, "stride": 2}}], []),
        (["batch_norm", "batch_norm"], ["W303"]),
        (["batch_norm", "relu", "batch_norm"], []),
        ([{"conv": {"out": 3, "kernel": 1}}, "batch_norm"], ["W304"]),
        ([{"conv": {"out": 3, "kernel": 1, "bias": False}}, "batch_norm"], []),
        ([{"conv": {"out": 3, "kernel": 1}}, "layer_norm"], []),
        ([{"conv": {"out": 3, "kernel": 1}}, {"batch_norm": {"name": "a"}}, {"add": {"from": ["a", "conv"]}}], []),
        ([{"conv_transpose": {"out": 3, "kernel": 3, "stride": 2}}], []),
        (["dropout"], ["W305"]),
        (["dropout", "flatten"], []),
        ([{"reshape": {"shape": [-1, 192]}}], ["W308"]),
        ([{"reshape": {"shape": [-1, 3, 8, 8]}}], ["W308"]),
        ([{"reshape": {"shape": [-1, 96]}}], []),
        ([{"reshape": {"shape": [1, 192]}}], []),
        ([{"reshape": {"shape": [-1, 24, 8]}}], []),
        ([{"reshape": {"shape": [-1]}}], []),
    ],
)
def test_lints(nodes, found):
    assert codes(*nodes) == found


@pytest.mark.parametrize(
    ("about", "found"),
    [
        ({"mean": [104, 117, 123], "std": [1, 1, 1]}, 1),
        ({"mean": [104, 117, 123], "std": [58.4, 57.1, 57.4]}, 1),
        ({"std": [255, 255, 255]}, 1),
        ({"mean": [0.5, 0.5, 1.01]}, 1),
        ({"mean": [1, 1, 1], "std": [1, 1, 1]}, 0),
        ({"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}, 0),
        ({"mean": [-1, -1, -1]}, 0),
        ({"mean": [104, 117, 123], "scale": 255}, 0),
        ({"mean": [104, 117, 123], "std": [0.5, 0.5, 0.5], "scale": 255}, 0),
        ({"scale": 255}, 0),
        ({"mean": [0, 0, 0], "std": [1, 1, 1], "scale": 255}, 0),
        ({"mean": [0.485, 0.456, 0.406], "scale": 255}, 1),
        ({"std": [0.229, 0.224, 0.225], "scale": 255}, 1),
    ],
)
def test_means_and_deviations_of_another_scale(about, found):
    spec = {"cnnc": 1, "input": {"x": {"shape": [3, 8, 8], **about}}, "nodes": ["relu"]}
    checked = cnnc.check(spec)
    assert checked.ok
    assert [each.code.value for each in checked.diagnostics] == ["W307"] * found
    assert cnnc.check({**spec, "allow": "W307"}).diagnostics == () or not found


def test_a_line_of_a_block_is_warned_of_once():
    block = {"nodes": [{"conv": {"out": 3, "kernel": 1}}, "batch_norm"]}
    assert codes({"step": {"repeat": 5}}, blocks={"step": block}) == ["W304"]


def test_a_bias_that_is_an_output_is_not_in_vain():
    nodes = [{"conv": {"name": "a", "out": 3, "kernel": 1}}, {"batch_norm": {"name": "b"}}]
    assert codes(*nodes, outputs=["a", "b"]) == []


def test_warnings_without_end_do_not_hide_the_network():
    block = {"nodes": [{"conv": {"out": 3, "kernel": 1}}, "batch_norm"]}
    spec = {"cnnc": 1, "input": {"x": [3, 8, 8]}, "blocks": {"step": block}, "nodes": [{"step": {"repeat": 2500}}]}
    checked = cnnc.check(spec)
    assert checked.ok
    assert len(checked.graph.nodes) == 5000
    assert [each.code.value for each in checked.diagnostics] == ["W304"]


@pytest.mark.parametrize("op", ["conv", "max_pool"])
@pytest.mark.parametrize("size", [(14, 14), (17, 20), (None, 14)])
@pytest.mark.parametrize("kernel", [3, [2, 5]])
@pytest.mark.parametrize("stride", [2, 3, [1, 2]])
@pytest.mark.parametrize("padding", [0, 1])
def test_the_ways_out_of_lost_rows_lose_none(op, size, kernel, stride, padding):
    attributes = {"kernel": kernel, "stride": stride, "padding": padding, **({"out": 4} if op == "conv" else {})}
    checked = cnnc.check({"cnnc": 1, "input": {"x": [4, *size]}, "nodes": [{op: attributes}]})
    for warning in checked.diagnostics:
        for key, value in re.findall(r"`(\w+): ([^`]+)`", warning.help):
            assert codes({op: {**attributes, key: json.loads(value)}}, shape=(4, *size)) == []
        fits = re.findall(r"([\d?]+)×([\d?]+)", warning.help)
        assert len(fits) == 2
        for height, width in fits:
            shape = [None if side == "?" else int(side) for side in (height, width)]
            assert codes({op: attributes}, shape=(4, *shape)) == []


def test_ceil_is_a_way_out_of_pools_alone():
    spec = {"cnnc": 1, "input": {"x": [4, 14, 14]}}
    conv, pool = ({op: {"kernel": 3, "stride": 2, **more}} for op, more in (("conv", {"out": 4}), ("max_pool", {})))
    told = [cnnc.check({**spec, "nodes": [node]}).diagnostics[0].help for node in (conv, pool)]
    assert ['`"ceil": true`' in each for each in told] == [False, True]
