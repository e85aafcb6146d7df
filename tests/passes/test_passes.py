"""The rewrites: each leaves a proved graph that computes the same, and does what its name says."""

import numpy as np
import pytest
import torch

from cnnc.compiler import load
from cnnc.graph.graph import text
from cnnc.passes.drop_identities import drop_identities
from cnnc.passes.drop_train_only import drop_train_only
from cnnc.passes.fold_batch_norm import fold_batch_norm
from cnnc.passes.network import Network
from cnnc.passes.pipeline import NAMES, PIPELINE, run
from cnnc.passes.shield_pads import shield_pads
from cnnc.targets import onnx_model
from cnnc.targets.loaded_onnx import LoadedOnnx
from cnnc.targets.torch_module import lower
from tests.live import live
from tests.networks import forked, open_size, residual


def network_of(graph, seed=0):
    """The graph with live weights, in which no batch norm is the identity."""
    return Network(graph, {key: tensor.numpy() for key, tensor in live(graph, seed).state_dict().items()})


def compute(network, x):
    module = lower(network.graph, {key: torch.from_numpy(np.array(value)) for key, value in network.weights.items()})
    with torch.inference_mode():
        result = module.eval()(x)
    return result if isinstance(result, tuple) else (result,)


def ops(network):
    return [node.op.name for node in network.graph.nodes]


def single(nodes, shape=(4, 6, 6), outputs=None):
    spec = {"cnnc": 1, "name": "n", "input": {"image": list(shape)}, "nodes": nodes}
    return load(spec | ({"outputs": outputs} if outputs else {}))


CONV_NORM = [{"conv": {"name": "conv", "out": 4, "kernel": 3}}, {"batch_norm": {"name": "norm"}}]


