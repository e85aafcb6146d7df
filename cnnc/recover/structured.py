"""A network as a spec with groups, blocks and repetition.

Takes a flat spec or a proved graph, with the paths of its nodes if these have a hierarchy. The result is compiled and
compared with the network before it is returned; if it differs, a result with less structure takes its place.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from cnnc.diagnostics import CnncError, Diagnostic, Source
from cnnc.expand.prove import prove
from cnnc.graph.graph import Graph, Node, Ref
from cnnc.language.parse import parse
from cnnc.recover import header
from cnnc.recover.blocks import BlockFinder
from cnnc.recover.classes import class_layers, set_classes, with_params
from cnnc.recover.compare import difference
from cnnc.recover.flat import flat
from cnnc.recover.growing import with_growing
from cnnc.recover.joins import with_joins
from cnnc.recover.layout import body
from cnnc.recover.regions import by_structure
from cnnc.recover.rounds import with_rounds
from cnnc.recover.runs import repeat
from cnnc.recover.scopes import (
    Inexpressible,
    attach_activations,
    chains,
    mark_exact,
    names,
    number,
    scopes,
    share,
    unnumber,
)
from cnnc.recover.settle import settled
from cnnc.recover.tree import GROUP, TreeItem, grown
from cnnc.recover.words import name_parts
from cnnc.text.python_data import from_data
from cnnc.text.reader import parse_text

Plain = dict[str, Any]
Paths = Mapping[str, str]
Attempt = tuple[Plain, list[Node]]


@dataclass(frozen=True)
class Structured:
    """A spec with structure, its graph, and the path in it of each node of the network that it was made from.

    `faults` say why results with more structure were not the same network; there are none unless something is wrong.
    """

    spec: Plain
    graph: Graph
    paths: Paths
    faults: tuple[str, ...] = ()

    def keys(self, before: Graph, keys: Iterable[str]) -> dict[str, str]:
        """Return the keys of the state_dict by those of the network before."""
        owners = {node.keys: self.graph.node[self.paths[node.path]].keys for node in before.nodes}
        found = {}
        for key in keys:
            path = key
            while path and path not in owners:
                path = path.rpartition(".")[0]
            found[key] = owners[path] + key[len(path) :]
        return found


def structured(spec: Mapping[str, Any], paths: Paths | None = None, *, classes: bool = False) -> Structured:
    """Return a plain spec with structure.

    `classes`: whether the number of classes becomes a parameter, if it is evident.

    `paths` are the paths of its nodes, with dots, by their names in the spec: the scopes that they describe become
    groups and blocks, and the paths the keys of the state_dict. Without them, blocks are found by structure alone.
    """
    graph = proved(spec)
    if "outputs" not in spec:  # the output has no name but the path of its node, which may change: see `header.outputs`
        graph = replace(graph, outputs=tuple(each._replace(name=f".{each.name}") for each in graph.outputs))
    graph, outside, moved = with_growing(
        graph, {node.path: (paths or {}).get(node.path, node.path) for node in graph.nodes}
    )
    if not paths:
        return recovered(graph, classes=classes)
    named = with_rounds(graph, outside)
    possible = {path: ".".join(names(chain)) for path, chain in chains(grown(graph, named))}
    unnamed = (named.keys() - paths.keys()) | {*moved}
    return recovered(graph, with_joins(graph, possible, unnamed), classes=classes)


def proved(spec: Mapping[str, Any]) -> Graph:
    """Return the proved graph of a plain spec; raises CnncError if it is wrong."""
    return proved_from(from_data(spec))


def proved_from(source: Source) -> Graph:
    """Return the proved graph of the text of a spec; raises CnncError if it is wrong."""
    faults: list[Diagnostic] = []
    parsed = parse(source, parse_text(source), faults.append)
    graph = prove(parsed, {}, faults.append) if parsed is not None else None
    errors = [each for each in faults if each.severity == "error"]
    if errors or graph is None:
        raise CnncError(errors)
    return graph


def recovered(graph: Graph, paths: Paths | None = None, *, classes: bool = False) -> Structured:
    """Return a network as a spec with structure; for `paths` and `classes` see `structured`."""
    faults: list[str] = []
    layers = class_layers(graph) if classes else {}
    for spec, order in _attempts(graph, paths, layers):
        try:
            found = proved(spec)
        except CnncError as error:
            faults.append(str(error))
            continue
        fault = difference(graph, found, order)
        if fault is None:
            places = {ours.path: theirs.path for ours, theirs in zip(order, found.nodes, strict=True)}
            return Structured(spec, found, places, tuple(faults))
        faults.append(fault)
    raise AssertionError(f"a flat spec is the same network, but: {faults}")


def _attempts(graph: Graph, paths: Paths | None, layers: Mapping[str, int]) -> Iterator[Attempt]:
    """Yield specs of a network, each with the network's nodes in its order; the last is flat."""
    if paths is not None:
        yield _grouped(graph, paths, layers, blocks=True)
        yield _grouped(graph, paths, layers, blocks=False)
    else:
        yield _by_structure(graph, layers)
    yield flat(graph), [*graph.nodes]


