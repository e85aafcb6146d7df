"""Random windows: what we infer is what torch and onnxruntime compute, and what we refuse has no answer in torch."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from cnnc.ops import registry
from cnnc.ops.base import Refusal
from cnnc.ops.types import TensorType
from tests.agreement import one_node

small = st.integers(1, 4)
pairs = st.tuples(small, small).map(list)
sizes = st.tuples(st.just(2), st.integers(1, 9), st.integers(1, 9))
pads = st.integers(0, 3)
symmetric = st.tuples(pads, pads).map(list)
paddings = symmetric | st.tuples(pads, pads, pads, pads).map(list) | st.sampled_from(["same", "same_lower", "valid"])

windows = {"kernel": pairs, "stride": pairs}
convs = {**windows, "dilation": pairs, "out": st.just(3)}
attributes: dict[str, dict[str, st.SearchStrategy]] = {
    "conv": convs,
    "conv_transpose": {**convs, "output_padding": st.tuples(st.integers(0, 2), st.integers(0, 2)).map(list)},
    "max_pool": {**windows, "dilation": pairs, "ceil": st.booleans()},
    "avg_pool": {**windows, "ceil": st.booleans(), "count_padding": st.booleans()},
}


def of_ops(padding: st.SearchStrategy) -> st.SearchStrategy:
    choices = [
        st.tuples(st.just(op), st.fixed_dictionaries({**each, "padding": padding})) for op, each in attributes.items()
    ]
    return st.one_of(choices)


def refusal_of(op: str, values: dict[str, Any], shape: tuple[int, ...]) -> Refusal | None:
    try:
        registry.get(op).model_validate(values).infer(TensorType(shape))
    except Refusal as refusal:
        return refusal
    return None


@given(of_ops(paddings), sizes)
def test_what_is_accepted_agrees(node: tuple[str, dict[str, Any]], shape: tuple[int, ...]):
    op, values = node
    if refusal_of(op, values, shape):
        return
    graph = one_node.graph_of(op, values, (shape,))
    module, inputs = one_node.module_of(graph), one_node.inputs_of((shape,), 2)
    [expected] = one_node.call(module, inputs)
    assert expected.shape[1:] == graph.nodes[0].outputs[0].shape
    assert expected.isfinite().all()
    model = one_node.model_of(graph, module)
    assert one_node.inferred_by_onnx(model) == [graph.nodes[0].outputs[0].shape]
    [found] = one_node.run(one_node.session_of(model), inputs)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=2e-5)


def in_torch(op: str, values: dict[str, Any], x: torch.Tensor) -> torch.Tensor:
    """The op over ones, as torch's own functions have it."""
    window = {"stride": values["stride"], "padding": values["padding"]}
    if op == "max_pool":
        return F.max_pool2d(x, values["kernel"], dilation=values["dilation"], ceil_mode=values["ceil"], **window)
    if op == "avg_pool":
        counts = values["count_padding"]
        return F.avg_pool2d(x, values["kernel"], ceil_mode=values["ceil"], count_include_pad=counts, **window)
    window["dilation"] = values["dilation"]
    if op == "conv":
        return F.conv2d(x, torch.ones(3, 2, *values["kernel"]), **window)
    weight = torch.ones(2, 3, *values["kernel"])
    return F.conv_transpose2d(x, weight, output_padding=values["output_padding"], **window)


@given(of_ops(symmetric), sizes)
def test_torch_has_the_same_size_or_no_answer(node: tuple[str, dict[str, Any]], shape: tuple[int, ...]):
    op, values = node
    try:
        answer = in_torch(op, values, torch.ones(1, *shape))
    except RuntimeError:  # torch refuses pads of over half of what a pool's kernel covers; we do not
        answer = None
    refusal = refusal_of(op, values, shape)
    if refusal is None:
        assert answer is None or answer.shape[1:] == one_node.graph_of(op, values, (shape,)).nodes[0].outputs[0].shape
        assert answer is not None or op in ("max_pool", "avg_pool")
    else:  # an answer that is not finite has a window in the padding
        assert answer is None or not answer.isfinite().all()


@pytest.mark.parametrize("size", range(1, 12))
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("op", ["conv", "max_pool", "avg_pool"])
def test_same_gives_as_many_positions_as_tensorflow(op: str, size: int, stride: int):
    for kernel in range(1, 5):
        values = {"kernel": kernel, "stride": stride, "padding": "same"} | ({"out": 1} if op == "conv" else {})
        op_class = registry.get(op)
        for padding in ("same", "same_lower"):
            found = op_class.model_validate({**values, "padding": padding}).infer(TensorType((1, size, size)))
            assert found == TensorType((1, -(-size // stride), -(-size // stride)))


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
def test_transposed_sizes_are_those_of_tensorflow(kernel: int, stride: int):
    sizes = {"same": 7 * stride, "same_lower": 7 * stride, "valid": 6 * stride + max(kernel, stride)}
    for padding, size in sizes.items():
        values = {"out": 1, "kernel": kernel, "stride": stride, "padding": padding}
        op = registry.get("conv_transpose").model_validate(values)
        assert op.infer(TensorType((1, 7, 7))) == TensorType((1, size, size))
