"""Published networks against hand-written torch modules, and their files for all targets.

The parameters are compared at full size, the outputs and the files at a small one, which the specs' `params` set.
"""

from inspect import signature
from operator import attrgetter

import pytest
import torch

import cnnc
from cnnc.analysis.cost import totals
from tests.by_hand.compare import ROOT, Pair, graph_of, parameters
from tests.by_hand.networks import NETWORKS, Network
from tests.thorough import networks

TARGETS = ("onnx", "torchscript", "pt2", "python")


@pytest.fixture(params=networks(NETWORKS, attrgetter("spec")), ids=lambda network: network.spec.rpartition("/")[2])
def network(request) -> Network:
    return request.param


def test_the_parameters_are_those_of_the_module(network):
    with torch.device("meta"):
        module = network.module()
    assert totals(graph_of(network.spec, {})).params == parameters(module) == network.parameters


def test_the_outputs_are_those_of_the_module(network):
    accepted = signature(network.module).parameters
    arguments = {name: value for name, value in network.small.items() if name in accepted or name != "size"}
    pair = Pair(graph_of(network.spec, network.small), network.module(**arguments))
    pair.agree()
    pair.agree_in_training()


def test_all_targets_can_be_built(network, tmp_path):
    built = cnnc.build(ROOT / f"{network.spec}.yaml", set=network.small, targets=TARGETS, out=tmp_path)
    assert {each.target for each in built.agreements} == {*TARGETS}
