"""The sketch of an ONNX file, for `cnnc draw`: of its import, or of its plain graph if it cannot be imported.

Takes the path of a file; returns a `Sketch`. The import gives blocks, repeats and costs. The plain graph has the ops of
ONNX and the scopes of its names, and is read without the weights.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, count
from typing import Final

from cnnc.compiler import load
from cnnc.diagnostics import CnncError, Code, counted
from cnnc.diagnostics.missing_packages import require
from cnnc.drawing.sketch import Sketch, SketchNode, sketch
from cnnc.files.onnx_graph import GraphNode, read_structure
from cnnc.graph.graph import Ref
from cnnc.importing.importer import read, with_blocks

_FAMILIES: Final = {
    "convolution": "Conv ConvTranspose ConvInteger QLinearConv DeformConv",
    "linear, attention": "Gemm MatMul Attention QLinearMatMul MatMulInteger QGemm Einsum LSTM GRU RNN",
    "pooling, resizing": "MaxPool AveragePool LpPool GlobalAveragePool GlobalMaxPool Resize Upsample DepthToSpace",
    "normalisation": "BatchNormalization LayerNormalization InstanceNormalization GroupNormalization LRN "
    "RMSNormalization",
    "activation": "Relu LeakyRelu PRelu Elu Selu Celu Sigmoid Tanh Gelu HardSigmoid HardSwish Mish Softplus "
    "Softmax Clip",
    "joining": "Add Sub Mul Div Concat Sum Max Min",
}
_FAMILY: Final = {op: family for family, ops in _FAMILIES.items() for op in ops.split()}


def sketch_of(path: str, note: Callable[[str], None]) -> Sketch:
    """Return the sketch; raises CnncError (E501) if the file is no ONNX model.

    `note` is called with the reason if the file cannot be imported.
    """
    require(["numpy", "onnx"], "drawing an ONNX file")
    try:
        return sketch(load(with_blocks(read(path)).spec))
    except CnncError as error:
        if any(each.code == Code.MODEL_UNREADABLE for each in error.diagnostics):
            raise
        note(f"the picture shows the ops of ONNX: {error.diagnostics[0].message}")
    return _plain(path)


def _plain(path: str) -> Sketch:
    found = read_structure(path)
    paths = _paths(found.nodes, [each.name for each in found.inputs])
    shapes = {each.name: _spelled(each.shape) for each in found.inputs} | _shapes(path)
    made = {each.name: Ref(each.name) for each in found.inputs}
    kinds: dict[str, int] = {}
    nodes = []
    for node, place in zip(found.nodes, paths, strict=True):
        if node.op == "Constant":
            continue
        nodes.append(
            SketchNode(
                path=place,
                op=node.op,
                label=node.op,
                family=_FAMILY.get(node.op, "other"),
                inputs=tuple(made[value] for value in node.inputs if value in made),
                shapes=tuple(shapes.get(value, "?") for value in node.outputs),
                channels=1,
                macs=None,
                alike=kinds.setdefault(node.op, len(kinds)),
                facts={"inputs": ", ".join(node.inputs), "outputs": ", ".join(node.outputs)},
            )
        )
        made |= {value: Ref(place, port) for port, value in enumerate(node.outputs)}
    return Sketch(
        name=os.path.splitext(os.path.basename(path))[0],
        description="the graph of an ONNX file that cannot be imported",
        inputs={each.name: _spelled(each.shape) for each in found.inputs},
        nodes=tuple(nodes),
        outputs={each.name: made[each.name] for each in found.outputs if each.name in made},
        scopes={scope: scope.rpartition(".")[2].partition("~")[0] for place in paths for scope in _scopes(place)},
        summary=counted(len(nodes), "node"),
    )


def _paths(nodes: Sequence[GraphNode], inputs: Sequence[str]) -> list[str]:
    """Return a path for each node from its name, as in `/layer1/conv1/Conv`; the nodes of each scope are contiguous."""
    taken = {*inputs}
    open_scopes: list[tuple[str, str]] = []  # the names of the scopes around the node before, and their paths
    found = []
    for node in nodes:
        *scopes, name = (node.name or node.op).strip("/").replace(".", "_").split("/")
        shared = 0
        while shared < min(len(scopes), len(open_scopes)) and scopes[shared] == open_scopes[shared][0]:
            shared += 1
        open_scopes = open_scopes[:shared]
        for scope in scopes[shared:]:
            open_scopes.append((scope, _free(taken, ".".join([*(path for _, path in open_scopes[-1:]), scope]))))
        found.append(_free(taken, ".".join([*(path for _, path in open_scopes[-1:]), name or node.op])))
    return found


def _free(taken: set[str], path: str) -> str:
    """Return the path, with a number if it is taken, and add it to those taken."""
    found = next(each for each in chain([path], (f"{path}~{at}" for at in count(2))) if each not in taken)
    taken.add(found)
    return found


def _scopes(path: str) -> Iterator[str]:
    at = path.find(".")
    while at >= 0:
        yield path[:at]
        at = path.find(".", at + 1)


def _shapes(path: str) -> dict[str, str]:
    """Return the shapes that onnx can infer, by value; none if it refuses the file."""
    from onnx import load_model
    from onnx.shape_inference import infer_shapes

    try:
        graph = infer_shapes(load_model(path, load_external_data=False)).graph
    except Exception:  # foreign bytes: protobuf and onnx raise what they like; a picture without shapes is one still
        return {}
    return {
        each.name: _spelled([side.dim_value or side.dim_param for side in each.type.tensor_type.shape.dim])
        for each in (*graph.value_info, *graph.output)
        if each.type.tensor_type.HasField("shape")
    }


def _spelled(shape: Sequence[int | str | None]) -> str:
    return "×".join(str(side or "?") for side in shape) or "scalar"
