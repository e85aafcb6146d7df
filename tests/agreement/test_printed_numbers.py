"""Numbers that textbooks print, through torch and through onnxruntime: small enough to be checked by hand."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from cnnc.ops import registry
from cnnc.ops.types import TensorType
from cnnc.targets import torch_module as torch_target
from tests.agreement import one_node

X = np.arange(9).reshape(1, 3, 3)
Y = np.arange(16).reshape(1, 4, 4)
K = np.arange(4).reshape(1, 1, 2, 2)
PAIR = np.concatenate([X, X + 1])
KERNELS = np.concatenate([K, K + 1], axis=1)
BARS = np.ones((1, 6, 8))
BARS[:, :, 2:6] = 0
EDGE = np.array([1, -1]).reshape(1, 1, 1, 2)


def compute(op: str, attributes: Mapping[str, Any], x: Any, **weights: Any) -> np.ndarray:
    """The only sample's output, the same from torch and onnxruntime."""
    picture = torch.as_tensor(x, dtype=torch.float32)
    graph = one_node.graph_of(op, attributes, (tuple(picture.shape),))
    module = one_node.module_of(graph)
    state = {f"node.{name}": torch.as_tensor(value, dtype=torch.float32) for name, value in weights.items()}
    module.load_state_dict(state, strict=True)
    [expected] = one_node.call(module, [picture[None]])
    [found] = one_node.run(one_node.session_of(one_node.model_of(graph, module)), [picture[None]])
    np.testing.assert_array_equal(found, expected.numpy())
    return found[0]


def conv(x: Any, kernel: np.ndarray, **attributes: Any) -> np.ndarray:
    out, _, *size = kernel.shape
    return compute("conv", {"out": out, "kernel": size, "bias": False, **attributes}, x, weight=kernel)


def test_cross_correlation():
    np.testing.assert_array_equal(conv(X, K), [[[19, 25], [37, 43]]])
    padded = conv(X, K, padding=1)
    assert padded.shape == (1, 4, 4)
    np.testing.assert_array_equal(padded[0, 0], [0, 3, 8, 4])
    np.testing.assert_array_equal(conv(X, K, padding=1, stride=[3, 2]), [[[0, 8], [6, 8]]])


def test_several_channels():
    np.testing.assert_array_equal(conv(PAIR, KERNELS), [[[56, 72], [104, 120]]])
    stacked = conv(PAIR, np.concatenate([KERNELS, KERNELS + 1, KERNELS + 2]))
    np.testing.assert_array_equal(stacked, [[[56, 72], [104, 120]], [[76, 100], [148, 172]], [[96, 128], [192, 224]]])


def test_one_by_one_conv_is_a_matrix_product_over_channels():
    kernel = np.arange(-3, 3).reshape(2, 3, 1, 1)
    maps = np.arange(27).reshape(3, 3, 3) - 10
    np.testing.assert_array_equal(conv(maps, kernel), np.tensordot(kernel[:, :, 0, 0], maps, 1))


def test_edge_detector():
    np.testing.assert_array_equal(conv(BARS, EDGE), np.tile([0, 1, 0, 0, 0, -1, 0], (1, 6, 1)))
    np.testing.assert_array_equal(conv(BARS.transpose(0, 2, 1), EDGE), np.zeros((1, 8, 5)))


def test_the_edge_detector_can_be_learned():
    graph = one_node.graph_of("conv", {"out": 1, "kernel": [1, 2], "bias": False}, ((1, 6, 8),))
    module = one_node.module_of(graph).train()
    picture, [kernel] = torch.as_tensor(BARS[None], dtype=torch.float32), module.parameters()
    goal = torch.tensor([0.0, 1, 0, 0, 0, -1, 0]).expand(1, 1, 6, 7)
    for _ in range(10):
        loss = (module(picture) - goal).square().sum()
        [gradient] = torch.autograd.grad(loss, [kernel])
        kernel.data -= 0.03 * gradient
    assert (module(picture) - goal).square().sum() < 0.1
    torch.testing.assert_close(kernel.detach().flatten(), torch.tensor([1.0, -1.0]), atol=0.1, rtol=0)


