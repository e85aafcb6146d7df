"""Drop the outputs of training, such as GoogLeNet's auxiliary heads, and every node that only they need.

A node stays where some path leads from it to an output that stays; all others compute what nobody sees.
"""

from cnnc.graph.graph import Graph, Node
from cnnc.passes.network import Network


def drop_train_only(network: Network) -> Network:
    """The network that exports hold."""
    outputs = [each for each in network.graph.outputs if not each.train_only]
    return network.with_nodes(_needed(network.graph, {each.ref.node for each in outputs}), outputs)


def _needed(graph: Graph, wanted: set[str]) -> list[Node]:
    kept = []
    for node in reversed(graph.nodes):
        if node.path in wanted:
            kept.append(node)
            wanted.update(ref.node for ref in node.inputs)
    return kept[::-1]
