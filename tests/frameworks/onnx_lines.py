"""Runs an ONNX construct of the page in onnxruntime: `Conv(x, W[8,4,3,3], b[8], pads=[1, 1, 1, 1])`.

Arguments without a keyword are the node's inputs: `x`, `y` and `z`, initializers of random values with their shapes,
constants (a number or a list), or `None` for an input that is left out. Keywords are the node's attributes.
"""

import ast
from collections.abc import Iterator

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import helper, numpy_helper
from torch import Tensor

from tests.frameworks.page import NAMES

OPSET = 21


def answer(construct: str, inputs: list[Tensor]) -> tuple[list[Tensor], dict[str, Tensor]]:
    """Return the outputs of a construct, and its initializers by name, in order."""
    call = ast.parse(construct, mode="eval").body
    assert isinstance(call, ast.Call)
    assert isinstance(call.func, ast.Name)
    given = [*_arguments(call.args)]
    attributes = {each.arg: ast.literal_eval(each.value) for each in call.keywords if each.arg}
    outputs = [f"out{port}" for port in range(attributes.get("num_outputs", len(attributes.get("split", [1]))))]
    node = helper.make_node(call.func.id, [name for name, _ in given], outputs, **attributes)
    model = _model(node, inputs, {name: value for name, value in given if value is not None})
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(None, {name: x.numpy() for name, x in zip(NAMES, inputs, strict=False)})
    weights = {name: value for name, value in given if value is not None and not name.startswith("constant")}
    return [*map(torch.from_numpy, found)], {name: torch.from_numpy(each.copy()) for name, each in weights.items()}


def _arguments(args: list[ast.expr]) -> Iterator[tuple[str, np.ndarray | None]]:
    """Yield the name of each input of the node, with its value if it is an initializer."""
    random = np.random.default_rng(0)
    for position, each in enumerate(args):
        if isinstance(each, ast.Name):
            yield each.id, None
        elif isinstance(each, ast.Subscript):
            shape = np.atleast_1d(ast.literal_eval(each.slice))
            name = ast.unparse(each.value)
            yield name, random.uniform(0.5, 1.5, shape).astype(np.float32)
        elif (value := ast.literal_eval(each)) is None:
            yield "", None
        else:
            floats = any(isinstance(number, float) for number in np.ravel(value).tolist())
            yield f"constant{position}", np.array(value, np.float32 if floats else np.int64)


def _model(node: onnx.NodeProto, inputs: list[Tensor], constants: dict[str, np.ndarray]) -> onnx.ModelProto:
    def value(name: str, shape: tuple[int, ...] | None) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        [node],
        "line",
        [value(name, tuple(x.shape)) for name, x in zip(NAMES, inputs, strict=False)],
        [value(name, None) for name in node.output],
        [numpy_helper.from_array(each, name) for name, each in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
