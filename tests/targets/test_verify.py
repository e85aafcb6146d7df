"""Written files agree with torch, and one that does not is refused with the node to blame."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cnnc.compiler import load
from cnnc.diagnostics import CnncError, Code
from cnnc.graph.rebuild import rebuild
from cnnc.graph.sizes import ANY, Rule
from cnnc.ops.activation import Tanh
from cnnc.passes.network import Network
from cnnc.passes.pipeline import run
from cnnc.targets import onnx, pt2, torchscript
from cnnc.targets.probes import fits, spaces
from cnnc.targets.runners import run_torch
from cnnc.targets.torch import lower
from cnnc.targets.verify import compare, rounding, verify
from tests.targets.networks import forked, open_size, residual


def write(graph, folder, targets=("onnx", "torchscript")):
    module = lower(graph)
    files = {target: folder / target for target in targets}
    if "onnx" in files:
        weights = {key: tensor.numpy() for key, tensor in module.state_dict().items()}
        network = run(Network(graph, weights))
        files["onnx"].write_bytes(onnx.lower(network.graph, network.weights).SerializeToString())
    if "torchscript" in files:
        torchscript.write(module, files["torchscript"])
    if "pt2" in files:
        pt2.write(graph, module, files["pt2"])
    return module, files


def inference(graph):
    return rebuild(graph, graph.nodes, [each for each in graph.outputs if not each.train_only])


@pytest.mark.parametrize("graph", [residual(), inference(forked()), open_size()], ids=lambda graph: graph.name)
def test_files_agree_with_torch(graph, tmp_path):
    module, files = write(graph, tmp_path)
    found = verify(graph, module, files)
    assert [each.target for each in found] == ["onnx", "torchscript"]
    assert all(each.ok and each.largest_relative < 1e-4 for each in found)
    assert module.training


@pytest.mark.parametrize("graph", [residual(), open_size()], ids=lambda graph: graph.name)
def test_a_pt2_file_agrees_with_torch(graph, tmp_path):
    module, files = write(graph, tmp_path, ("pt2",))
    [found] = verify(graph, module, files)
    assert found.ok


class Wrong(Tanh):
    """A tanh that ONNX computes as a sigmoid."""

    def to_onnx(self, o, x):
        return o.op("Sigmoid", x)


def test_a_wrong_lowering_is_found_and_blamed(tmp_path):
    spec = {
        "cnnc": 1,
        "name": "n",
        "input": {"image": [1, 4, 4]},
        "nodes": ["relu", "tanh", {"relu": {"name": "last"}}],
    }
    graph = load(spec)
    swapped = [replace(node, op=Wrong()) if node.path == "tanh" else node for node in graph.nodes]
    wrong = rebuild(graph, swapped)
    module, files = write(wrong, tmp_path, ("onnx",))
    with pytest.raises(CnncError) as caught:
        verify(wrong, module, files)
    [diagnostic] = caught.value.diagnostics
    assert diagnostic.code == Code.NOT_VERIFIED
    assert "`tanh` (tanh) is the first node that differs" in diagnostic.message
    assert diagnostic.span == graph.node["tanh"].span


@pytest.mark.parametrize("target", ["onnx", "torchscript", "pt2"])
def test_a_file_of_other_weights_is_refused(tmp_path, target):
    graph = residual()
    _, files = write(graph, tmp_path, (target,))
    with pytest.raises(CnncError, match="no single node differs"):
        verify(graph, lower(graph, seed=1), files)


@pytest.mark.filterwarnings("ignore")  # it makes a TorchScript file by hand
def test_a_file_that_always_takes_one_sample_is_refused(tmp_path):
    graph = residual()
    module = lower(graph).eval()
    torch.jit.save(torch.jit.script(Repeating(module)), tmp_path / "torchscript")
    with pytest.raises(CnncError) as caught:
        verify(graph, module, {"torchscript": tmp_path / "torchscript"})
    assert "off by inf" in caught.value.diagnostics[0].message


class Repeating(torch.nn.Module):
    """The first sample's result alone."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x):
        return self.module(x[:1])


def values(*numbers):
    return np.array(numbers, np.float32)


def test_what_counts_as_equal():
    assert compare("t", values(1.0001, 1e-5), values(1, 0)).ok
    assert not compare("t", values(1.01, 0), values(1, 0)).ok
    assert not compare("t", values(1e-12, 1.1e-10), values(1e-12, 1e-10)).ok
    assert compare("t", values(0, 0), values(0, 0)).ok
    assert not compare("t", values(1e-9), values(0)).ok
    assert compare("t", values(np.nan, np.inf, 1), values(np.nan, np.inf, 1)).ok
    assert not compare("t", values(np.inf, 1), values(-np.inf, 1)).ok
    assert not compare("t", values(np.nan, 1), values(0, 1)).ok
    assert not compare("t", values(1, 1), values(1)).ok


def zero_up_to_rounding(*more, size=16):
    nodes = [{"conv": {"out": 4, "kernel": 3}}, "instance_norm", "global_avg_pool", "flatten", *more]
    return load({"cnnc": 1, "name": "zero", "input": {"image": [1, size, size]}, "nodes": nodes})


@pytest.mark.parametrize("graph", [zero_up_to_rounding(), zero_up_to_rounding(size=100)])
def test_an_output_that_is_zero_up_to_rounding_is_held_to_its_rounding(graph, tmp_path):
    module, files = write(graph, tmp_path)
    found = verify(graph, module, files)
    assert all(each.ok and each.largest_absolute < 1e-6 and each.largest_relative < 1 for each in found)


def test_a_wrong_lowering_of_what_should_be_zero_is_found_and_blamed(tmp_path):
    graph = zero_up_to_rounding("tanh")
    wrong = rebuild(graph, [replace(node, op=Wrong()) if node.path == "tanh" else node for node in graph.nodes])
    module, files = write(wrong, tmp_path, ("onnx",))
    with pytest.raises(CnncError, match=r"`tanh` .tanh. is the first node that differs"):
        verify(wrong, module, files)


def test_rounding_is_measured_for_each_output():
    graph = zero_up_to_rounding()
    module = lower(graph).eval()
    x = (torch.randn(3, 1, 16, 16),)
    [noise] = rounding(graph, module, [x], [run_torch(module)(x)])
    assert 0 < noise < 1e-6
    assert compare("t", values(1e-7), values(1e-8), noise).ok
    assert not compare("t", values(1e-3), values(1e-8), noise).ok


def test_open_sizes_are_tried_where_the_network_takes_them():
    graph = open_size()
    assert graph.size_rules.by_side == (Rule(2, 2),) * 2
    assert len(set(spaces(graph))) == 3
    assert all(fits(graph, space) for space in spaces(graph))
    assert not fits(graph, (33, 32))
    assert residual().size_rules.by_side == (ANY, ANY)


def test_a_network_of_large_windows_is_tried_with_no_more_than_it_needs():
    nodes = [{"conv": {"out": 1, "kernel": 3, "stride": 2}}, {"conv": {"out": 1, "kernel": 600}}]
    graph = load({"cnnc": 1, "name": "n", "input": {"image": [1, None, None]}, "nodes": nodes})
    assert spaces(graph) == ((1201, 1201), (1202, 1203), (1203, 1202))
