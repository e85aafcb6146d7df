"""What is called otherwise is told, and the rest of the network is proved with what was meant."""

import json
import re
from math import prod

import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator

from cnnc.compiler import check, compile
from tests.nets import codes, conv, faults, net

TORCH = {"in_channels": 4, "out_channels": 8, "kernel_size": 3}


def test_an_op_of_another_framework_is_looked_at_with_its_attributes_and_what_is_behind_it():
    assert faults(net({"Conv2d": TORCH}, "nn.ReLU", {"linear": {"out": 3}})) == [
        "E205 there is no op or block `Conv2d`",
        "E206 `conv` has no attribute `in_channels`",
        "E206 `conv` has no attribute `out_channels`",
        "E206 `conv` has no attribute `kernel_size`",
        "E205 there is no op or block `nn.ReLU`",
        "E302 linear expects a vector, got 8×6×6",
    ]


@pytest.mark.parametrize(
    ("nodes", "found"),
    [
        ([{"conv": {"out_channels": 8, "kernel": 99}}], ["E206", "E303"]),
        ([{"conv": {"out_channels": 8.0, "kernel": 3}}], ["E206", "E208"]),
        ([{"conv": {"filters": 8, "kernel": 3, "activation": "rleu"}}], ["E206", "E206", "E208"]),
        ([{"Conv2d": {"out_channels": 8, "kernel_size": "$k"}}], ["E205", "E206", "E206", "E212"]),
        ([{"Conv2d": {"out_channels": 8}}], ["E205", "E207", "E206"]),
        ([{"conv": {"out": 8, "kernel": 1, "bn": True}}, {"linear": {"out": 3}}], ["E206", "E302"]),
        ([{"conv": {"out": 8, "kernel": 1, "inplace": True}}, {"linear": {"out": 3}}], ["E206", "E302"]),
        ([conv(8, relu=1, dropout=0.5), {"linear": {"out": 3}}], ["E206", "E206", "E302"]),
        (["flaten", {"linear": {"out": 3}}], ["E205"]),
        ([conv(name="a"), {"add": {"inputs": ["a", "image"]}}], ["E206"]),
        ([conv(name="a", out=5), {"add": {"inputs": ["a", "image"]}}], ["E206", "E301"]),
        ([{"conv": {"out": 4, "kernel": 1, "top": "a"}}, {"relu": {"from": "a"}}], ["E206"]),
        ([{"conv": {"out": 4, "kernel": 5, "times": 3}}], ["E303", "E206"]),
        ([{"relu": {"if": "$(1 // 0)"}}], ["E206", "E212"]),
    ],
)  # fmt: skip
def test_what_is_meant_is_proved(nodes, found):
    assert sorted(codes(net(*nodes))) == sorted(found)


@pytest.mark.parametrize(
    "node",
    [
        {"conv": {"out": 8, "kernel": 1, "colour": "red"}},
        {"conv": {"out": 8, "kernel": 1, "filters": 9}},
        {"conv": {"out": 8, "kernel": 1, "max_pool": 2}},
        {"conv": {"out": 8, "kernel": 1, "kernel:3": None}},
        {"conv": {"out": 8, "kernel": 1, "name": "a", "id": "b"}},
        {"zzz": {"out": 8}},
        "Conv2d(4, 8, 3)",
        {"BatchNorm2d": 4},
        {"max_pool": 2},
    ],
)
def test_where_nobody_knows_what_is_meant_users_are_not_blamed(node):
    assert len(codes(net(node, {"linear": {"out": 3}}))) == 1


def test_a_block_is_not_taken_to_be_meant_in_itself():
    assert faults(net("unit", blocks={"unit": {"nodes": ["unitt", "relu"]}})) == [
        "E205 there is no op or block `unitt`"
    ]


def test_parameters_of_blocks_are_meant_as_attributes_are():
    block = {"unit": {"params": {"width": None}, "nodes": [conv("$width")]}}
    assert codes(net({"unit": {"widht": 3}}, {"linear": {"out": 3}}, blocks=block)) == ["E206", "E302"]
    assert codes(net({"unit": {"widht": 3, "width": 4}}, blocks=block)) == ["E206"]
    assert codes(net({"unitt": {"widht": 3}}, blocks=block)) == ["E205", "E206"]


def test_what_is_meant_in_groups_and_rounds_is_proved():
    inner = [{"Conv2d": TORCH}, {"linear": {"out": 3}}]
    for nest in ({"group": {"nodes": inner}}, {"each": {"over": {"k": [1]}, "nodes": inner}}):
        assert codes(net(nest)) == ["E205", "E206", "E206", "E206", "E302"]


@pytest.mark.parametrize(
    ("node", "shape"),
    [
        ({"concat": {"from": ["image", "image"], "dim": 1}}, (8, 6, 6)),
        ({"concat": {"from": ["image", "image"], "dim": -1}}, (4, 6, 12)),
        ({"permute": {"dims": [0, 2, 3, 1]}}, (6, 6, 4)),
        ({"permute": {"dims": [3, 1, 2]}}, (6, 4, 6)),
    ],
)
def test_an_axis_that_counts_the_batch_is_proved_without_it(node, shape):
    found = check({**net(node), "input": {"image": [4, 6, 6]}})
    assert [each.code.value for each in found.diagnostics if each.severity == "error"] == ["E206"]
    assert found.graph.nodes[-1].outputs[0].shape == shape


@pytest.mark.parametrize("op", ["DepthToSpace", "SpaceToDepth"])
def test_the_three_ops_that_rearrange_squares_do_what_the_foreign_op_does(op):
    """Sizes are put in the place of the letters of the help, and the result is compared with ONNX's."""
    (fault,) = check(net(op)).diagnostics
    to, axes, back = re.findall(r"\[[^\]]+\]", fault.help)
    shrinks = "H, r" in to
    sizes = {"C": 2, "H": 3, "W": 5, "r": 2}

    def evaluated(shape):
        return [prod(sizes[letter] for letter in each.strip(" []").split("·")) for each in shape.split(",")]

    image = [2, 6, 10] if shrinks else [8, 3, 5]
    nodes = [{"reshape": {"shape": evaluated(to)}}, {"permute": {"axes": json.loads(axes)}}]
    nodes.append({"reshape": {"shape": evaluated(back)}})
    spec = {"cnnc": 1, "name": "net", "input": {"image": image}, "nodes": nodes}
    x = torch.randn(3, *image)
    made = onnx.helper.make_node(op, ["x"], ["y"], blocksize=2)
    expected = torch.from_numpy(ReferenceEvaluator(made).run(None, {"x": x.numpy()})[0])
    assert torch.equal(compile(spec)(x), expected)
