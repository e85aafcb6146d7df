"""Receptive fields against what torch computes: large numbers in a row of the input show in all that sees the row.

Weights are made positive, so that nothing cancels. Positions whose field lies inside the input must see exactly from
its start to its end.
"""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings

from cnnc.analysis.receptive_field import Side, reaches, receptive_fields
from cnnc.compiler import check, load
from cnnc.graph.graph import Output, Ref
from cnnc.graph.rebuild import rebuild
from cnnc.ops.types import TensorType
from cnnc.targets.torch_module import lower
from tests.agreement.one_node import concrete, graph_of
from tests.agreement.rows import rows
from tests.strategies import specs
from tests.thorough import examples, thorough

SPECS = Path(__file__).parents[2] / "specs"


def net(*nodes, image=(2, 24, 31), **rest):
    return load({"cnnc": 1, "name": "net", "input": {"image": list(image)}, **rest, "nodes": list(nodes)})


def conv(kernel, **rest):
    return {"conv": {"out": 2, "kernel": kernel, **rest}}


def sized(graph, height, width):
    """The graph for pictures of another size."""
    shape = (graph.inputs[0].type.channels, height, width)
    return rebuild(replace(graph, inputs=(graph.inputs[0]._replace(type=TensorType(shape)),)), graph.nodes)


def sight(graph, axis, rows, large):
    """For each node that gives a map, by row (column) of the input and of the node: whether one shows in the other."""
    maps = [node.path for node in graph.nodes if node.outputs[0].is_map]
    shown = tuple(Output(f"value_{k}", Ref(path)) for k, path in enumerate(maps))
    module = lower(replace(graph, outputs=shown), seed=1).double().eval()
    with torch.no_grad():
        for each in module.parameters():
            each.abs_()
        plain = [torch.rand(1, *each.type.shape, dtype=torch.double) for each in graph.inputs]
        xs = [each.repeat(len(rows), *[1] * (each.dim() - 1)) for each in plain]
        for sample, row in enumerate(rows):
            stripe = xs[0][sample].narrow(axis + 1, row, 1)
            stripe += large * (1 + torch.rand_like(stripe))
        marked, unmarked = module(*xs), module(*plain)
    pairs = zip(marked, unmarked, strict=True) if isinstance(marked, tuple) else [(marked, unmarked)]
    shows = [(value - before).abs() > 1e-11 * before.abs() for value, before in pairs]
    return {path: each.any(1).any(2 - axis).tolist() for path, each in zip(maps, shows, strict=True)}


def agree(graph, large, exact=True):
    """Hold each reach against what shows, along both axes; gives how many fields were seen from end to end."""
    seen = 0
    told = reaches(graph, graph.inputs[0].name)
    for axis, size in enumerate(graph.inputs[0].type.space):
        for path, shows in sight(graph, axis, range(size), large).items():
            reach = told[path][axis] if path in told else None
            if path not in told:
                assert not any(map(any, shows)), path
            elif reach is not None and reach.whole:
                assert not exact or all(map(any, shows)), path
            elif reach is not None:
                seen += sum(
                    _agrees(path, reach, i, dict(enumerate(column)), size, exact)
                    for i, column in enumerate(zip(*shows, strict=True))
                )
    return seen


def _agrees(path, reach, i, sees, size, exact=True):
    """Whether the field of position i lies in the input, and so was held against what it sees."""
    start, end = reach.start(i), reach.end(i)
    if start < 0 or end >= size or start > end:
        return False
    hit = [row for row, shown in sees.items() if shown]
    assert all(start <= row <= end for row in hit), (path, i, start, end, hit)
    assert not exact or {row for row in (start, end) if row in sees} <= set(hit), (path, i, start, end, hit)
    return True


