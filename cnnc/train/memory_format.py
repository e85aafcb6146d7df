"""How the numbers of a picture lie in memory: channel by channel, or all channels of a pixel together (channels last).

In: the recipe, the graph, and what trains in which precision. What is computed is the same but for rounding; so a run
that goes on where it began, on the same kind of device, gets the same layout and the same bits.
"""

from cnnc.graph.graph import Graph
from cnnc.language.model import Train
from cnnc.ops.conv import Conv, ConvTranspose


def channels_last(recipe: Train, graph: Graph, device: str, precision: str) -> bool:
    """What the recipe says, or whether it pays on a `device` (cpu, cuda, mps) in a `precision` of Fabric's words."""
    if recipe.channels_last is not None:
        return recipe.channels_last
    if not any(isinstance(node.op, Conv | ConvTranspose) for node in graph.nodes):
        return False
    if device == "cuda":  # tensor cores take pictures so; where these do not multiply, cuDNN would turn them around
        return recipe.tf32 or precision != "32-true"
    return device == "cpu"  # oneDNN's kernels for training take and give pictures so
