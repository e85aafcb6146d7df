"""Which errors of the instances of one line are one error."""

import pytest

from tests.nets import conv, faults, net


def two(block, *given):
    """What is said of two instances of a block."""
    return faults(net(*({"b": {"from": "image", **each}} for each in given), blocks={"b": block}))


def test_two_missing_names_are_two_errors():
    block = {"params": {"k": None}, "nodes": ["relu", {"add": {"from": ["relu", "$k"]}}]}
    assert two(block, {"k": "aa"}, {"k": "bb"}) == [
        "E306 there is no node `aa` in this scope",
        "E306 there is no node `bb` in this scope",
    ]
    assert len(two(block, {"k": "aa"}, {"k": "aa"})) == 1


def test_a_path_is_no_difference():
    block = {"nodes": [conv(6, 9, name="c", padding=0), "relu"]}
    assert len(two(block, {"name": "one"}, {"name": "other"})) == 1
    chain = {"group": {"name": "g", "nodes": [{"relu": {"name": "dead"}}, {"tanh": {"from": "input"}}]}}
    assert len(faults(net({"group": {"name": "h", "nodes": [chain], "repeat": 3}}))) == 1


def test_the_counted_names_of_rounds_are_no_difference():
    dead = [{"relu": {"name": "dead$(k)"}}, {"tanh": {"from": "image"}}]
    assert len(faults(net({"each": {"over": {"k": [1, 2, 3]}, "nodes": dead}}, outputs="tanh"))) == 2


@pytest.mark.parametrize("width", [5, 6])
def test_shapes_are_a_difference(width):
    block = {"params": {"k": None}, "nodes": [conv("$k"), {"add": {"from": ["conv", "input"]}}]}
    assert len(two(block, {"k": 7}, {"k": width})) == 2