NETS = {
    "branches": (
        conv(3, padding=1, name="stem"),
        conv([5, 1], padding=[2, 0], name="tall"),
        conv([1, 7], padding=[0, 3], name="wide", **{"from": "stem"}),
        {"concat": {"from": ["tall", "wide"]}},
        {"max_pool": {"kernel": 3, "stride": 2, "padding": 1}},
        conv(3, padding="same"),
    ),
    "residuals": (
        conv(3, stride=2, padding=1, name="stem"),
        conv(3, padding=1, name="body"),
        conv(3, padding=1, name="more"),
        {"add": {"from": ["stem", "more"]}},
        conv(3, stride=2, padding=1),
    ),
    "dilated": (
        conv(3, dilation=2, padding=2),
        {"max_pool": {"kernel": 3, "stride": 2, "dilation": [2, 1]}},
        conv(2, dilation=3, padding="same_lower"),
    ),
    "uneven pads": (
        {"pad": {"padding": [0, 3, 1, 2]}},
        conv(4, padding="same_lower", stride=3),
        {"avg_pool": {"kernel": 2, "padding": [1, 0, 0, 1], "stride": 1}},
    ),
    "hourglass": (
        conv(3, padding=1, name="skip"),
        {"max_pool": {"kernel": 2}},
        conv(3, padding=1),
        {"conv_transpose": {"name": "up", "out": 2, "kernel": 2, "stride": 2}},
        {"concat": {"from": ["up", "skip"]}},
        conv(3, padding=1),
    ),
    "transposed": (
        {"conv_transpose": {"out": 2, "kernel": 3, "stride": 2, "padding": 1, "output_padding": 1}},
        {"conv_transpose": {"out": 2, "kernel": [5, 1], "stride": 3}},
        conv(3, stride=4),
    ),
    "transposed and dilated": (
        {"conv_transpose": {"out": 2, "kernel": 3, "stride": 2, "dilation": [3, 1], "padding": 2}},
        conv(2),
    ),
    "holes": ({"conv_transpose": {"out": 2, "kernel": 1, "stride": 3}}, conv(3), conv(2, stride=2)),
    "holes that are stepped over": (
        {"conv_transpose": {"out": 2, "kernel": 1, "stride": 3}},
        conv(1, stride=2),
        conv(3),
    ),
    "nearest": (conv(2, stride=4), {"upsample": {"factor": [3, 2]}}, conv(3, stride=2)),
    "bilinear": ({"upsample": {"factor": [3, 2], "mode": "bilinear"}}, conv(2), {"upsample": {"size": [25, 40]}}),
    "corners": ({"upsample": {"size": [47, 61], "mode": "bilinear", "align_corners": True}}, conv(3)),
    "adaptive": (conv(3, padding=1), {"adaptive_avg_pool": {"size": [9, 6]}}, conv(2)),
    "channels": (
        conv(3, stride=2),
        {"split": {"parts": 2, "name": "s"}},
        conv(3, padding=1, name="a", **{"from": "s.0"}),
        {"concat": {"from": ["a", "s.1"]}},
        {"channel_shuffle": {"groups": 3}},
        "layer_norm",
        {"softmax": {"axis": 0}},
    ),
    "softmax over rows": (conv(3), {"softmax": {"axis": 1}}, conv(3)),
}


@pytest.mark.parametrize("name", NETS)
def test_fields_are_what_torch_sees(name):
    nodes = NETS[name]
    image = (2, 24, 32) if name == "hourglass" else (2, 24, 31)
    assert agree(net(*nodes, image=image), 1 if "softmax" in name else 1e6) > 20


@pytest.mark.parametrize(("side", "whole"), [(1, True), (2, False), (6, False)])
def test_a_single_row_that_meets_several_is_seen_by_all_of_them(side, whole):
    nodes = [
        *([{"upsample": {"from": "gate", "factor": 3, "name": "scaled"}}] if side == 2 else []),
        {"mul": {"from": ["image", "scaled" if side == 2 else "gate"]}},
    ]
    graph = load({"cnnc": 1, "inputs": {"gate": [2, side, side], "image": [2, 6, 6]}, "nodes": nodes})
    assert [axis.whole for axis in reaches(graph, "gate")["mul"]] == [whole, whole]
    agree(graph, 1e6)


def test_a_single_row_is_not_the_whole_where_it_meets_one():
    graph = load({"cnnc": 1, "inputs": {"a": [2, 1, 6], "b": [2, 1, 6]}, "nodes": [{"mul": {"from": ["a", "b"]}}]})
    assert [axis.whole for axis in reaches(graph, "a")["mul"]] == [False, False]


