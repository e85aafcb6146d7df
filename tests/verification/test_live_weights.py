"""Live weights: with them outputs depend on the inputs, in whatever network."""

import pytest
import torch
from torch import nn

from cnnc.compiler import build, load
from cnnc.passes.network import Network
from cnnc.targets.loaded_module import prepared
from cnnc.targets.registry import Made
from cnnc.targets.torch_module import lower
from cnnc.verification.compare import sensitivity
from cnnc.verification.live_weights import LIFT, enliven
from cnnc.verification.promises import LEAST_SENSITIVITY
from cnnc.verification.verify import Verification, arrays
from tests.thorough import rows


def deep(act, norm, count=24):
    conv = {"out": 8, "kernel": 3, "padding": 1}
    nodes = [{"conv": conv}, *norm, act, {"conv": {**conv, "name": "last"}}, {"add": {"from": ["last", "input"]}}, act]
    body = [{"conv": {**conv, "name": "stem"}}, {"residual": {"repeat": count}}]
    blocks = {"residual": {"nodes": nodes}}
    return load({"cnnc": 1, "name": "deep", "input": {"image": [3, 8, 8]}, "blocks": blocks, "nodes": body})


@pytest.mark.parametrize("seed", rows(range(3), quick=[0]))
@pytest.mark.parametrize("norm", [[], ["batch_norm"]], ids=["plain", "norm"])
@pytest.mark.parametrize("act", ["relu", "sigmoid", "tanh"])
def test_a_deep_residual_network_listens_to_its_input(act, norm, seed):
    """Padding makes borders differ from the middle, for every input alike: that is no sign of listening."""
    graph = deep(act, norm)
    module = lower(graph, seed=seed).eval()
    with prepared(module):
        judge = Verification(Made(Network(graph, arrays(module.state_dict())), graph, module), seed)
        assert judge.reference().live.sensitivity >= LEAST_SENSITIVITY


def test_the_outputs_of_all_sizes_stay_in_range(tmp_path):
    """At the smallest size a map has one position, so all taps but one see padding; at larger sizes they do not."""
    down = {"conv": {"out": 8, "kernel": 3, "stride": 2, "padding": 1, "repeat": 5}}
    conv = {"conv": {"out": 8, "kernel": 3, "padding": 1}}
    nodes = [conv, "batch_norm", "relu", {"conv": {**conv["conv"], "name": "last"}}, "batch_norm"]
    nodes += [{"add": {"from": ["batch_norm_2", "input"]}}, "relu"]
    body = [down, {"residual": {"repeat": 12}}]
    spec = {"cnnc": 1, "name": "n", "input": {"image": [3, None, None]}, "blocks": {"residual": {"nodes": nodes}}}
    [found] = build({**spec, "nodes": body}, targets="onnx", out=tmp_path).agreements
    assert found.sensitivity >= LEAST_SENSITIVITY
    assert found.largest_absolute < 0.01


@pytest.mark.parametrize("layer", [nn.Conv2d(3, 256, 1), nn.BatchNorm2d(256)], ids=["conv", "norm"])
def test_a_relu_behind_a_layer_cuts_off_less_than_half(layer):
    inputs = torch.randn(8, getattr(layer, "in_channels", 256), 8, 8, generator=torch.Generator().manual_seed(0))
    enliven(layer.eval(), [inputs], 0, 1000)
    assert layer(inputs).mean().item() == pytest.approx(LIFT, abs=0.1)


def test_what_all_samples_share_is_not_taken_for_what_varies():
    shared = 100 * torch.randn(1, 3, 8, 8)
    inputs = shared + torch.randn(4, 3, 8, 8)
    for layer in (nn.Conv2d(3, 4, 1), nn.BatchNorm2d(3)):
        enliven(layer.eval(), [inputs], 0, 1000)
        assert layer(inputs).var(0).mean() > 0.3
        assert sensitivity(layer(inputs).detach().numpy()) > 1
