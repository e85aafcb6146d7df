"""Fold a batch norm into the convolution or linear layer before it, if the norm is the only user of its output.

Layers that share their weight are folded only if all of them have the same norm.

In inference, with the running mean m and variance v of each output channel,

    g (Wx + b - m) / sqrt(v + eps) + h  =  (s W) x + (s (b - m) + h),    s = g / sqrt(v + eps)

The arithmetic is in float64; the results are rounded once, to float32. The layer keeps its path and gets a bias.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from cnnc.graph.graph import Graph, Node, Ref
from cnnc.ops.base import Op
from cnnc.ops.conv import Conv
from cnnc.ops.linear import Linear
from cnnc.ops.norm import BatchNorm
from cnnc.passes.network import Network

if TYPE_CHECKING:
    from cnnc.passes.network import Array

LAYERS = (Conv, Linear)  # their weights have the output channels first


def fold_batch_norm(network: Network) -> Network:
    """Return the network with batch norms folded; those after any other op stay."""
    graph = network.graph
    layer_of = _alike(graph, _foldable(graph))
    source = {Ref(norm): Ref(layer) for norm, layer in layer_of.items()}
    folded = set(layer_of.values())
    eps = {node.path: node.op.eps for node in graph.nodes if isinstance(node.op, BatchNorm)}
    nodes = [
        replace(node, op=_biased(node) if node.path in folded else node.op, inputs=_through(source, node.inputs))
        for node in graph.nodes
        if node.path not in layer_of
    ]
    outputs = [each._replace(ref=source.get(each.ref, each.ref)) for each in graph.outputs]
    weights = dict(network.weights)
    for norm, layer in layer_of.items():
        weights |= _fold(network.weights, graph.node[layer].keys, graph.node[norm].keys, eps[norm])
    return network.with_nodes(nodes, outputs, weights, moved={layer: norm for norm, layer in source.items()})


def _foldable(graph: Graph) -> dict[str, str]:
    """Return, for each foldable batch norm, the layer that it is folded into."""
    users = Counter(ref for node in graph.nodes for ref in node.inputs)
    users.update(each.ref for each in graph.outputs)
    layers = {node.path for node in graph.nodes if _takes_a_factor(node.op) and users[Ref(node.path)] == 1}
    norms = (node for node in graph.nodes if type(node.op) is BatchNorm)
    return {node.path: node.inputs[0].node for node in norms if node.inputs[0].node in layers}


def _alike(graph: Graph, layer_of: dict[str, str]) -> dict[str, str]:
    """Return the pairs without those of layers that share their weight, unless all of them fold the same norm."""
    norm_of = {layer: graph.node[norm] for norm, layer in layer_of.items()}
    folds: dict[str, set[object]] = {}
    for node in graph.nodes:
        if _takes_a_factor(node.op):
            norm = norm_of.get(node.path)
            folds.setdefault(node.keys, set()).add((norm.keys, norm.op) if norm else None)
    return {norm: layer for norm, layer in layer_of.items() if len(folds[graph.node[layer].keys]) == 1}


def _takes_a_factor(op: Op) -> bool:
    """Whether a factor of the op's weight is one of its output: standardizing the weight would remove it."""
    return type(op) in LAYERS and not (isinstance(op, Conv) and op.standardize)


def _biased(node: Node) -> Op:
    return node.op.model_copy(update={"bias": True})


def _through(source: Mapping[Ref, Ref], refs: tuple[Ref, ...]) -> tuple[Ref, ...]:
    return tuple(source.get(ref, ref) for ref in refs)


def _fold(weights: "Mapping[str, Array]", layer: str, norm: str, eps: float) -> "dict[str, Array]":
    import numpy as np

    weight, mean, variance = (
        np.asarray(weights[key], np.float64)
        for key in (f"{layer}.weight", f"{norm}.running_mean", f"{norm}.running_var")
    )
    none, one = np.zeros_like(mean), np.ones_like(mean)  # for a layer without bias, or a norm that is not affine
    bias = np.asarray(weights.get(f"{layer}.bias", none), np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):  # verification rejects the result of such a variance
        scale = np.asarray(weights.get(f"{norm}.weight", one), np.float64) / np.sqrt(variance + eps)
    shifted = scale * (bias - mean) + np.asarray(weights.get(f"{norm}.bias", none), np.float64)
    scaled = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
    return {f"{layer}.weight": scaled.astype(np.float32), f"{layer}.bias": shifted.astype(np.float32)}
