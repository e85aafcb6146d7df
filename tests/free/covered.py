"""The constructs of free specs, beside those that `tests.covered` looks for: outputs, files and values of all kinds."""

import json
import re
from collections.abc import Iterator
from typing import Any

from cnnc.graph.graph import Graph, Ref
from cnnc.ops.move import Identity
from cnnc.ops.regularise import Dropout, DropPath
from tests.covered import CONSTRUCTS
from tests.free.draft import places
from tests.free.specs import Drawn, laid_out

FREE_CONSTRUCTS = (
    *CONSTRUCTS,
    *("output in the middle", "two names for one value", "output of a port", "input handed through"),
    *("only: train beside what is deployed", "outputs as a list", "no outputs"),
    *("several files", "file that another uses", "JSON", "parameter that the caller sets"),
    *("when by a node further down", "size of a node in an expression", "far number"),
    *("picture", "labels", "budget", "train", "description"),
)
FAR = 1e4


def constructs(of: Drawn, graph: Graph) -> Iterator[str]:
    """Those that an accepted spec has; some again and again."""
    yield from _of_outputs(graph)
    files = laid_out(of)
    yield from ["several files"] * (len(files) > 1)
    yield from ["file that another uses"] * any("use" in file for file in [*files.values()][1:])
    yield from ["JSON"] * any(name.endswith(".json") for name in files)
    yield from ["parameter that the caller sets"] * bool(of.settings)
    outputs = of.spec.get("outputs")
    yield from ["outputs as a list"] * isinstance(outputs, list) + ["no outputs"] * (outputs is None)
    yield from (key for key in ("labels", "budget", "train", "description") if key in of.spec)
    yield from ["picture"] * any(each.picture is not None for each in graph.inputs)
    yield from ["far number"] * any(map(_is_far, _numbers(of.spec["nodes"])))
    for place in places(of.spec):
        items = [(next(iter(item.values())) or {}) if isinstance(item, dict) else {} for item in place.items]
        names = [words.get("name") for words in items]
        for at, words in enumerate(items):
            asked = re.findall(r"(\w+)\.(?:channels|height|width|features)", json.dumps(words))
            yield from ["size of a node in an expression"] * any(name in names for name in asked)
            when = re.findall(r"(\w+)\.\w+", str(words.get("when")))
            yield from ["when by a node further down"] * any(name in names[at + 1 :] for name in when)


def _of_outputs(graph: Graph) -> Iterator[str]:
    used = {ref for node in graph.nodes for ref in node.inputs}
    refs = [each.ref for each in graph.outputs]
    deployed = [each for each in graph.outputs if not each.train_only]
    needed = graph.needed(deployed)
    yield from ["output in the middle"] * any(ref in used for ref in refs)
    yield from ["two names for one value"] * (len(set(refs)) < len(refs))
    yield from ["output of a port"] * any(len(graph.node[ref.node].outputs) > 1 for ref in refs)
    train_only = [each for each in graph.outputs if each.train_only]
    yield from ["only: train beside what is deployed"] * any(each.ref.node in needed for each in train_only)
    yield from ["input handed through"] * any(_is_input(graph, each.ref) for each in deployed)


def _is_input(graph: Graph, ref: Ref) -> bool:
    """Whether nothing but what does nothing stands between a value and an input."""
    while ref.node in graph.node:
        node = graph.node[ref.node]
        if not isinstance(node.op, Identity | Dropout | DropPath):
            return False
        ref = node.inputs[0]
    return True


def _numbers(data: Any) -> Iterator[float]:
    if isinstance(data, list | dict):
        for each in data.values() if isinstance(data, dict) else data:
            yield from _numbers(each)
    elif isinstance(data, int | float) and not isinstance(data, bool):
        yield data


def _is_far(number: float) -> bool:
    return abs(number) > FAR or 0 < abs(number) < 1 / FAR
