"""Drop nodes that do nothing in inference: identity, dropout and drop path.

Dropout keeps an element with probability 1 - p and divides it by 1 - p, but only in training. In inference f(x) = x, so
every use of f(x) can use x.
"""

from dataclasses import replace

from cnnc.graph.graph import Ref
from cnnc.passes.network import Network


def drop_identities(network: Network) -> Network:
    """Return the network without its identities; outputs keep their names."""
    source: dict[Ref, Ref] = {}
    nodes = []
    for node in network.graph.nodes:
        inputs = tuple(source.get(ref, ref) for ref in node.inputs)
        if node.op.gives == "input":
            source[Ref(node.path)] = inputs[0]
        else:
            nodes.append(replace(node, inputs=inputs))
    outputs = [each._replace(ref=source.get(each.ref, each.ref)) for each in network.graph.outputs]
    return network.with_nodes(nodes, outputs)
