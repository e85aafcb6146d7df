"""Maps whose channels are the last axis, as in files of Keras and TensorFlow: nodes move before their transpose.

Such files transpose a map around each convolution. A node that takes a map through the transpose from channels first to
channels last is imported on the map itself, and its output is seen through the transpose, which the next one cancels.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from cnnc.importing.onnx_nodes import OnnxNode
from cnnc.importing.patterns import channels_last
from cnnc.importing.values import ConstantArray, Content, GraphTensor, ShapeStep, place_of

if TYPE_CHECKING:
    import onnx

LAST = (0, 2, 3, 1)  # the perm from channels first to channels last
FIRST = (0, 3, 1, 2)
RANK = 4


class Moved(NamedTuple):
    """A node before the transpose of its inputs, and the transpose that its outputs are seen through."""

    node: OnnxNode
    perm: tuple[int, ...]

    def seen(self, output: Content) -> Content:
        """Return an output as the file has it."""
        return output if not isinstance(output, GraphTensor) else transposed(output, self.perm)


def transposed(value: GraphTensor, perm: tuple[int, ...], origin: Any = None) -> GraphTensor:
    """Return a value seen through a transpose."""
    return value.through(ShapeStep(perm, tuple(value.sizes[axis] for axis in perm), origin))


def moved(node: OnnxNode, *, traced: bool = False) -> Moved | None:
    """Return the node before the transpose of its maps; None if it has none, or has to stay.

    The constants of a `traced` file are tensors of a module, whose checkpoints do not load if they are transposed.
    """
    if traced and any(isinstance(each, ConstantArray) and not _per_channel(each) for each in node.inputs):
        return None
    values = [each for each in node.inputs if isinstance(each, GraphTensor)]
    rule = RULES.get(node.op)
    return rule(node) if rule and any(map(channels_last, values)) and all(map(_may_turn, values)) else None


def _per_channel(constant: ConstantArray) -> bool:
    """Whether a constant is one number, or one for each channel of a map with channels last, or no tensor."""
    array = constant.array
    return array.size == 1 or array.ndim < 2 or array.shape[-1] == array.size


def _may_turn(value: GraphTensor) -> bool:
    """Whether a value may be transposed: a part of a pattern only if that undoes a transpose."""
    return len(value.sizes) == RANK and (channels_last(value) or not value.made.op.startswith("_"))


def _elementwise(node: OnnxNode) -> Moved | None:
    constants = [each for each in node.inputs if isinstance(each, ConstantArray)]
    if any(each.array.dtype == object or each.array.ndim > RANK for each in constants):
        return None
    return Moved(replace(node, inputs=[*map(_first, node.inputs)]), LAST)


def _along(node: OnnxNode) -> Moved | None:
    """Move a node that works along an axis."""
    default = {"Concat": 1, "Split": 0}.get(node.op, -1)
    attributes = {**node.attributes, "axis": LAST[place_of(node.attr("axis", default), RANK)]}
    if node.op == "Concat":
        found = _elementwise(node)
        return found and found._replace(node=replace(found.node, attributes=attributes))
    if node.op != "Split" and node.opset < 13:  # they flatten the axes after theirs
        return None
    inputs = [_first(node.inputs[0]), *node.inputs[1:]]
    return Moved(replace(node, inputs=inputs, attributes=attributes), LAST)


def _reduction(node: OnnxNode) -> Moved | None:
    axes = [place_of(axis, RANK) for axis in node.listed("axes", 1, "the axes") or ()]
    if not axes:
        return None
    attributes = {**node.attributes, "axes": sorted(LAST[axis] for axis in axes)}
    kept = [LAST[axis] for axis in range(RANK) if node.attr("keepdims", 1) or axis not in axes]
    perm = tuple(sorted(kept).index(axis) for axis in kept)
    return Moved(replace(node, inputs=[_first(node.inputs[0])], attributes=attributes), perm)


def _pad(node: OnnxNode) -> Moved | None:
    pads = node.listed("pads", 1, "the padding")
    if pads is None or len(pads) != 2 * RANK or node.has(3):
        return None
    value = node.attr("value", 0.0) if "pads" in node.attributes else node.scalar(2, 0.0)
    turned = [pads[axis + side] for side in (0, RANK) for axis in FIRST]
    attributes = {**node.attributes, "pads": turned, "value": value}
    return Moved(replace(node, inputs=[_first(node.inputs[0])], attributes=attributes), LAST)


RULES: dict[str, Callable[[OnnxNode], Moved | None]] = {
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Mean", "PRelu"), _elementwise),
    **dict.fromkeys(("Clip", "Erf", "Greater", "Pow", "Where"), _elementwise),  # parts of activations
    **dict.fromkeys(("Concat", "Split", "Softmax", "LogSoftmax"), _along),
    **dict.fromkeys(("ReduceMean", "ReduceSum", "ReduceMax"), _reduction),
    "Pad": _pad,
}

BEFORE = ("Cast", "Identity", "Pad", *(op for op, rule in RULES.items() if rule is _elementwise))
"""Ops that can move behind the transpose of an input."""


def _first(given: Content | None) -> Content | None:
    """Return a map with channels last, or a constant that is aligned with one, with channels first."""
    if isinstance(given, GraphTensor):
        return transposed(given, FIRST)
    if not isinstance(given, ConstantArray) or given.array.size == 1:
        return given
    array = given.array.reshape((1,) * (RANK - given.array.ndim) + given.array.shape).transpose(FIRST)
    return ConstantArray(array, given.name, given.whole and max(array.shape) == array.size)


def transposes_first(graph: "onnx.GraphProto", name: str) -> bool:
    """Whether the graph transposes an input to channels first, and takes its shape, and does nothing else with it.

    Arithmetic with constants and pads may come before, as in files that normalise their pictures.
    """
    constants = {each.name for each in graph.initializer}
    computed = {each.name for each in graph.input} - constants
    names, found = {name}, False
    for node in graph.node:
        others = computed.intersection(node.input) - names
        if not computed.isdisjoint(node.input):
            computed.update(node.output)
        if names.isdisjoint(node.input):
            continue
        perm = next((tuple(each.ints) for each in node.attribute if each.name == "perm"), ())
        if node.op_type in BEFORE and not others:
            names.update(node.output)
        elif node.op_type == "Transpose" and perm == FIRST:
            found = True
        elif node.op_type != "Shape":
            return False
    return found and names.isdisjoint(each.name for each in graph.output)
