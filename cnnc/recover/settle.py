"""Parameters of blocks that no instance sets: their default takes their place.

Takes the nodes and blocks of a plain spec; returns the blocks.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from cnnc.recover.fits import same

Plain = dict[str, Any]


def settled(nodes: list[Any], blocks: Mapping[str, Plain]) -> Plain:
    """Return the blocks without parameters that have their defaults everywhere."""
    lists = [nodes, *(block["nodes"] for block in blocks.values())]
    given = {(op, key) for each in lists for op, attributes in _attributes(each) for key in attributes}
    found = {name: _settled(name, block, given) for name, block in blocks.items()}
    found = {name: {**block, "nodes": _without_usual(block["nodes"], found)} for name, block in found.items()}
    return found if found == blocks else settled(nodes, found)  # an inner block may have its defaults now


def _settled(name: str, block: Plain, given: set[tuple[str, str]]) -> Plain:
    params = block.get("params", {})
    text = repr(block["nodes"])
    unset = {
        key: value
        for key, value in params.items()
        if value is not None and (name, key) not in given and not re.search(rf"\$\([^']*\b{key}\b", text)
    }
    kept = {key: value for key, value in params.items() if key not in unset}
    changed = {**block, "nodes": _replaced(block["nodes"], {f"${key}": value for key, value in unset.items()})}
    return {**({"params": kept} if kept else {}), **{key: value for key, value in changed.items() if key != "params"}}


def _without_usual(nodes: list[Any], blocks: Mapping[str, Plain]) -> list[Any]:
    """Return nodes without the attributes that are the defaults of their blocks' parameters."""
    return [
        {op: _less(attributes, blocks.get(op, {}).get("params", {}), blocks) for op, attributes in node.items()}
        if isinstance(node, dict)
        else node
        for node in nodes
    ]


def _less(attributes: Plain, usual: Plain, blocks: Mapping[str, Plain]) -> Plain:
    kept = {key: value for key, value in attributes.items() if not (key in usual and same(usual[key], value))}
    return {**kept, "nodes": _without_usual(kept["nodes"], blocks)} if "nodes" in kept else kept


def _attributes(nodes: list[Any]) -> Iterator[tuple[str, Plain]]:
    """Yield the op and the attributes of all nodes, also of those in groups."""
    for node in nodes:
        for op, attributes in node.items() if isinstance(node, dict) else ():
            yield op, attributes
            yield from _attributes(attributes.get("nodes", ()))


def _replaced(value: Any, values: Plain) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(each, values) for key, each in value.items()}
    if isinstance(value, list):
        return [_replaced(each, values) for each in value]
    return values.get(value, value) if isinstance(value, str) else value
