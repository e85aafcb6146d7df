"""What a network costs: parameters, running statistics, MACs, and the memory of its activations.

MACs are the multiply-adds of conv and linear alone; all figures are per sample (batch 1), memory in float32.
"""

from dataclasses import dataclass

from cnnc.graph.graph import Graph, Ref

FLOAT = 4


@dataclass(frozen=True, slots=True)
class Totals:
    """The sums over a network; None where an unknown height or width leaves them open."""

    params: int
    buffers: int
    macs: int | None
    activation_bytes: int | None


def totals(graph: Graph) -> Totals:
    """The sums over all nodes of a graph."""
    macs = [node.cost.macs for node in graph.nodes]
    return Totals(
        params=sum(node.cost.params for node in graph.nodes),
        buffers=sum(node.cost.buffers for node in graph.nodes),
        macs=None if None in macs else sum(each for each in macs if each is not None),
        activation_bytes=activation_bytes(graph),
    )


def activation_bytes(graph: Graph) -> int | None:
    """The most that is alive at once, visiting nodes in order: a value lives from its node to its last use.

    While a node runs, its inputs and outputs are both alive; the network's outputs live to the end.
    """
    last_use = {ref: index for index, node in enumerate(graph.nodes) for ref in node.inputs}
    last_use.update({each.ref: len(graph.nodes) for each in graph.outputs})
    sizes: dict[Ref, int] = {}
    for ref in [*(Ref(each.name) for each in graph.inputs), *values(graph)]:
        elements = graph.type_of(ref).elements
        if elements is None:
            return None
        sizes[ref] = elements * FLOAT
    alive = most = sum(sizes[Ref(each.name)] for each in graph.inputs)
    for index, node in enumerate(graph.nodes):
        made = [Ref(node.path, port) for port in range(len(node.outputs))]
        alive += sum(sizes[ref] for ref in made)
        most = max(most, alive)
        alive -= sum(sizes[ref] for ref in {*node.inputs, *made} if last_use.get(ref, index) == index)
    return most


def values(graph: Graph) -> list[Ref]:
    """Every value that a node makes, in order."""
    return [Ref(node.path, port) for node in graph.nodes for port in range(len(node.outputs))]
