"""Choose the memory format of pictures: contiguous or channels last.

Takes the recipe, the graph, the device and the precision. The format changes results only by rounding. A run that
resumes on the same kind of device gets the same format, and so the same bits.
"""

from cnnc.graph.graph import Graph
from cnnc.language.model import Train
from cnnc.ops.conv import Conv, ConvTranspose


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
    return device == "cpu"  # oneDNN's training kernels use this format