POOLS: list[tuple[str, dict[str, Any], np.ndarray, list[list[int]]]] = [
    ("max_pool", {"kernel": 2, "stride": 1}, X, [[4, 5], [7, 8]]),
    ("avg_pool", {"kernel": 2, "stride": 1}, X, [[2, 3], [5, 6]]),
    ("max_pool", {"kernel": 3}, Y, [[10]]),
    ("max_pool", {"kernel": 3, "stride": 2, "padding": 1}, Y, [[5, 7], [13, 15]]),
    ("max_pool", {"kernel": [2, 3], "stride": [2, 3], "padding": [0, 1]}, Y, [[5, 7], [13, 15]]),
    ("max_pool", {"kernel": [2, 3], "stride": [2, 3], "padding": [1, 2]}, Y, [[0, 3], [8, 11], [12, 15]]),
    ("max_pool", {"kernel": 3, "stride": 2, "padding": "same"}, Y, [[10, 11], [14, 15]]),
]


@pytest.mark.parametrize(("op", "attributes", "x", "expected"), POOLS)
def test_pools(op: str, attributes: dict[str, Any], x: np.ndarray, expected: list[list[int]]):
    np.testing.assert_array_equal(compute(op, attributes, x), [expected])


def test_pools_take_every_channel_by_itself():
    both = np.concatenate([Y, Y + 1])
    pooled = compute("max_pool", {"kernel": 3, "stride": 2, "padding": 1}, both)
    np.testing.assert_array_equal(pooled, [[[5, 7], [13, 15]], [[6, 8], [14, 16]]])


SIZES: list[tuple[dict[str, Any], tuple[int, int], tuple[int, int]]] = [
    ({"kernel": 3, "padding": 1}, (8, 8), (8, 8)),
    ({"kernel": [5, 3], "padding": [2, 1]}, (8, 8), (8, 8)),
    ({"kernel": 3, "padding": 1, "stride": 2}, (8, 8), (4, 4)),
    ({"kernel": [3, 5], "padding": [0, 1], "stride": [3, 4]}, (8, 8), (2, 2)),
    ({"kernel": 3, "padding": "same", "stride": 2}, (8, 8), (4, 4)),
    ({"kernel": 11, "padding": 1, "stride": 4}, (224, 224), (54, 54)),
]


@pytest.mark.parametrize(("attributes", "size", "expected"), SIZES)
def test_sizes_of_convs(attributes: dict[str, Any], size: tuple[int, int], expected: tuple[int, int]):
    graph = one_node.graph_of("conv", {"out": 1, **attributes}, ((1, *size),))
    assert graph.nodes[0].outputs[0].space == expected


def test_ten_convs_of_5_shrink_240_to_200():
    size = TensorType((1, 240, 240))
    for _ in range(10):
        size = registry.get("conv").model_validate({"out": 1, "kernel": 5}).infer(size)
    assert size == TensorType((1, 200, 200))


def test_batch_norm_averages_and_predicts():
    module = one_node.module_of(one_node.graph_of("batch_norm", {}, ((2,),))).train()
    norm = module.get_submodule("node")
    fresh = torch_target.lower(one_node.graph_of("batch_norm", {}, ((2,),)))
    module.load_state_dict(fresh.state_dict())
    assert {key: value.tolist() for key, value in module.named_parameters()} == {
        "node.weight": [1, 1],
        "node.bias": [0, 0],
    }
    batch = torch.tensor([[1.0, -4.0], [3.0, 4.0]])  # means 2 and 0, variances 1 and 16 (unbiased: 2 and 32)
    torch.testing.assert_close(module(batch), torch.tensor([[-1.0, -1.0], [1.0, 1.0]]), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(norm.running_mean, 0.1 * torch.tensor([2.0, 0.0]))
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * torch.tensor([2.0, 32.0]))
    expected = (batch - norm.running_mean) / (norm.running_var + 1e-5).sqrt()
    torch.testing.assert_close(module.eval()(batch), expected)
