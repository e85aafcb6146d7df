"""What a build says of itself: what its outputs are, and what made it."""

import pytest
import torch
from hypothesis import given, settings

from cnnc.artifacts.contract import Contract
from cnnc.artifacts.metadata import contract_of, scores_of
from cnnc.compiler import load
from cnnc.graph.output_kinds import default_kind, misfit
from cnnc.passes.drop_train_only import drop_train_only
from cnnc.passes.network import Network
from cnnc.train.loss import Objective
from tests.strategies import specs
from tests.thorough import examples


def graph_of(*nodes):
    spec = {"cnnc": 1, "name": "n", "input": {"image": [1, 4, 4]}, "nodes": ["flatten", {"linear": {"out": 3}}, *nodes]}
    return load(spec)


ROUNDABOUT = [{"reshape": {"shape": [3, 1, 1]}}, {"permute": {"axes": [1, 0, 2]}}, "dropout", "identity", "flatten"]


@pytest.mark.parametrize(
    ("nodes", "scores"),
    [
        (["softmax"], "probabilities"),
        ([{"activation": {"kind": "softmax"}}], "probabilities"),
        (["log_softmax"], "log_probabilities"),
        (["sigmoid"], "probabilities"),
        (["tanh"], "logits"),
        (["softmax", "tanh"], "logits"),
        ([], "logits"),
    ],
)
@pytest.mark.parametrize("behind", [[], ["identity"], ROUNDABOUT])
def test_the_op_that_makes_the_numbers_says_what_they_are(nodes, behind, scores):
    assert contract_of(graph_of(*nodes, *behind)).scores == scores


def test_an_input_that_is_handed_through_is_no_score():
    graph = load({"cnnc": 1, "name": "n", "input": {"x": [3]}, "nodes": ["identity"]})
    assert scores_of(graph, graph.outputs[0].ref) == "logits"


def test_training_knows_probabilities_behind_a_flatten():
    graph = graph_of("softmax", *ROUNDABOUT)
    logits, labels = torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1])
    _, loss, *_ = Objective(graph)(logits.softmax(1), labels)
    assert loss.item() == pytest.approx(torch.nn.functional.cross_entropy(logits, labels, reduction="sum").item())


def details_of(nodes, outputs, image=(3, 8, 8), **picture):
    given = {"shape": [*image], **picture}
    spec = {"cnnc": 1, "name": "n", "input": {"image": given}, "nodes": nodes, "outputs": outputs}
    return contract_of(load(spec)).details[0]


CONV = {"conv": {"name": "c", "out": 3, "kernel": 3, "padding": 1}}
NORMALISED = {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4]}


@pytest.mark.parametrize(
    ("nodes", "picture", "expected"),
    [
        ([CONV], NORMALISED, ("rgb", (0.4, 0.5, 0.6), (0.2, 0.3, 0.4), 1)),
        ([CONV], {"mode": "bgr", "mean": [104, 117, 123], "scale": 255}, ("bgr", (104, 117, 123), (1, 1, 1), 255)),
        ([CONV, "tanh"], NORMALISED, ("rgb", (0.5,) * 3, (0.5,) * 3, 1)),
        ([CONV, {"activation": {"kind": "tanh"}}, "identity"], NORMALISED, ("rgb", (0.5,) * 3, (0.5,) * 3, 1)),
        ([CONV, "sigmoid"], {"mode": "bgr", **NORMALISED}, ("bgr", (), (), 1)),
        ([{"conv": {"name": "c", "out": 1, "kernel": 1}}], NORMALISED, ("grey", (), (), 1)),
    ],
)
def test_the_range_of_a_picture_that_comes_out(nodes, picture, expected):
    named = [*nodes[:-1], {**_named(nodes[-1])}]
    found = details_of(named, {"y": {"from": "last", "as": "picture"}}, **picture)
    assert (found.mode, found.mean, found.std, found.scale) == expected


def _named(node):
    [(op, words)] = node.items() if isinstance(node, dict) else [(node, {})]
    return {op: {**words, "name": "last"}}


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ([CONV], (1, 1)),
        ([{"max_pool": {"kernel": [2, 4]}}, CONV], (2, 4)),
        ([CONV, {"upsample": {"factor": 2}}], (0.5, 0.5)),
        (["global_avg_pool", {"upsample": {"factor": 4}}], None),
    ],
)
def test_the_pixels_of_the_picture_for_each_pixel_of_a_mask(nodes, expected):
    last = [*nodes[:-1], _named(nodes[-1])]
    assert details_of(last, {"y": {"from": "last", "as": "segmentation"}}).stride == expected


def test_the_picture_comes_first_among_the_inputs():
    inputs = {"age": [1], "image": [3, 8, 8], "other": [1, 8, 8]}
    nodes = [{"conv": {"out": 1, "kernel": 1, "from": "image"}}, {"add": {"from": ["conv", "other"]}}, "flatten"]
    nodes += [{"concat": {"from": ["flatten", "age"]}}, {"linear": {"out": 2}}]
    found = contract_of(load({"cnnc": 1, "name": "n", "inputs": inputs, "nodes": nodes}))
    assert [(each.name, each.mode) for each in found.inputs] == [("image", "rgb"), ("age", None), ("other", "grey")]


@given(specs())
@settings(max_examples=examples(60))
def test_the_contract_of_a_random_network_describes_every_output(spec):
    graph = drop_train_only(Network(load(spec), {})).graph
    found = contract_of(graph)
    assert Contract.from_json(found.to_json()) == found
    assert {each.name for each in found.inputs} == {each.name for each in graph.inputs}
    for about, output in zip(found.details, graph.outputs, strict=True):
        shape = graph.type_of(output.ref).shape
        assert about.kind == output.kind or (output.kind is None and about.kind == default_kind(shape)) or None in shape
        assert about.kind is None or misfit(about.kind, shape) is None
        assert (about.mode is not None) == (about.kind == "picture")
