"""ONNX's Pad as ops, and pads in the shortest form of a spec."""

from typing import Any

import numpy as np

from cnnc.importing.flat_network import FlatNetwork
from cnnc.importing.onnx_nodes import OnnxNode
from cnnc.importing.values import GraphTensor, Symbol, Unsupported, place_of


def padding(pads: Any) -> Any:
    """Return ONNX's pads [top, left, bottom, right] in the shortest form of a spec."""
    top, left, bottom, right = pads
    if (top, left) != (bottom, right):
        return [top, left, bottom, right]
    return top if top == left else [top, left]


def shorter(attributes: dict[str, Any], **defaults: Any) -> dict[str, Any]:
    """Return attributes without those that have their defaults."""
    return {name: each for name, each in attributes.items() if name not in defaults or each != defaults[name]}


def four(pads: Any) -> list[int]:
    """Return padding in a form of a spec as [top, left, bottom, right]."""
    if isinstance(pads, int):
        return [pads] * 4
    return [*pads, *pads] if len(pads) == 2 else [*pads]


def cut(net: FlatNetwork, x: GraphTensor, pads: list[int]) -> GraphTensor:
    """Return a map without the rows and columns that negative pads take away."""
    for axis in (1, 2):
        before, after = pads[axis - 1], pads[axis + 1]
        if min(before, after) < 0:
            places = {"axis": axis, "start": max(-before, 0) or None, "stop": min(after, 0) or None}
            x = net.add("slice", [x], places)
    return x


def pad(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
    """Pad of a map's height and width, also by negative numbers of rows."""
    x = node.value()
    pads = node.attributes.get("pads")
    pads = [*pads] if pads is not None else node.ints(1, "the padding")
    value = float(node.attr("value", 0.0)) if "pads" in node.attributes else node.scalar(2, 0.0)
    mode = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}.get(
        node.attr("mode", "constant")
    )
    rank = len(x.sizes)
    if node.has(3):
        axes = [place_of(axis, rank) for axis in node.ints(3, "the axes")]
        whole = [0] * (2 * rank)
        for k, axis in enumerate(axes):
            whole[axis], whole[axis + rank] = pads[k], pads[k + len(axes)]
        pads = whole
    if len(pads) != 2 * rank or mode is None:
        raise Unsupported(f"its pads are {pads} for a value of {rank} axes, its mode {node.attr('mode', 'constant')!r}")
    if not any(pads):
        return x
    if rank == 5 and not any(each for k, each in enumerate(pads) if k not in (2, 7)):
        return net.part("_channel_pad", [x], (*x.sizes[:2], _more(x.sizes[2], pads[2] + pads[7]), *x.sizes[3:]))
    if rank != 4 or any(pads[k] for k in (0, 1, 4, 5)):
        raise Unsupported("it pads an axis other than a map's height and width", "pad channels by `concat` with zeros")
    sides = [pads[2], pads[3], pads[6], pads[7]]
    if min(sides) < 0:
        x, sides = cut(net, x, sides), [max(each, 0) for each in sides]
        if not any(sides):
            return x
    given = {"padding": padding(sides), "mode": mode, "value": value}
    if value is not None and not np.isfinite(value):
        return net.part("_pad", [x], _padded(x, sides), **given)
    return net.add("pad", [x], shorter(given, mode="constant", value=0.0))


def _more(size: Any, more: int) -> Any:
    return size if isinstance(size, Symbol) else size + more


def _padded(x: GraphTensor, sides: list[int]) -> Any:
    height, width = _more(x.sizes[2], sides[0] + sides[2]), _more(x.sizes[3], sides[1] + sides[3])
    return (*x.sizes[:2], height, width)
