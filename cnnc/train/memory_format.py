"""Choose the memory format of feature maps in a training: channels last, or contiguous (channels first).

Takes the recipe, the graph, the device and the precision. The results differ only by rounding.
"""

from cnnc.graph.graph import Graph, Node
from cnnc.language.recipe import Train
from cnnc.ops.conv import Conv
from cnnc.ops.conv_transpose import ConvTranspose
from cnnc.ops.norm import BatchNorm

FEWEST_CHANNELS = 8  # with fewer, torch's channels-last kernels of batch norm on the CPU fill no vector


def channels_last(recipe: Train, graph: Graph, device: str, precision: str) -> bool:
    """Return the recipe's choice, or whether channels last is faster on `device` (cpu, cuda, mps) in `precision`.

    `precision` is Fabric's name of it, such as `32-true`.
    """
    if recipe.channels_last is not None:
        return recipe.channels_last
    if not any(isinstance(node.op, Conv | ConvTranspose) for node in graph.nodes):
        return False
    if device == "cuda":  # tensor cores use this format; in plain float32, cuDNN would convert from it
        return recipe.tf32 or precision != "32-true"
    # oneDNN's training kernels use this format: a step takes 0.5 to 0.8 of the CPU time, but 1.1 to 1.4 of it with a
    # narrow batch norm
    return device == "cpu" and not any(_is_narrow_norm(graph, node) for node in graph.nodes)


def _is_narrow_norm(graph: Graph, node: Node) -> bool:
    if not isinstance(node.op, BatchNorm):
        return False
    normalised = graph.input_types(node)[0]
    return normalised.is_map and normalised.channels < FEWEST_CHANNELS
