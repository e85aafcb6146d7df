"""Sums and concatenations beside the scopes that they close: `concat` of a scope's input and its output.

Files of Caffe2 name the layers of a dense layer or a residual block, but not the node that joins them with their input.
Takes a graph and the paths of its nodes; returns paths in which such nodes are in the scopes before them.
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from cnnc.graph.graph import Graph, Node, Ref
from cnnc.ops.activation_names import ACTIVATIONS
from cnnc.recover.scopes import users

FEWEST = 2  # scopes of a kind that are closed alike
JOINS = ("add", "concat", "mul")
Paths = Mapping[str, str]


@dataclass
class _Scope:
    """The values that a scope takes, those that it gives, and how often other nodes use the latter."""

    takes: set[Ref]
    gives: Counter[Ref]


def with_joins(graph: Graph, paths: Paths, unnamed: Collection[str]) -> Paths:
    """Return paths with the unnamed joins, and the activations after them, in the scopes that they close."""
    scopes, taken = _scopes(graph, paths), {*paths.values()}
    closing: dict[str, str] = {}
    for node in graph.nodes:
        scope = _closes(node, paths, scopes) if node.op.name in JOINS and node.path in unnamed else None
        if scope and f"{scope}.{node.op.name}" not in taken:
            closing[node.path] = scope
    kinds = Counter(_kind(graph.node[path], scope) for path, scope in closing.items())
    closing = {path: scope for path, scope in closing.items() if kinds[_kind(graph.node[path], scope)] >= FEWEST}
    uses = users(graph)
    for node in graph.nodes:
        if node.path in unnamed and node.op.name in ACTIVATIONS and uses[node.inputs[0]] == 1:
            scope = closing.get(node.inputs[0].node)
            if scope and _parent(scope) == _parent(paths[node.path]) and f"{scope}.{node.op.name}" not in taken:
                closing[node.path] = scope
    return {**paths, **{path: f"{scope}.{graph.node[path].op.name}" for path, scope in closing.items()}}


def _parent(path: str) -> str:
    return path.rpartition(".")[0]


def _kind(node: Node, scope: str) -> tuple[str, str]:
    return node.op.name, re.sub(r"\d+", "#", scope)


def _scopes(graph: Graph, paths: Paths) -> dict[str, _Scope]:
    """Return the values at the borders of each scope."""
    found: dict[str, _Scope] = {}
    for node in graph.nodes:
        ours = _around(paths[node.path])
        for scope in ours:
            found.setdefault(scope, _Scope(set(), Counter()))
        for ref in node.inputs:
            theirs = _around(paths[ref.node]) if ref.node in paths else []
            for scope in ours:
                if scope not in theirs:
                    found[scope].takes.add(ref)
            for scope in theirs:
                if scope not in ours:
                    found[scope].gives[ref] += 1
    for output in graph.outputs:
        for scope in _around(paths[output.ref.node]):
            found[scope].gives[output.ref] += 1
    return found


def _around(path: str) -> list[str]:
    """Return the paths of the scopes around a node."""
    return [path[:at] for at, letter in enumerate(path) if letter == "."]


def _closes(node: Node, paths: Paths, scopes: Mapping[str, _Scope]) -> str | None:
    """Return the scope beside a node whose only output it alone takes, together with the only input of the scope."""
    around = _parent(paths[node.path])
    for ref in node.inputs:
        for scope in _around(paths.get(ref.node, "")):
            known = scopes[scope]
            if _parent(scope) == around and known.gives == {ref: 1} and {*node.inputs} == {ref, *known.takes}:
                return scope if len(known.takes) == 1 else None
    return None
