"""Layers as calls of functions: the same outputs and keys, without the modules."""

import pytest
import torch

import cnnc
from cnnc.targets.functional import FUNCTIONS, functional
from tests.live import live

LAYERS = {
    "Conv2d": {"conv": {"out": 4, "kernel": [3, 2], "stride": [2, 1], "padding": 1, "dilation": [1, 2], "groups": 2}},
    "Linear": {"linear": {"out": 3, "bias": False}},
    "MaxPool2d": {"max_pool": {"kernel": [3, 2], "stride": 2, "padding": 1, "dilation": [1, 2], "ceil": True}},
    "AvgPool2d": {"avg_pool": {"kernel": 3, "stride": 2, "padding": 1, "ceil": True, "count_padding": False}},
    "ReLU": {"relu": {}},
    "Sigmoid": {"sigmoid": {}},
    "Tanh": {"tanh": {}},
}


def test_every_function_is_tested():
    assert LAYERS.keys() == FUNCTIONS.keys()


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_a_layer_becomes_a_call(kind):
    """At the top, in a block, and shared by two nodes. The network and the block have the name of the layer."""
    shape = [6] if kind == "Linear" else [2, 9, 10]
    op, attributes = next(iter(LAYERS[kind].items()))
    spec = {
        "cnnc": 1,
        "name": kind,
        "input": {"x": shape},
        "blocks": {kind: {"nodes": [{op: {**attributes, "name": "layer"}}]}},
        "nodes": [{op: {**attributes, "name": "a"}}, {kind: {"name": "b", "from": "x"}}],
        "outputs": {"y": "a", "z": "b"},
    }
    if kind in ("Conv2d", "Linear"):
        spec["nodes"].append({op: {**attributes, "name": "c", "from": "x", "share": "a"}})
        spec["outputs"]["w"] = "c"
    module = live(cnnc.load(spec)).eval()
    layer = getattr(torch.nn, kind)
    assert any(isinstance(each, layer) for each in module.modules())
    found = functional(module)
    assert not any(isinstance(each, layer) for each in found.modules())
    x = torch.randn(3, *shape)
    for ours, theirs in zip(found(x), module(x), strict=True):
        assert torch.equal(ours, theirs)
    assert [(key, id(value)) for key, value in found.state_dict(keep_vars=True).items()] == [
        (key, id(value)) for key, value in module.state_dict(keep_vars=True).items()
    ]
    assert any(isinstance(each, layer) for each in module.modules())


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_a_scope_may_have_the_name_of_a_layer(kind, tmp_path):
    nodes = [{"conv": {"out": 3, "kernel": 1}}, "tanh"]
    spec = {"cnnc": 1, "name": kind, "input": {"x": [2, 5, 5]}, "blocks": {kind: {"nodes": nodes}}, "nodes": [kind]}
    cnnc.build(spec, targets=("torchscript",), out=tmp_path)


def test_the_mode_of_the_given_module_stays():
    module = cnnc.compile(
        {"cnnc": 1, "input": {"x": [2, 4, 4]}, "nodes": ["dropout", {"conv": {"out": 2, "kernel": 1}}]}
    )
    functional(module).eval()
    assert all(each.training for each in module.modules())
