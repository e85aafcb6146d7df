"""Keep onnxruntime from moving the zeros that a `pad` adds into the pool behind it: they become -0.0.

Its PadFusion folds a Pad of zeros into a MaxPool, for which padding is minus infinity, and gets other numbers wherever
a window sees no more than zeros and what is below; into a pool whose kernel is no larger than the padding, and then
refuses the model. It looks at the bytes of the value, and -0.0 is none of its zeros; what the pool computes is the same
number. Before a convolution, where moving the zeros is right and saves time, they stay.
"""

from dataclasses import replace

from cnnc.graph.graph import Ref
from cnnc.ops.pool import AdaptiveAvgPool, AvgPool, MaxPool
from cnnc.ops.shape import Pad
from cnnc.passes.network import Network

POOLS = (MaxPool, AvgPool, AdaptiveAvgPool)


def shield_pads(network: Network) -> Network:
    """The network with a value of -0.0 in each `pad` of zeros that a pool takes."""
    pooled = {ref for node in network.graph.nodes if isinstance(node.op, POOLS) for ref in node.inputs}
    nodes = [
        replace(node, op=node.op.model_copy(update={"value": -0.0}))
        if isinstance(node.op, Pad) and node.op.mode == "constant" and not node.op.value and Ref(node.path) in pooled
        else node
        for node in network.graph.nodes
    ]
    return network.with_nodes(nodes)
