"""Group weights into layers: tensors whose names differ only in the last part.

Takes the keys and shapes of a state_dict, or a graph; returns `Layer`s in order, each with its tensors by role:
`weight`, `bias`, `running_mean`, `running_var`. Keys may be those of other frameworks, such as `conv1/kernel:0`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import or_

from cnnc.graph.graph import Graph

Shape = tuple[int, ...]

COUNTER = "num_batches_tracked"
ROLES = {  # names that other frameworks use
    **dict.fromkeys(("gamma", "layer_scale", "kernel", "depthwise_kernel", "pointwise_kernel"), "weight"),
    "beta": "bias",
    "moving_mean": "running_mean",
    **dict.fromkeys(("moving_variance", "moving_var"), "running_var"),
}
SEPARABLE = ("depthwise_kernel", "pointwise_kernel")  # of one layer in Keras, of two in torch
KNOWN = ("weight", "bias", "running_mean", "running_var", COUNTER)


def counts_batches(key: str, shape: Sequence[int]) -> bool:
    """Return whether a tensor is a batch norm's counter, not the tensor of a `parameter` of that name."""
    return key.rpartition(".")[2] == COUNTER and not shape


@dataclass(frozen=True)
class Layer:
    """A layer with weights: the keys and shapes of its tensors by role."""

    name: str
    keys: Mapping[str, str]
    shapes: Mapping[str, Shape]

    @cached_property
    def kind(self) -> "Kind":
        """The roles and shapes of its tensors; layers of equal kind can hold each other's weights."""
        return tuple(sorted((role, squeezed(shape)) for role, shape in self.shapes.items() if role != COUNTER))


Kind = tuple[tuple[str, Shape], ...]


def squeezed(shape: Shape) -> Shape:
    """Return a shape without its ones, so that a linear layer equals a convolution with kernel 1."""
    return tuple(size for size in shape if size != 1)


def layers(shapes: Mapping[str, Shape]) -> list[Layer]:
    """Return the layers of a state_dict, in the order of their first tensors."""
    named: dict[str, dict[str, str]] = {}
    for key in shapes:
        name, role = split(key)
        parent, _, part = name.rpartition(".")
        if part == "out_proj" and f"{parent}.in_proj_weight" in shapes:  # of torch's attention
            name, role = parent, f"{part}.{role}"
        named.setdefault(name, {})[role] = key
    return [_layer(each, roles, shapes) for name, keys in named.items() for each, roles in _separated(name, keys)]


def split(key: str) -> tuple[str, str]:
    """Return the name of a tensor's layer, and its role there."""
    *around, role = re.split(r"[./](?=[^./]*$)", re.sub(r":\d+$", "", key))
    return "".join(around), role


def _separated(name: str, keys: Mapping[str, str]) -> list[tuple[str, Mapping[str, str]]]:
    """Return the depthwise and the pointwise part of Keras' separable convolution; other layers are not divided."""
    if not all(role in keys for role in SEPARABLE):
        return [(name, keys)]
    first, *_ = SEPARABLE
    rest = {role: key for role, key in keys.items() if role != first}
    return [(f"{name}/depthwise", {first: keys[first]}), (f"{name}/pointwise", rest)]


def _layer(name: str, keys: Mapping[str, str], shapes: Mapping[str, Shape]) -> Layer:
    roles = {ROLES[role] if role in ROLES and ROLES[role] not in keys else role: key for role, key in keys.items()}
    return Layer(name, roles, {role: shapes[key] for role, key in roles.items()})


def layers_of(graph: Graph, shapes: Mapping[str, Shape]) -> list[Layer]:
    """Return the layers of a network whose state_dict has these shapes, in the order of the graph."""
    found = {each.name: each for each in layers(shapes)}
    return [found[path] for path in dict.fromkeys(node.keys for node in graph.nodes) if path in found]


def ancestors(graph: Graph, layers: Iterable[Layer]) -> dict[str, int]:
    """Return, for each layer, a bit set of the layers that it depends on: bit `i` is the layer at index `i`.

    Of a layer that several nodes share, the first node counts.
    """
    bits = {each.name: 1 << index for index, each in enumerate(layers)}
    seen, first = dict[str, int](), dict[str, int]()
    for node in graph.nodes:
        before = [graph.node[ref.node] for ref in node.inputs if ref.node in graph.node]
        seen[node.path] = reduce(or_, (seen[each.path] | bits.get(each.keys, 0) for each in before), 0)
        first.setdefault(node.keys, seen[node.path])
    return {name: first[name] for name in bits}
