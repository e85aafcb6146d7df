"""Convert an ONNX model to fp16: weights and values have 16 bits, inputs and outputs stay float32.

Takes a float32 model and returns one of half the size, for GPUs; CPUs have no kernels for it and convert back. Numbers
above 65,504 do not fit. The nodes keep their names; a Cast after each input and before each output is added.
"""

from typing import TYPE_CHECKING

from cnnc.diagnostics import CnncError, Code
from cnnc.precision.onnxruntime_tools import open_session

if TYPE_CHECKING:
    import onnx

    from cnnc.precision.fidelity import Feed

LARGEST = 65504.0


def in_fp16(model: "onnx.ModelProto") -> "onnx.ModelProto":
    """Return the converted model; call it inside `quantizing`."""
    from onnxruntime.quantization.onnx_model import ONNXModel
    from onnxruntime.transformers.float16 import convert_float_to_float16

    copy = type(model)()
    copy.CopyFrom(model)
    model = ONNXModel(convert_float_to_float16(copy, keep_io_types=True))
    model.topological_sort()  # the casts of the inputs are last
    result: onnx.ModelProto = model.model
    return result


def require_range(model: "onnx.ModelProto", feed: "Feed") -> None:
    """Raise E410, naming the first node of a float32 model whose values for `feed` do not fit into fp16."""
    import numpy as np
    from onnx import ValueInfoProto

    copy = type(model)()
    copy.CopyFrom(model)
    makers = {name: node.name for node in model.graph.node for name in node.output if name}
    del copy.graph.output[:]
    copy.graph.output.extend(ValueInfoProto(name=name) for name in makers)
    values = open_session(copy).run(None, dict(feed))
    for name, value in zip(makers, values, strict=True):
        largest = float(np.abs(value).max(initial=0))
        if largest > LARGEST:
            raise CnncError.of(
                Code.NOT_REDUCIBLE,
                f"`{makers[name]}` computes values up to {largest:,.0f}, but fp16 ends at {LARGEST:,.0f}",
                help="nothing was written; scale the input down or add a norm before this node, or leave out "
                "--precision fp16",
            )
