"""Keep onnxruntime from fusing a `pad` of zeros into the pool after it, by padding with -0.0 instead.

onnxruntime's PadFusion folds a Pad of zeros into a MaxPool, whose padding is minus infinity, so results differ in every
window without a positive number. It also folds into a pool whose kernel is no larger than the padding, and then rejects
the model. It compares the bytes of the value, and -0.0 does not count as zero; the pool computes the same numbers.
Before a convolution, where the fusion is correct and saves time, the zeros stay.
"""

from dataclasses import replace

from cnnc.graph.graph import Ref
from cnnc.ops.adaptive_pool import AdaptiveAvgPool
from cnnc.ops.avg_pool import AvgPool
from cnnc.ops.move import Pad
from cnnc.ops.pool import MaxPool
from cnnc.passes.network import Network

POOLS = (MaxPool, AvgPool, AdaptiveAvgPool)


def shield_pads(network: Network) -> Network:
    """Return the network with the value -0.0 in each `pad` of zeros that a pool takes."""
    pooled = {ref for node in network.graph.nodes if isinstance(node.op, POOLS) for ref in node.inputs}
    nodes = [
        replace(node, op=node.op.model_copy(update={"value": -0.0}))
        if isinstance(node.op, Pad) and node.op.mode == "constant" and not node.op.value and Ref(node.path) in pooled
        else node
        for node in network.graph.nodes
    ]
    return network.with_nodes(nodes)
