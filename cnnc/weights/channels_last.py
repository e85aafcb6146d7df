"""Convert weights from the layout of Keras, TensorFlow and Flax to that of torch.

Their kernels end with the axes (in, out), after height and width: torch's begin with (out, in). Takes a tensor and its
key, whose last part decides: `kernel`, `depthwise_kernel` or `pointwise_kernel`. A linear layer after `flatten` also
sees its inputs in another order, (height, width, channels), and needs the size of the map that is flattened.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cnnc.graph.graph import Graph, Node
from cnnc.weights.layers import Shape, split

if TYPE_CHECKING:
    from torch import Tensor

KERNELS = ("kernel", "depthwise_kernel", "pointwise_kernel")


def is_kernel(key: str, shape: Shape) -> bool:
    """Return whether a tensor with this key is a kernel in the layout of Keras."""
    return split(key)[1] in KERNELS and len(shape) in (2, 4)


def to_torch(key: str, tensor: "Tensor") -> "Tensor":
    """Return a kernel as (out, in) or (out, in, height, width), a depthwise one as (channels, 1, height, width)."""
    if tensor.ndim == 2:
        return tensor.T.contiguous()
    if split(key)[1] == "depthwise_kernel":
        height, width = tensor.shape[:2]
        return tensor.permute(2, 3, 0, 1).reshape(-1, 1, height, width)
    return tensor.permute(3, 2, 0, 1).contiguous()


def flattened(graph: Graph) -> Mapping[str, Shape]:
    """Return the shapes (C, H, W) of maps of several positions that linear layers take flat, by the layers' keys."""
    shapes = {node.keys: _flattened(graph, node) for node in graph.nodes if node.op.name == "linear"}
    return {f"{keys}.weight": shape for keys, shape in shapes.items() if shape is not None}


def _flattened(graph: Graph, node: Node) -> Shape | None:
    """Return the shape of the map that was flattened for the node, if only ops that keep the order came after."""
    given = graph.node.get(node.inputs[0].node)
    while given is not None and given.op.name != "flatten" and len(given.inputs) == 1:
        if graph.input_types(given)[0] != given.outputs[0]:
            return None
        given = graph.node.get(given.inputs[0].node)
    if given is None or given.op.name != "flatten":
        return None
    shape = graph.input_types(given)[0].shape
    known = tuple(size for size in shape if size is not None)
    return known if len(known) == 3 and known[1] * known[2] > 1 else None


def reorder(weight: "Tensor", shape: Shape) -> "Tensor":
    """Return the weight (out, H·W·C) of a linear layer as (out, C·H·W)."""
    channels, height, width = shape
    return weight.reshape(-1, height, width, channels).permute(0, 3, 1, 2).reshape(weight.shape)