def _grouped(graph: Graph, paths: Paths, layers: Mapping[str, int], *, blocks: bool) -> Attempt:
    """Return a spec with the groups that paths describe, and with blocks if some are equal."""
    while True:
        root = grown(graph, paths)
        attach_activations(root, graph)
        mark_exact(root)
        number(root)
        unnumber(root)
        try:
            shared = share(root, graph)
        except Inexpressible as error:
            paths = {**paths, error.node.path: error.path}
        else:
            break
    set_classes(root, layers)
    found = BlockFinder(graph)
    if blocks:
        _find_blocks(root, found, shared, free=False)
    return with_params(_written(graph, root, found.found), layers), [*root.nodes()]


def _by_structure(graph: Graph, layers: Mapping[str, int]) -> Attempt:
    """Return a spec with the blocks that the structure of a network shows."""
    root, uses = by_structure(graph)
    set_classes(root, layers)
    found = BlockFinder(graph, uses)
    _find_blocks(root, found, set(), free=True)
    name_parts(root)
    return with_params(_written(graph, root, found.found), layers), [*root.nodes()]


def _written(graph: Graph, root: TreeItem, blocks: Plain) -> Plain:
    inputs = {Ref(each.name): each.name for each in graph.inputs}
    inner = body(root.items, inputs, {each.ref for each in graph.outputs})
    definitions = {"blocks": settled(inner.nodes, blocks)} if blocks else {}
    outputs = header.outputs(graph, inner.spelt, inner.last)
    return {**header.before_nodes(graph), **definitions, "nodes": inner.nodes, **outputs}


def _find_blocks(root: TreeItem, found: BlockFinder, shared: set[int], *, free: bool) -> None:
    """Turn equal scopes into instances of blocks, the inner ones first.

    Siblings are compared together, though one of them may contain a scope that others lack. `free`: no path has to be
    kept, so more scopes may be made.
    """
    natural, levels = _levels(root)
    every = scopes(root)[:-1]  # before any of them becomes another's
    waiting: list[TreeItem] = []
    for height in range(max(natural.values(), default=-1) + 1):
        now = [scope for scope in every if natural[id(scope)] == height and id(scope) not in shared]
        for scope in now:
            repeat(scope, free=free)
        waiting += [scope for scope in now if scope.op == GROUP]
        due = {id(scope) for scope in waiting if levels.get(id(scope), 0) <= height}
        if free:
            more = found.without_sum([scope for scope in waiting if id(scope) in due], root)
            waiting += more
            due |= {id(scope) for scope in more}
        waiting = found.find(waiting, due)
    repeat(root, free=free)


def _levels(root: TreeItem) -> tuple[dict[int, int], dict[int, int]]:
    """Return the height of each scope, and the largest height of those that it is compared with.

    These are the scopes whose paths differ in numbers only, or its siblings of one kind if there are no paths.
    """
    natural: dict[int, int] = {}
    levels: dict[int, int] = {}
    for depth in reversed([*_by_depth(root)]):
        most: dict[object, int] = {}
        kinds = []
        for scope, around in depth:
            inner = (levels[id(item)] for item in scope.items if item.is_scope)
            natural[id(scope)] = 1 + max(inner, default=-1)
            kinds.append((id(around), scope.stem) if scope.stem else re.sub(r"\d+", "#", scope.path))
            most[kinds[-1]] = max(most.get(kinds[-1], 0), natural[id(scope)])
        levels |= {id(scope): most[kind] for (scope, _), kind in zip(depth, kinds, strict=True)}
    return natural, levels


def _by_depth(root: TreeItem) -> Iterator[list[tuple[TreeItem, TreeItem]]]:
    """Yield all scopes with the scopes around them, the outermost first."""
    found = [(root, root)]
    while found:
        yield found
        found = [(item, scope) for scope, _ in found for item in scope.items if item.is_scope]
