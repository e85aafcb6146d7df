"""For every row: what we infer, torch's meta device, ONNX's inference and onnxruntime give one shape, and torch,
TorchScript and onnxruntime one value; and a node costs what its module has."""

from contextlib import nullcontext, suppress
from typing import Any, Literal, get_args, get_origin

import numpy as np
import onnx
import pytest
import torch

from cnnc.ops import registry
from cnnc.ops.activation_names import ACTIVATIONS
from cnnc.ops.base import Refusal
from cnnc.ops.types import TensorType
from tests.agreement import one_node
from tests.agreement.rows import POSITIVE, TABLE, Row, rows

ROWS = list(rows())
every_row = pytest.mark.parametrize("row", ROWS, ids=str)


@every_row
def test_shapes_agree(row: Row):
    graph = one_node.graph_of(row.op, row.attributes, row.shapes)
    types = [each.shape for each in graph.nodes[0].outputs]
    true = [
        each.shape for each in one_node.graph_of(row.op, row.attributes, one_node.concrete(row.shapes)).nodes[0].outputs
    ]
    for shape, size in zip(types, true, strict=True):
        assert all(ours in (None, its) for ours, its in zip(shape, size, strict=True))
    assert types == true or any(None in each for each in row.shapes)

    module = one_node.module_of(graph)
    inputs = one_node.inputs_of(row.shapes, 3, positive=row.op in POSITIVE)
    assert [each.shape[1:] for each in one_node.call(module, inputs)] == true
    model = one_node.model_of(graph, module)
    assert one_node.inferred_by_onnx(model) == types
    assert [each.shape[1:] for each in one_node.run(one_node.session_of(model), inputs)] == true
    meta = one_node.call(module.to("meta"), [each.to("meta") for each in inputs])
    assert [each.shape for each in meta] == [(3, *shape) for shape in true]


OF_OPEN_MAPS = [row for row in ROWS if len(row.shapes) == 1 and None in row.shapes[0]]


@pytest.mark.parametrize("row", OF_OPEN_MAPS, ids=str)
def test_an_op_that_needs_multiples_says_so(row: Row):
    op = registry.get(row.op).model_validate(row.attributes)
    [shape] = row.shapes
    with nullcontext() if not op.needs_multiples else suppress(Refusal):
        for size in range(60, 72):  # large enough for every window
            op.infer(TensorType(tuple(each or size for each in shape)))


@every_row
def test_values_agree(row: Row):
    graph = one_node.graph_of(row.op, row.attributes, row.shapes)
    module = one_node.module_of(graph)
    scripted = one_node.script(module)
    sessions = {}
    for opset in (17, 20, 26):
        model = one_node.model_of(graph, module, opset)
        onnx.checker.check_model(model, full_check=True)
        sessions[opset] = one_node.session_of(model)
    for batch in (1, 3):
        inputs = one_node.inputs_of(row.shapes, batch, positive=row.op in POSITIVE)
        expected = one_node.call(module, inputs)
        assert all(each.isfinite().all() for each in expected)
        for found, wanted in zip(one_node.call(scripted, inputs), expected, strict=True):
            torch.testing.assert_close(found, wanted)
        for opset, session in sessions.items():
            for array, wanted in zip(one_node.run(session, inputs), expected, strict=True):
                np.testing.assert_allclose(array, wanted.numpy(), rtol=1e-4, atol=2e-5, err_msg=f"opset {opset}")


@every_row
def test_cost_is_what_the_module_has(row: Row):
    graph = one_node.graph_of(row.op, row.attributes, row.shapes)
    module, cost = one_node.module_of(graph), graph.nodes[0].cost
    assert cost.params == sum(each.numel() for each in module.parameters())
    buffers = {name: each for name, each in module.named_buffers() if not name.endswith("num_batches_tracked")}
    assert cost.buffers == sum(each.numel() for each in buffers.values())


