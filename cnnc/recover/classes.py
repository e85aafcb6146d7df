"""The number of classes as a parameter of a recovered spec, so that `--set classes=5` changes it.

Takes a proved graph; finds the layers whose width is the number of classes, because each of their channels is the score
of a class in an output.
"""

from collections.abc import Collection, Mapping
from typing import Any

from cnnc.graph.graph import Graph, Node, Ref
from cnnc.graph.output_kinds import class_count
from cnnc.recover.scopes import scopes
from cnnc.recover.tree import TreeItem
from cnnc.recover.words import CLASSES

KEEPS = frozenset({"softmax", "log_softmax", "sigmoid", "relu", "flatten", "global_avg_pool", "dropout", "identity"})
"""Ops after the last layer that keep a class at its position."""


def class_layers(graph: Graph) -> dict[str, int]:
    """Return the paths of the layers that give the scores of all outputs, with the number of classes; empty if unclear.

    All outputs must have one score per class, for the same number of classes, from layers with parameters of their own.
    """
    names = {each.name for each in graph.inputs} | {part for node in graph.nodes for part in node.path.split(".")}
    if CLASSES in names or not all(graph.kind_of(each) in ("classes", "probabilities") for each in graph.outputs):
        return {}
    counts = {class_count(graph.kind_of(each), graph.type_of(each.ref).shape) for each in graph.outputs}
    layers = [_layer(graph, each.ref) for each in graph.outputs]
    shared = {node.shares for node in graph.nodes}
    [count] = counts if len(counts) == 1 else [None]
    found = {node.path: count for node in layers if node is not None and count is not None and count > 1}
    right = all(node and getattr(node.op, "out", None) == count and node.path not in shared for node in layers)
    return found if right else {}


def _layer(graph: Graph, ref: Ref) -> Node | None:
    """Return the layer whose channels are those of a value."""
    node = graph.node.get(ref.node)
    while node is not None and node.op.name in KEEPS:
        node = graph.node.get(node.inputs[0].node)
    plain = node is not None and node.shares is None and getattr(node.op, "groups", 1) == 1
    return node if node and plain and node.op.name in ("linear", "conv") else None


def set_classes(root: TreeItem, layers: Collection[str]) -> None:
    """Write the width of these layers as the parameter."""
    for item in (item for scope in scopes(root) for item in scope.items if not item.is_scope):
        if any(node.path in layers for node in item.nodes()):
            item.attributes["out"] = f"${CLASSES}"


def parametrized(spec: Mapping[str, Any], graph: Graph) -> dict[str, Any]:
    """Return a flat spec with the number of classes as a parameter."""
    layers = class_layers(graph)
    nodes = [_with_classes(node) if _name(node) in layers else node for node in spec["nodes"]]
    return {**with_params(spec, layers), "nodes": nodes}


def _name(node: Any) -> Any:
    return next(iter(node.values())).get("name") if isinstance(node, dict) else None


def _with_classes(node: Mapping[str, Any]) -> dict[str, Any]:
    return {op: {**attributes, "out": f"${CLASSES}"} for op, attributes in node.items()}


def with_params(spec: Mapping[str, Any], layers: Mapping[str, int]) -> dict[str, Any]:
    """Return a spec with the parameter, if there are such layers, before its inputs."""
    at = next(at for at, key in enumerate(spec) if key in ("input", "inputs"))
    params = {"params": {CLASSES: next(iter(layers.values()))}} if layers else {}
    items = [*spec.items()]
    return {**dict(items[:at]), **params, **dict(items[at:])}
