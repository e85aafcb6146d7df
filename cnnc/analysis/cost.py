"""The cost of a network: parameters, running statistics, MACs, and activation memory.

MACs are the multiply-adds of conv and linear only. All figures are per sample (batch 1), memory in float32. Parameters
are those of the whole module; MACs and memory are those of inference, without nodes that only `only: train` outputs
need.
"""

from collections.abc import Iterable
from typing import NamedTuple

from cnnc.graph.graph import Graph, Node, Ref
from cnnc.ops.types import TensorType

FLOAT = 4


class Totals(NamedTuple):
    """The totals of a network; None if they depend on an unknown height or width."""

    params: int
    buffers: int
    macs: int | None
    activation_bytes: int | None


def totals(graph: Graph) -> Totals:
    """Return the totals over all nodes of a graph; cached."""
    return graph.derived(_totals)


def _totals(graph: Graph) -> Totals:
    deployed = inference_nodes(graph)
    macs = [node.cost.macs for node in deployed]
    return Totals(
        params=sum(node.cost.params for node in graph.nodes),
        buffers=sum(node.cost.buffers for node in graph.nodes),
        macs=None if None in macs else sum(each for each in macs if each is not None),
        activation_bytes=activation_bytes(graph),
    )


def activation_bytes(graph: Graph) -> int | None:
    """Return the peak of live activations when nodes run in order; None if a size is open."""
    alive = alive_bytes(graph)
    start = bytes_of(each.type for each in graph.inputs)
    return None if alive is None or start is None else max([start, *alive.values()])


def alive_bytes(graph: Graph) -> dict[str, int] | None:
    """Return, by path, the bytes of the values that are alive while each node runs; None if a size is open.

    A value lives from its node to its last use. While a node runs, its inputs and outputs are both alive; the network's
    outputs live to the end.
    """
    nodes = inference_nodes(graph)
    last_use = {ref: index for index, node in enumerate(nodes) for ref in node.inputs}
    last_use.update({each.ref: len(nodes) for each in graph.outputs if not each.train_only})
    sizes: dict[Ref, int] = {}
    for ref in [*(Ref(each.name) for each in graph.inputs), *values(nodes)]:
        elements = graph.type_of(ref).elements
        if elements is None:
            return None
        sizes[ref] = elements * FLOAT
    alive = sum(sizes[Ref(each.name)] for each in graph.inputs)
    found = {}
    for index, node in enumerate(nodes):
        made = [Ref(node.path, port) for port in range(len(node.outputs))]
        alive += sum(sizes[ref] for ref in made)
        found[node.path] = alive
        alive -= sum(sizes[ref] for ref in {*node.inputs, *made} if last_use.get(ref, index) == index)
    return found


def bytes_of(types: Iterable[TensorType], each: int = FLOAT) -> int | None:
    """Return the bytes per sample of values of these types, at `each` bytes an element; None if a size is open."""
    sizes = [type.elements for type in types]
    return None if None in sizes else sum(size or 0 for size in sizes) * each


def inference_nodes(graph: Graph) -> list[Node]:
    """Return the nodes that inference runs, in order: those that an output needs that is not train-only."""
    if not any(each.train_only for each in graph.outputs):
        return list(graph.nodes)
    needed = graph.needed(each for each in graph.outputs if not each.train_only)
    return [node for node in graph.nodes if node.path in needed]


def values(nodes: list[Node]) -> list[Ref]:
    """Return every output value of the nodes, in order."""
    return [Ref(node.path, port) for node in nodes for port in range(len(node.outputs))]
