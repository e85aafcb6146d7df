"""Lints: each is a warning at its place, a spec with warnings is right, and what is meant is not warned of."""

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
        (["dropout"], ["W305"]),
        (["dropout", "flatten"], []),
    ],
)
def test_lints(nodes, found):
    assert codes(*nodes) == found


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
