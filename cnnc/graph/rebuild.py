"""Rebuild a graph after a rewrite, inferring its types again.

Takes a proved graph and the rewritten nodes (in topological order) and outputs; returns a graph with types and costs
computed again. The rewrite must be valid: a Refusal raised here is a bug in the compiler.
"""

from collections.abc import Iterable
from dataclasses import replace

from cnnc.graph.graph import Graph, Node, Output, Ref
from cnnc.ops.types import TensorType


def rebuild(graph: Graph, nodes: Iterable[Node], outputs: Iterable[Output] | None = None) -> Graph:
    """Return `graph` with these nodes and outputs, without scopes and inputs that lost their last user."""
    types = {Ref(each.name): each.type for each in graph.inputs}
    nodes = tuple(nodes)
    owned = {node.path for node in nodes}
    proved = tuple(_prove(node, types, owned) for node in nodes)
    outputs = graph.outputs if outputs is None else tuple(outputs)
    used = _used(proved, outputs)
    lost = _used(graph.nodes, graph.outputs) - used
    rest = replace(
        graph,
        nodes=proved,
        outputs=outputs,
        boundaries={},
        inputs=tuple(each for each in graph.inputs if Ref(each.name) not in lost),
    )
    alive = {path for node in proved for path in rest.scopes_of(node.path)}
    return replace(rest, scopes={path: block for path, block in graph.scopes.items() if path in alive})


def _used(nodes: Iterable[Node], outputs: Iterable[Output]) -> set[Ref]:
    return {ref for node in nodes for ref in node.inputs} | {each.ref for each in outputs}


def _prove(node: Node, types: dict[Ref, TensorType], owned: set[str]) -> Node:
    """Return the node with its types and cost; of parameters whose own node is gone, the first user counts them."""
    inputs = tuple(types[ref] for ref in node.inputs)
    inferred = node.op.infer(*inputs)
    outputs = inferred if isinstance(inferred, tuple) else (inferred,)
    types.update((Ref(node.path, port), type) for port, type in enumerate(outputs))
    cost = node.op.cost(*inputs)
    counted = node.shares is not None and node.shares in owned
    owned.add(node.keys)
    return replace(node, outputs=outputs, cost=cost.shared if counted else cost)
