"""The layers that weights belong to, on both sides of a map: tensors that share a name up to its last part.

In: the keys and shapes of a state_dict, or a graph. Out: `Layer`s in their order, each with its tensors by what they
are to it: `weight`, `bias`, `running_mean`, `running_var`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from cnnc.graph.graph import Graph

Shape = tuple[int, ...]

COUNTER = "num_batches_tracked"
ROLES = {"gamma": "weight", "beta": "bias", "layer_scale": "weight"}  # what others call it
KNOWN = ("weight", "bias", "running_mean", "running_var", COUNTER)


@dataclass(frozen=True)
class Layer:
    """A layer with weights: the keys and shapes of its tensors by role."""

    name: str
    keys: Mapping[str, str]
    shapes: Mapping[str, Shape]

    @cached_property
    def kind(self) -> "Kind":
        """What its tensors are; layers of equal kind could hold each other's weights."""
        return tuple(sorted((role, squeezed(shape)) for role, shape in self.shapes.items() if role != COUNTER))


Kind = tuple[tuple[str, Shape], ...]


def squeezed(shape: Shape) -> Shape:
    """A shape without its ones: a fully connected layer is a convolution of size 1."""
    return tuple(size for size in shape if size != 1)


def layers(shapes: Mapping[str, Shape]) -> list[Layer]:
    """The layers of a state_dict, in the order of their first tensors."""
    named: dict[str, dict[str, str]] = {}
    for key in shapes:
        name, _, role = key.rpartition(".")
        named.setdefault(name, {})[role] = key
    return [_layer(name, keys, shapes) for name, keys in named.items()]


def _layer(name: str, keys: Mapping[str, str], shapes: Mapping[str, Shape]) -> Layer:
    roles = {ROLES[role] if role in ROLES and ROLES[role] not in keys else role: key for role, key in keys.items()}
    return Layer(name, roles, {role: shapes[key] for role, key in roles.items()})


def layers_of(graph: Graph, shapes: Mapping[str, Shape]) -> list[Layer]:
    """The layers of a network whose state_dict has these shapes, in the order of the graph."""
    found = {each.name: each for each in layers(shapes)}
    return [found[node.path] for node in graph.nodes if node.path in found]


def ancestors(graph: Graph, layers: Iterable[Layer]) -> dict[str, int]:
    """Of each layer those that it depends on: bit `i` stands for the layer at place `i`."""
    bits = {each.name: 1 << index for index, each in enumerate(layers)}
    seen: dict[str, int] = {}
    for node in graph.nodes:
        seen[node.path] = 0
        for ref in node.inputs:
            seen[node.path] |= seen.get(ref.node, 0) | bits.get(ref.node, 0)
    return {name: seen[name] for name in bits}
