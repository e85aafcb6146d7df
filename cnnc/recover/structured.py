"""A network as a spec with groups, blocks and repetition.

Takes a flat spec or a proved graph, with the paths of its nodes if these have a hierarchy. The result is compiled and
compared with the network before it is returned; if it differs, a result with less structure takes its place.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from cnnc.diagnostics import CnncError
from cnnc.expand.prove import prove
from cnnc.graph.graph import Graph, Node, Ref
from cnnc.language.parse import parse
from cnnc.recover import header
from cnnc.recover.blocks import Blocks
from cnnc.recover.compare import difference
from cnnc.recover.flat import flat
from cnnc.recover.layout import body
from cnnc.recover.runs import repeat
from cnnc.recover.scopes import Inexpressible, attach_activations, mark_exact, number, scopes, share
from cnnc.recover.tree import GROUP, Item, grown
from cnnc.text.python_data import from_data
from cnnc.text.reader import parse_text

Plain = dict[str, Any]


class Structured(NamedTuple):
    """A spec with structure, and the keys of its state_dict by those of the network that it was made from."""

    spec: Plain
    paths: dict[str, str]


def graph_of(spec: Mapping[str, Any]) -> Graph:
    """Return the proved graph of a plain spec; raises CnncError if it is wrong."""
    faults: list[Any] = []
    source = from_data(spec)
    parsed = parse(source, parse_text(source), faults.append)
    graph = prove(parsed, {}, faults.append) if parsed is not None else None
    errors = [each for each in faults if each.severity == "error"]
    if errors or graph is None:
        raise CnncError(errors)
    return graph


def structured(graph: Graph, paths: Mapping[str, str] | None = None) -> Structured:
    paths = paths or {node.path: node.path for node in graph.nodes}
    attempts: tuple[Callable[[], tuple[Plain, list[Node]]], ...] = (
        lambda: _grouped(graph, paths, blocks=True),
        lambda: _grouped(graph, paths, blocks=False),
        lambda: (flat(graph), [*graph.nodes]),
    )
    for attempt in attempts:
        try:
            spec, order = attempt()
            found = graph_of(spec)
        except (Inexpressible, CnncError) as e:
            print("FAILED", repr(e)[:2000])
            continue
        if (d:=difference(graph, found, order)) is None:
            return Structured(spec, {ours.path: theirs.path for ours, theirs in zip(order, found.nodes, strict=True)})
        print("DIFF", d)
    raise AssertionError("a flat spec is the same network")


def _grouped(graph: Graph, paths: Mapping[str, str], *, blocks: bool) -> tuple[Plain, list[Node]]:
    root = grown(graph, paths)
    attach_activations(root, graph)
    mark_exact(root)
    number(root)
    shared = share(root, graph)
    found = Blocks(graph)
    if blocks:
        _find_blocks(root, found, shared)
        repeat(root, free=False)
    inner = body(root.items, {Ref(each.name): each.name for each in graph.inputs}, {each.ref for each in graph.outputs})
    definitions = {"blocks": found.found} if found.found else {}
    spec = {**header.before_nodes(graph), **definitions, "nodes": inner.nodes, **header.outputs(graph, inner.spelt, inner.last)}
    return spec, [*root.nodes()]


def _find_blocks(root: Item, found: Blocks, shared: set[int]) -> None:
    """Turn equal scopes into instances of blocks, the inner ones first.

    Siblings are compared together, though one of them may contain a scope that others lack.
    """
    natural, levels = _levels(root)
    every = scopes(root)[:-1]  # before any of them becomes another's
    waiting: list[Item] = []
    for height in range(max(natural.values(), default=-1) + 1):
        now = [scope for scope in every if natural[id(scope)] == height and id(scope) not in shared]
        for scope in now:
            repeat(scope, free=False)
        waiting += [scope for scope in now if scope.op == GROUP]
        waiting = found.find(waiting, lambda scope, height=height: levels[id(scope)] <= height)


def _levels(root: Item) -> tuple[dict[int, int], dict[int, int]]:
    """Return the height of each scope, and the largest height of its siblings with names that differ in numbers."""
    natural: dict[int, int] = {}
    levels: dict[int, int] = {}
    for scope in scopes(root):
        inner = [item for item in scope.items if item.is_scope]
        most: dict[str, int] = {}
        for item in inner:
            stem = re.sub(r"\d+", "", item.name or "")
            most[stem] = max(most.get(stem, 0), natural[id(item)])
        for item in inner:
            levels[id(item)] = most[re.sub(r"\d+", "", item.name or "")]
        natural[id(scope)] = 1 + max((levels[id(item)] for item in inner), default=-1)
    return natural, levels
