"""Latency and steps: all inputs of a network are fed, and sessions and models are made in both orders."""

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, save

import cnnc
from tests.bench import warm


def test_a_network_has_a_sample_for_each_input():
    assert [each.shape for each in warm.samples_of("zoo/siamese")] == [(1, 1, 105, 105)] * 2
    assert [each.shape for each in warm.samples_of("lenet")] == [(1, 1, 28, 28)]


def test_two_files_are_compared_whatever_their_inputs_are_called(tmp_path):
    paths = [add(tmp_path / f"{first}.onnx", first, "right") for first in ("a", "b")]
    samples = [np.ones((1, 3), np.float32), np.full((1, 3), 2, np.float32)]
    for path in paths:
        assert warm.runner(path, samples)()[0].tolist() == [[3.0, 3.0, 3.0]]
    for turned in (False, True):
        found = warm.compare(*paths, samples, turned=turned)
        assert len(found.ours) == len(found.theirs) > 0


@pytest.mark.parametrize("turned", [False, True])
def test_steps_are_compared_whichever_model_is_made_first(turned, monkeypatch):
    monkeypatch.setattr(warm, "MODELS", 1000)  # parts of ten seconds
    order, compile, peer = [], cnnc.compile, warm.PEERS["lenet"]
    monkeypatch.setattr(cnnc, "compile", lambda spec: order.append("ours") or compile(spec), raising=False)
    monkeypatch.setitem(warm.PEERS, "lenet", lambda: order.append("theirs") or peer())
    found = warm.compare_steps("lenet", torch.randn(2, 1, 28, 28), turned=turned)
    assert len(found.ours) == len(found.theirs) > 0
    assert order == (["ours", "theirs"] if turned else ["theirs", "ours"])


def add(path, *names):
    """Write a model that adds its inputs."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3]) for name in (*names, "sum")]
    graph = helper.make_graph([helper.make_node("Add", names, ["sum"])], "add", values[:2], values[2:])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path