@thorough
@pytest.mark.parametrize(("name", "height"), [("resnet18", 480), ("googlenet", 640)])
def test_the_fields_of_published_networks(name, height):
    graph = sized(load(SPECS / f"{name}.yaml"), height, 2)
    told = {path: pair[0] for path, pair in reaches(graph, graph.inputs[0].name).items() if pair[0].step}
    middle = {reach: height // 2 // reach.step for reach in told.values()}
    ends = {(reach.start(i), reach.end(i)) for reach, i in middle.items()}
    rows = sorted({row for a, b in ends if a > 0 and b < height - 1 for row in (a - 1, a, b, b + 1)})
    seen = 0
    for path, shows in sight(graph, 0, rows, 1e60).items():
        if path in told:
            i = middle[told[path]]
            column = dict(zip(rows, (each[i] for each in shows), strict=True))
            seen += _agrees(path, told[path], i, column, height)
    assert seen > 40


@pytest.mark.parametrize(
    ("name", "size", "padding"), [("zoo/alexnet", 195, None), ("zoo/vgg16", 212, 90), ("resnet18", 435, 217)]
)
def test_known_figures(name, size, padding):
    """Those of AlexNet and VGG-16 stand in Araujo et al. (its AlexNet pads otherwise)."""
    fields = receptive_fields(load(SPECS / f"{name}.yaml"))
    last = [field for field in fields.values() if not field.height.whole][-1]
    assert (last.height.size, last.height.stride) == (size, 32)
    assert padding is None or last.height.offset == -padding
    assert last.height == last.width


@settings(max_examples=examples(25), deadline=None)
@given(specs())
def test_random_networks(spec):
    graph = check(spec).graph
    if all(each.type.known and max(each.type.shape) <= 40 for each in graph.inputs) and graph.inputs[0].type.is_map:
        agree(graph, 1, exact=False)


def test_strides_are_exact_fractions():
    fields = receptive_fields(net({"upsample": {"factor": 3}}, conv(3, padding=1), conv(1, stride=2)))
    assert [field.height for field in fields.values()] == [
        Side(1, Fraction(1, 3), 0),
        Side(2, Fraction(1, 3), -1),
        Side(2, Fraction(2, 3), -1),
    ]


def test_an_open_input_is_as_good():
    nodes = (conv(3, padding=1, name="a"), {"max_pool": {"kernel": 2}}, conv(5))
    closed, opened = (receptive_fields(net(*nodes, image=image)) for image in ((2, 24, 31), (2, None, None)))
    assert closed == opened
    assert opened["conv"].width == Side(12, Fraction(2), -1)


def test_the_whole_of_an_open_input_has_no_size():
    field = receptive_fields(net(conv(3), "global_avg_pool", image=(2, None, 31)))["global_avg_pool"]
    assert field.height == Side(None, None, 0, whole=True)
    assert field.width == Side(31, None, 0, whole=True)


def test_a_gate_sees_all_and_keeps_the_stride():
    nodes = (
        conv(3, stride=2, padding=1, name="x"),
        "global_avg_pool",
        conv(1, name="gate"),
        {"mul": {"from": ["x", "gate"]}},
    )
    assert receptive_fields(net(*nodes))["mul"].height == Side(24, Fraction(2), 0, whole=True)


def test_a_gate_of_one_position_is_the_same_for_all():
    gate = {"conv": {"name": "gate", "out": 2, "kernel": [24, 31]}}
    fields = receptive_fields(net(gate, {"mul": {"from": ["image", "gate"]}}))
    assert fields["gate"].height == Side(24, Fraction(1), 0)
    assert fields["mul"].height == Side(24, Fraction(1), 0, whole=True)


def test_paths_that_drift_apart_have_no_field():
    nodes = (
        conv(4, name="a"),
        {"max_pool": {"from": "image", "kernel": 2, "name": "b"}},
        {"add": {"from": ["a", "b"]}},
        conv(1),
        "global_avg_pool",
    )
    fields = receptive_fields(net(*nodes, image=(2, 6, 6)))
    assert fields["add"].height == fields["conv"].height == Side()
    assert fields["global_avg_pool"].height.whole


def test_steps_longer_than_any_input_have_no_field():
    """A hundred halvings, each padded again: a stride of 2^100, which grows without bound if it is kept."""
    blocks = {"b": {"nodes": [{"max_pool": {"kernel": 2}}, {"pad": {"padding": [0, 0, 17, 17]}}]}}
    spec = {"cnnc": 1, "input": {"x": [1, 33, 33]}, "blocks": blocks, "nodes": [{"b": {"repeat": 100}}]}
    fields = receptive_fields(load(spec))
    assert fields["b.40.max_pool"].height.stride == 2**41
    assert fields["b.99.pad"].height == Side()


def test_each_input_is_seen_by_its_own_nodes():
    graph = load(
        {
            "cnnc": 1,
            "name": "two",
            "inputs": {"image": [1, 8, 8], "extra": [4]},
            "nodes": [
                {"conv": {"from": "image", "out": 2, "kernel": 3}},
                "global_avg_pool",
                "flatten",
                {"linear": {"from": "extra", "out": 2, "name": "aside"}},
                {"add": {"from": ["flatten", "aside"]}},
            ],
        }
    )
    assert receptive_fields(graph).keys() == {"conv", "global_avg_pool", "flatten", "add"}
    assert receptive_fields(graph, "extra") == {}
    with pytest.raises(ValueError, match="nosuch"):
        receptive_fields(graph, "nosuch")


ROWS = [each for each in rows() if all(len(shape) == 3 for shape in each.shapes)]


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_the_reach_of_every_op_is_what_torch_sees(row):
    graph = graph_of(row.op, row.attributes, concrete(row.shapes))
    agree(graph, large=1e6, exact=False)
