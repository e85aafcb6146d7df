"""Sum the events of onnxruntime's profile by the blocks of a spec.

Takes the events of nodes (name, op, microseconds) and the file's nodes; returns a `BlockTime` for each block. An event
has the name of a node after onnxruntime's optimizations: nodes with another layout of memory end in `_nchwc`, and a
node fused from several has the name of the last one, which is an activation. Both are undone. Other events, such as
conversions between layouts, have rows of their own, so that the rows add up to the whole run.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from cnnc.files.onnx_graph import GraphNode, read_structure
from cnnc.inference.benchmark.results import BlockTime, Configuration, Macs

KERNEL = "_kernel_time"
_ADDED = re.compile(r"_(?:nchwc|nhwc|token_\d+|quant)$")
_PREFIXES = re.compile(r"^(?:Fused|QLinear|DynamicQuantize|Nhwc)")
_LIKE = {"MatMulInteger": "MatMul", "QGemm": "Gemm"}
_BETWEEN = "between the nodes"


def blocks(about: Configuration, macs: Macs, answer: Mapping[str, Any], depth: int | None) -> list[BlockTime]:
    """Return the time of each block of a configuration's file in one run, in the order of the file.

    `answer` holds the events of several runs, and the microseconds of all of them. `depth` folds deeper blocks.
    """
    nodes = read_structure(about.model).nodes
    ours = about.ours
    names = assigned(nodes, [(name, op) for name, op, _ in answer["nodes"]])
    fold = partial(folded, depth=depth, separator="." if ours or not any("/" in each.name for each in nodes) else "/")
    times: dict[tuple[str, bool], float] = dict.fromkeys(
        ((fold(path_of(each.name, ours=ours)), True) for each in nodes), 0.0
    )
    for (_, op, microseconds), node in zip(answer["nodes"], names, strict=True):
        key = (f"{op}, added by onnxruntime", False) if node is None else (fold(path_of(node, ours=ours)), True)
        times[key] = times.get(key, 0.0) + microseconds
    times[_BETWEEN, False] = max(0.0, answer["microseconds"] - sum(times.values()))
    costs = Counter[str]()
    for path, each in macs.by_path.items():
        costs[fold(path)] += each
    return list(_rows(times, answer, costs))


def _rows(
    times: Mapping[tuple[str, bool], float], answer: Mapping[str, Any], macs: Mapping[str, int]
) -> Iterator[BlockTime]:
    whole = sum(times.values()) or 1.0
    for (path, in_file), each in times.items():
        if each:
            cost = macs.get(path) if in_file else None
            yield BlockTime(path, each / answer["runs"] / 1000, each / whole, cost, in_file)


def path_of(name: str, *, ours: bool) -> str:
    """Return the path of a node: in files of cnnc, helpers of a spec's node are named PATH/OP."""
    return name.partition("/")[0] if ours else name.strip("/")


def folded(path: str, depth: int | None, separator: str) -> str:
    """Return the first `depth` names of a path."""
    return path if depth is None else separator.join(path.split(separator)[:depth])


def assigned(nodes: Sequence[GraphNode], events: Sequence[tuple[str, str]]) -> list[str | None]:
    """Return for each event, a name and an op, the name of the file's node that it belongs to; None without one.

    An event named by an activation belongs to the node before it with the event's op. If there are several, as before
    an addition, it is the one without an event of its own.
    """
    by_name = {node.name: node for node in nodes}
    maker = {output: node for node in nodes for output in node.outputs}
    named = [(by_name.get(_original(name, by_name)), plain(op)) for name, op in events]
    taken = {node.name for node, op in named if node is not None and node.op == op}
    found: dict[tuple[str, str], str] = {}
    for node, op in named:
        if node is None or node.op == op or (node.name, op) in found:
            continue
        before = list(_before(node, op, maker))
        chosen = next((name for name in before if name not in taken), before[0] if before else node.name)
        taken.add(chosen)
        found[node.name, op] = chosen
    return [None if node is None else found.get((node.name, op), node.name) for node, op in named]


def plain(op: str) -> str:
    """Return the op of a node without the prefix of its fused or quantized form."""
    while (shorter := _PREFIXES.sub("", op)) != op and shorter:
        op = shorter
    return _LIKE.get(op, op)


def _original(name: str, known: Mapping[str, object]) -> str:
    """Return an event's name without what onnxruntime has added to the name of the node."""
    name = name.removesuffix(KERNEL)
    while name not in known and (shorter := _ADDED.sub("", name)) != name:
        name = shorter
    return name


def _before(node: GraphNode, op: str, maker: Mapping[str, GraphNode]) -> Iterator[str]:
    """Yield the names of the last nodes of this op before a node, on all paths to it, the nearest first."""
    waiting, seen = [node], {node.name}
    for each in waiting:
        for name in each.inputs:
            made = maker.get(name)
            if made is None or made.name in seen:
                continue
            seen.add(made.name)
            if made.op == op:
                yield made.name
            else:
                waiting.append(made)