def _macs(module: torch.nn.Module, inputs: list[torch.Tensor]) -> int:
    """Multiply-adds per sample, counted from the modules' weights and the shapes that go through."""
    layer: Any = module.get_submodule("node")
    if isinstance(layer, torch.nn.Linear):
        return layer.weight.numel() * inputs[0][0].numel() // layer.in_features
    positions = inputs[0] if isinstance(layer, torch.nn.ConvTranspose2d) else one_node.call(module, inputs)[0]
    return layer.weight.numel() * positions[0, 0].numel()


@pytest.mark.parametrize("row", [row for row in ROWS if row.op in ("conv", "conv_transpose", "linear")], ids=str)
def test_macs(row: Row):
    graph = one_node.graph_of(row.op, row.attributes, row.shapes)
    known = all(None not in shape for shape in row.shapes)
    expected = _macs(one_node.module_of(graph), one_node.inputs_of(row.shapes, 1)) if known else None
    assert graph.nodes[0].cost.macs == expected


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("others", [0, 1, 2])
def test_attention_is_that_of_torch(bias: bool, others: int):
    shapes = ((7, 6), *((4, 6),) * others)
    module = one_node.module_of(one_node.graph_of("attention", {"heads": 3, "bias": bias}, shapes))
    torchs = torch.nn.MultiheadAttention(6, 3, bias=bias, batch_first=True).eval()
    torchs.load_state_dict(module.get_submodule("node").state_dict())
    inputs = one_node.inputs_of(shapes, 3)
    expected, _ = torchs(inputs[0], inputs[min(1, others)], inputs[-1])
    torch.testing.assert_close(one_node.call(module, inputs), [expected])


def test_macs_of_matrix_products():
    """Attention: 4 projections of 6×6 for each token, and queries by keys and scores by values for all heads."""
    rows = [
        ("matmul", {}, ((7, 5), (5, 4)), 7 * 5 * 4),
        ("attention", {"heads": 2}, ((7, 6),), 4 * 36 * 7 + 2 * 7 * 7 * 6),
        ("attention", {"heads": 2}, ((7, 6), (4, 6)), 36 * (2 * 7 + 2 * 4) + 2 * 7 * 4 * 6),
        ("attention", {"heads": 2}, ((7, 6), (4, 6), (4, 6)), 36 * (2 * 7 + 2 * 4) + 2 * 7 * 4 * 6),
    ]
    for op, attributes, shapes, macs in rows:
        assert one_node.graph_of(op, attributes, shapes).nodes[0].cost.macs == macs


def test_every_op_has_a_row():
    assert set(TABLE) == set(registry.names())
    assert all(TABLE.values())


def _choices(annotation: Any) -> tuple[Any, ...]:
    if annotation is bool:
        return (True, False)
    return get_args(annotation) if get_origin(annotation) is Literal else ()


@pytest.mark.parametrize("name", registry.names())
def test_every_attribute_has_a_row(name: str):
    for attribute, field in registry.get(name).model_fields.items():
        given = [row.attributes.get(attribute, field.default) for row in ROWS if row.op == name]
        assert any(value != field.default for value in given), f"{name}: no row sets {attribute}"
        for choice in _choices(field.annotation):
            assert choice in given, f"{name}: no row has {attribute}: {choice}"
        assert field.description, f"{name}: {attribute} has no description"


def test_activation_takes_the_attributes_of_every_kind():
    every = {name for kind in ACTIVATIONS for name in registry.get(kind).model_fields}
    assert set(registry.get("activation").model_fields) == {"kind", *every}


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_activation_is_the_op_of_that_kind(kind: str):
    row = TensorType((3, 7, 6))
    inputs = one_node.inputs_of((row.shape,), 2)
    ours, theirs = (
        one_node.module_of(one_node.graph_of(op, attributes, (row.shape,)))
        for op, attributes in (("activation", {"kind": kind}), (kind, {}))
    )
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    torch.testing.assert_close(one_node.call(ours, inputs), one_node.call(theirs, inputs))
