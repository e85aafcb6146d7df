"""Folds constant factors and sums after a batch norm into its weight and bias, as Caffe and Caffe2 write them.

y = f · (w · x̂ + b) + s is a batch norm with the weight f · w and the bias f · b + s, where x̂ is the normalised input
and f and s have one number for each channel. Takes a flat plain spec and its weights, by the keys of its state_dict.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cnnc.graph.graph import Graph, Node, Ref
from cnnc.graph.rebuild import rebuild
from cnnc.recover.flat import flat_with_paths
from cnnc.recover.structured import proved

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]


def fold_scales(
    spec: Mapping[str, Any], weights: "Mapping[str, Array]"
) -> "tuple[dict[str, Any], dict[str, Array], dict[str, str]]":
    """Return the spec without such factors and sums, its weights, and the nodes' names before by those they have now.

    A `scale`, or a `mul` or `add` with a `parameter`, is folded if it alone uses the batch norm, and the parameter.
    """
    graph, found = proved(spec), dict(weights)
    uses = Counter(ref for node in graph.nodes for ref in node.inputs)
    uses.update(each.ref for each in graph.outputs)
    moved: dict[Ref, Ref] = {}
    gone: set[str] = set()
    for node in graph.nodes:
        norm, constant = _folds(node, graph, moved, uses)
        if norm is None:
            continue
        key = f"{node.path}.weight" if constant is None else constant.path
        _fold(found, norm, node.op.name, found.pop(key))
        moved[Ref(node.path)] = Ref(norm.path)
        uses[Ref(norm.path)] = uses[Ref(node.path)]
        gone |= {node.path, *([constant.path] if constant else [])}
    kept = [
        replace(node, inputs=tuple(moved.get(ref, ref) for ref in node.inputs))
        for node in graph.nodes
        if node.path not in gone
    ]
    outputs = [replace(each, ref=moved.get(each.ref, each.ref)) for each in graph.outputs]
    listed = flat_with_paths(rebuild(graph, kept, outputs))
    names = {path: name for name, path in listed.paths.items()}
    owners = {key: _owner(key, names) for key in found}
    return (
        listed.spec,
        {names[path] + key[len(path) :]: found[key] for key, path in owners.items()},
        listed.paths,
    )


def _owner(key: str, names: Mapping[str, str]) -> str:
    return key if key in names else key.rpartition(".")[0]


def _folds(
    node: Node, graph: Graph, moved: Mapping[Ref, Ref], uses: Mapping[Ref, int]
) -> tuple[Node | None, Node | None]:
    """Return the batch norm that a node can be folded into, and the parameter that it combines with it."""
    inputs = [moved.get(ref, ref) for ref in node.inputs]
    makers = [graph.node.get(ref.node) for ref in inputs]
    norm = next((each for each in makers if each and each.op.name == "batch_norm"), None)
    if norm is None or norm.shares or uses[Ref(norm.path)] != 1 or not getattr(norm.op, "affine", True):
        return None, None
    if node.op.name == "scale" and node.shares is None:
        return norm, None
    constant = next((each for each in makers if each and each.op.name == "parameter"), None)
    if node.op.name not in ("mul", "add") or len(inputs) != 2 or constant is None or constant.shares:
        return None, None
    axes = len(norm.outputs[0].shape) - 1
    fits = constant.outputs[0].shape == (norm.outputs[0].channels, *[1] * axes)
    return (norm, constant) if fits and uses[Ref(constant.path)] == 1 else (None, None)


def _fold(weights: "dict[str, Array]", norm: Node, op: str, values: "Array") -> None:
    channels = values.reshape(-1)
    weight, bias = f"{norm.path}.weight", f"{norm.path}.bias"
    if op == "add":
        weights[bias] = weights[bias] + channels
    else:
        weights[weight], weights[bias] = weights[weight] * channels, weights[bias] * channels
