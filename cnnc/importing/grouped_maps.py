"""Maps in groups of channels: values (batch, groups, channels, height, width), as in attention over several branches.

A spec has no such values, so their groups are merged: a stack of maps is their `concat`, seen in another shape.
"""

from cnnc.importing.flat_network import FlatNetwork
from cnnc.importing.onnx_nodes import OnnxNode
from cnnc.importing.values import GraphTensor, ShapeStep, elements, place_of

RANK = 5


def stacked(net: FlatNetwork, node: OnnxNode) -> GraphTensor | None:
    """Return the Concat of maps along a new axis before their channels; None for any other."""
    maps = [each for each in node.inputs if isinstance(each, GraphTensor)]
    (batch, *rest), *others = {each.sizes for each in maps}
    if len(rest) != RANK - 1 or rest[0] != 1 or others or len(maps) < len(node.inputs):
        return None
    if place_of(node.attr("axis", 1), RANK) != 1:
        return None
    joined = net.add("concat", [each.through(ShapeStep(None, (batch, *rest[1:]))) for each in maps])
    return joined.through(ShapeStep(None, (batch, len(maps), *rest[1:]), node.proto))


def without_groups(x: GraphTensor, factor: GraphTensor) -> tuple[GraphTensor, GraphTensor] | None:
    """Return maps in groups and a number for each of their channels, with the groups merged; None for other values."""
    if len(x.sizes) != RANK or x.sizes[:3] != factor.sizes[:3] or factor.sizes[3:] != (1, 1):
        return None
    channels = (x.sizes[0], elements(x.sizes[1:3]))
    return (
        x.through(ShapeStep(None, (*channels, *x.sizes[3:]))),
        factor.through(ShapeStep(None, (*channels, 1, 1))),
    )
