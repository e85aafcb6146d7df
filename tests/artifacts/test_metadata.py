"""What a build says of itself: what its outputs are, and what made it."""

import pytest
import torch

from cnnc.artifacts.metadata import contract_of, scores_of
from cnnc.compiler import load
from cnnc.train.loss import Objective


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
    _, loss, _ = Objective(graph)(logits.softmax(1), labels)
    assert loss.item() == pytest.approx(torch.nn.functional.cross_entropy(logits, labels, reduction="sum").item())