@pytest.mark.parametrize("graph", [residual(), forked(), open_size()], ids=lambda graph: graph.name)
def test_every_pass_keeps_what_the_network_computes(graph):
    network = drop_train_only(network_of(graph))
    x = torch.randn(3, 2 if graph.name != "open" else 1, 10, 12)
    x = x[:, :, :9, :11] if graph.name == "small" else x[:, :, :8, :8] if graph.name == "forked" else x
    for each in PIPELINE[1:]:
        after = each(network)
        for a, b in zip(compute(after, x), compute(network, x), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
        network = after


def test_train_only_outputs_go_with_what_only_they_need():
    network = drop_train_only(network_of(forked()))
    assert [each.name for each in network.graph.outputs] == ["left"]
    assert "right" not in network.graph.node
    assert "left" in network.graph.node


def test_an_input_that_only_a_dropped_output_needs_goes_too():
    spec = {
        "cnnc": 1,
        "name": "n",
        "inputs": {"image": [1, 4, 4], "hint": [3]},
        "nodes": [{"relu": {"name": "a", "from": "image"}}, {"tanh": {"name": "b", "from": "hint"}}],
        "outputs": {"out": "a", "extra": {"from": "b", "only": "train"}},
    }
    network = drop_train_only(network_of(load(spec)))
    assert [each.name for each in network.graph.inputs] == ["image"]


def test_weights_of_dropped_nodes_go_too():
    graph = single(
        [
            {"conv": {"name": "a", "out": 2, "kernel": 1}},
            {"conv": {"name": "b", "from": "image", "out": 2, "kernel": 1}},
        ],
        outputs={"a": "a", "b": {"from": "b", "only": "train"}},
    )
    assert set(drop_train_only(network_of(graph)).weights) == {"a.weight", "a.bias"}


def test_identities_are_gone_and_outputs_keep_their_names():
    graph = single(["relu", "identity", {"dropout": {"rate": 0.5}}, {"drop_path": {"rate": 0.5}}], outputs=None)
    network = drop_identities(network_of(graph))
    assert ops(network) == ["relu"]
    assert [each.name for each in network.graph.outputs] == [each.name for each in graph.outputs]


def test_a_network_of_identities_hands_its_input_through():
    network = drop_identities(network_of(single(["identity"])))
    assert network.graph.nodes == ()
    x = torch.randn(1, 4, 6, 6)
    assert torch.equal(compute(network, x)[0], x)


def test_a_batch_norm_stays_after_a_convolution_whose_weights_are_standardized():
    nodes = [{"conv": {"out": 4, "kernel": 3, "standardize": True}}, "batch_norm"]
    assert ops(fold_batch_norm(network_of(single(nodes)))) == ["conv", "batch_norm"]


def test_a_batch_norm_folds_into_a_convolution_without_a_bias():
    nodes = [{"conv": {"name": "conv", "out": 4, "kernel": 3, "bias": False}}, {"batch_norm": {"name": "norm"}}]
    network = fold_batch_norm(network_of(single(nodes)))
    assert ops(network) == ["conv"]
    assert set(network.weights) == {"conv.weight", "conv.bias"}
    assert network.graph.nodes[0].cost.params == 4 * 4 * 9 + 4


@pytest.mark.parametrize(
    "extra",
    [
        {"relu": {"name": "other", "from": "conv"}},
        {"batch_norm": {"name": "other", "from": "conv"}},
    ],
)
def test_a_convolution_that_somebody_else_uses_keeps_its_batch_norm(extra):
    graph = single([*CONV_NORM, extra, {"add": {"from": ["norm", "other"]}}])
    network = network_of(graph)
    assert ops(fold_batch_norm(network)) == ops(network)


def test_a_convolution_that_is_an_output_keeps_its_batch_norm():
    network = network_of(single(CONV_NORM, outputs={"raw": "conv", "out": "norm"}))
    assert ops(fold_batch_norm(network)) == ["conv", "batch_norm"]


def test_a_batch_norm_without_affine_and_one_with_groups_fold():
    nodes = [
        {"conv": {"name": "conv", "out": 8, "kernel": 3, "groups": 4}},
        {"batch_norm": {"name": "norm", "affine": False, "eps": 0.1}},
    ]
    network = network_of(single(nodes))
    x = torch.randn(2, 4, 6, 6)
    folded = fold_batch_norm(network)
    assert ops(folded) == ["conv"]
    torch.testing.assert_close(compute(folded, x)[0], compute(network, x)[0])


def test_a_transposed_convolution_keeps_its_batch_norm():
    nodes = [{"conv_transpose": {"out": 3, "kernel": 3}}, "batch_norm"]
    assert ops(fold_batch_norm(network_of(single(nodes)))) == ["conv_transpose", "batch_norm"]


def test_the_pipeline_shows_the_network_behind_each_pass():
    seen = []
    after = run(network_of(residual()), lambda name, network: seen.append((name, text(network.graph))))
    assert tuple(name for name, _ in seen) == NAMES
    assert seen[-1][1] == text(after.graph)
    shown = dict(seen)
    assert "dropout" in shown["drop_train_only"]
    assert "dropout" not in shown["drop_identities"]
    assert "batch_norm" in shown["drop_identities"]
    assert "batch_norm" not in shown["fold_batch_norm"]


def pooled(pool, behind=(), **pad):
    return network_of(single([{"pad": {"padding": 1, **pad}}, *behind, pool]))


@pytest.mark.parametrize(
    "pool", [{"max_pool": {"kernel": 1}}, {"max_pool": {"kernel": 3}}, {"avg_pool": {"kernel": 1}}]
)
def test_onnxruntime_moves_no_zeros_into_a_pool(pool, tmp_path):
    """It gets other numbers for the second of these, where all is below zero, and does not load the others."""
    x = -1 - torch.rand(2, 4, 6, 6)
    network = pooled(pool)
    wanted = compute(network, x)[0].numpy()

    def computed(network):
        path = tmp_path / "pool.onnx"
        path.write_bytes(onnx_model.lower(network.graph, network.weights).SerializeToString())
        return LoadedOnnx(path).run([x])[0]

    np.testing.assert_array_equal(computed(shield_pads(network)), wanted)


def test_what_else_a_pad_stands_before_stays():
    def values(network):
        return [str(node.op.value) for node in shield_pads(network).graph.nodes if node.op.name == "pad"]

    assert values(pooled({"max_pool": {"kernel": 2}})) == ["-0.0"]
    assert values(pooled({"max_pool": {"kernel": 2}}, value=2.0)) == ["2.0"]
    assert values(pooled({"max_pool": {"kernel": 2}}, mode="reflect")) == ["0.0"]
    assert values(pooled({"conv": {"out": 2, "kernel": 3}})) == ["0.0"]
    assert values(pooled({"max_pool": {"kernel": 2}}, behind=["relu"])) == ["0.0"]


def test_the_text_form():
    graph = single(["relu", {"split": {"name": "halves", "parts": 2}}, {"add": {"from": ["halves.0", "halves.1"]}}])
    assert text(graph).splitlines() == [
        "network n",
        "input image : 4×6×6",
        "relu = relu()(image) : 4×6×6",
        "halves = split(parts=2)(relu) : 2×6×6, 2×6×6",
        "add = add()(halves.0, halves.1) : 2×6×6",
        f"output {graph.outputs[0].name} = add",
    ]


def test_the_text_form_of_outputs():
    spec = {"cnnc": 1, "name": "n", "input": {"x": [2, 4, 4]}, "nodes": [{"relu": {"name": "a"}}]}
    outputs = {"mask": {"from": "a", "as": "raw"}, "aux": {"from": "a", "only": "train"}}
    last = text(load({**spec, "outputs": outputs})).splitlines()[-2:]
    assert last == ["output mask = a (as raw)", "output aux = a (train only)"]


def test_scopes_that_lost_their_nodes_are_gone():
    spec = {
        "cnnc": 1,
        "name": "n",
        "input": {"image": [1, 4, 4]},
        "nodes": ["relu", {"group": {"name": "nothing", "nodes": ["identity"]}}, "tanh"],
    }
    assert load(spec).scopes
    assert drop_identities(network_of(load(spec))).graph.scopes == {}
