"""Drop the outputs of training, such as GoogLeNet's auxiliary heads, and every node that only they need.

A node stays where some path leads from it to an output that stays; all others compute what nobody sees.
"""

from cnnc.passes.network import Network


def drop_train_only(network: Network) -> Network:
    """The network that exports hold."""
    outputs = [each for each in network.graph.outputs if not each.train_only]
    needed = network.graph.needed(outputs)
    return network.with_nodes([node for node in network.graph.nodes if node.path in needed], outputs)
