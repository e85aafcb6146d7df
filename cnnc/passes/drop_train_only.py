"""Drop train-only outputs, such as GoogLeNet's auxiliary heads, and every node that only they need.

A node stays if a remaining output depends on it.
"""

from cnnc.passes.network import Network


def drop_train_only(network: Network) -> Network:
    """Return the network that exports contain."""
    outputs = [each for each in network.graph.outputs if not each.train_only]
    needed = network.graph.needed(outputs)
    return network.with_nodes([node for node in network.graph.nodes if node.path in needed], outputs)
