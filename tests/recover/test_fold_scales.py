"""Factors and sums after a batch norm become its weight and bias, and the outputs stay the same."""

import numpy as np
import torch

import cnnc
from cnnc.recover.fold_scales import fold_scales

NETWORK = {
    "cnnc": 1,
    "input": {"image": [3, 6, 6]},
    "nodes": [
        {"conv": {"name": "first", "out": 4, "kernel": 3, "bias": False}},
        {"batch_norm": {"name": "norm"}},
        {"parameter": {"name": "factor", "shape": [4, 1, 1], "init": 1.0}},
        {"mul": {"name": "scaled", "from": ["norm", "factor"]}},
        {"parameter": {"name": "shift", "shape": [4, 1, 1]}},
        {"add": {"name": "shifted", "from": ["shift", "scaled"]}},
        "relu",
        {"conv": {"name": "second", "out": 4, "kernel": 1, "bias": False}},
        {"batch_norm": {"name": "norm2"}},
        {"scale": {"name": "times"}},
        {"batch_norm": {"name": "norm3", "from": "second"}},
        {"parameter": {"name": "whole", "shape": [4, 4, 4]}},
        {"mul": {"name": "kept", "from": ["norm3", "whole"]}},
        {"add": {"from": ["times", "kept"]}},
    ],
}


def drawn(spec):
    rng = np.random.default_rng(0)
    state = cnnc.compile(spec).state_dict()
    return {
        key: value.numpy() if key.endswith("tracked") else rng.uniform(0.5, 1.5, value.shape).astype(np.float32)
        for key, value in state.items()
    }


def outputs(spec, weights, image):
    module = cnnc.compile(spec).eval()
    module.load_state_dict({key: torch.from_numpy(np.asarray(value)) for key, value in weights.items()})
    return module(image).detach()


def test_factors_and_sums_are_folded_and_the_outputs_are_the_same():
    weights = drawn(NETWORK)
    spec, folded, names = fold_scales(NETWORK, weights)
    ops = [next(iter(node)) if isinstance(node, dict) else node for node in spec["nodes"]]
    assert ops == ["conv", "batch_norm", "relu", "conv", "batch_norm", "batch_norm", "parameter", "mul", "add"]
    assert set(names.values()) == {
        *("first", "norm", "relu", "second", "norm2", "norm3", "whole", "kept", "add"),
    }
    image = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(outputs(spec, folded, image), outputs(NETWORK, weights, image))


def test_what_another_node_uses_is_kept():
    nodes = [*NETWORK["nodes"][:4], {"add": {"from": ["scaled", "norm"]}}]
    spec = {**NETWORK, "nodes": nodes}
    weights = drawn(spec)
    found, kept, _ = fold_scales(spec, weights)
    assert len(found["nodes"]) == len(nodes)
    assert kept.keys() == weights.keys()
