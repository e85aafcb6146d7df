"""A network of one node, in every form that it is to agree in."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch

from cnnc.graph.graph import Graph, Input, Node, Output, Ref
from cnnc.ops import registry
from cnnc.ops.types import TensorType
from cnnc.targets import onnx_model as onnx_target
from cnnc.targets import torch_module as torch_target

Shapes = tuple[tuple[int | None, ...], ...]


def graph_of(op_name: str, attributes: Mapping[str, Any], shapes: Shapes) -> Graph:
    """The graph of a node called `node` over inputs `x0`, `x1`, …; its outputs are `y0`, `y1`, …"""
    op = registry.get(op_name).model_validate(attributes)
    types = tuple(TensorType(shape) for shape in shapes)
    result = op.infer(*types)
    outputs = result if isinstance(result, tuple) else (result,)
    assert len(outputs) == len(op.ports)
    names = [f"x{k}" for k in range(len(types))]
    node = Node("node", op, tuple(map(Ref, names)), outputs, op.cost(*types))
    return Graph(
        name="one_node",
        inputs=tuple(map(Input, names, types)),
        nodes=(node,),
        outputs=tuple(Output(f"y{port}", Ref("node", port)) for port in range(len(outputs))),
    )


def concrete(shapes: Shapes) -> tuple[tuple[int, ...], ...]:
    """The shapes with 7 for every unknown height and 6 for every unknown width."""
    unknown = (0, 7, 6)
    return tuple(tuple(size or unknown[axis] for axis, size in enumerate(shape)) for shape in shapes)


def module_of(graph: Graph, seed: int = 0) -> torch.nn.Module:
    """The torch module in eval mode, with random weights and running statistics."""
    module = torch_target.lower(graph).eval()
    random = torch.Generator().manual_seed(seed)
    for key, value in module.state_dict().items():
        if key.endswith("running_var"):
            value.copy_(torch.rand(value.shape, generator=random) + 0.5)
        elif value.is_floating_point():
            value.copy_(torch.randn(value.shape, generator=random) * 0.5)
    return module


def inputs_of(shapes: Shapes, batch: int, *, positive: bool = False) -> list[torch.Tensor]:
    random = torch.Generator().manual_seed(batch)
    drawn = [torch.randn(batch, *shape, generator=random) * 2 for shape in concrete(shapes)]
    return [each.abs() + 0.1 for each in drawn] if positive else drawn


def call(module: Any, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
    with torch.no_grad():
        result = module(*inputs)
    return [each.detach() for each in (result if isinstance(result, tuple) else (result,))]


def script(module: torch.nn.Module) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # TorchScript as a whole
        warnings.filterwarnings("ignore", "The TorchScript type system")  # of fx modules
        return torch.jit.script(module)


def model_of(graph: Graph, module: torch.nn.Module, opset: int = 20) -> onnx.ModelProto:
    weights = {key: value.numpy() for key, value in module.state_dict().items()}
    return onnx_target.lower(graph, weights, opset)


def session_of(model: onnx.ModelProto, without: Sequence[str] = ()) -> onnxruntime.InferenceSession:
    """The model in onnxruntime, on one thread, `without` some of its optimizers."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"], disabled_optimizers=[*without]
    )


def run(session: onnxruntime.InferenceSession, inputs: list[torch.Tensor]) -> list[np.ndarray]:
    return session.run(None, {f"x{k}": x.numpy() for k, x in enumerate(inputs)})


def inferred_by_onnx(model: onnx.ModelProto) -> list[tuple[int | None, ...]]:
    """The outputs' shapes, without the batch, that ONNX's strict inference finds without being told any."""
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    del bare.graph.value_info[:]
    for output in bare.graph.output:
        output.type.tensor_type.ClearField("shape")
    proved = onnx.shape_inference.infer_shapes(bare, check_type=True, strict_mode=True, data_prop=True)
    return [
        tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in output.type.tensor_type.shape.dim[1:])
        for output in proved.graph.output
    ]
