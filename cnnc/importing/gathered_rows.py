"""Rows of a map that are gathered by their indices: the windows of adaptive pools, and resizes to the nearest rows."""

from typing import Any

import numpy as np

from cnnc.importing.flat_network import FlatNetwork
from cnnc.importing.values import GraphTensor, Symbol, SymbolicRange, Unsupported


def adaptive_windows(x: GraphTensor, rows: Any, axis: int) -> int | None:
    """Return the number of windows whose rows are those of an adaptive pool; None if they are not."""
    size = x.sizes[axis]
    if rows.ndim != 2 or isinstance(size, Symbol) or len(x.sizes) != 4 or axis < 2:
        return None
    windows, longest = rows.shape
    for k in range(windows):
        start, stop = k * size // windows, -(-(k + 1) * size // windows)
        if [*rows[k]] != [min(start + j, stop - 1) for j in range(longest)]:
            return None
    return int(windows)


def nearest_rows(net: FlatNetwork, x: GraphTensor, index: list[int], axis: int) -> GraphTensor:
    """Return the resize of one axis to the nearest rows."""
    space, after = [*x.sizes[2:]], len(index)
    open = any(isinstance(each, Symbol) for each in space)
    ratio = np.float32(1 if open or axis < 2 else int(space[axis - 2])) / np.float32(after)  # type: ignore[arg-type]
    places = np.floor(np.arange(after).astype(np.float32) * ratio)
    if len(x.sizes) != 4 or axis < 2 or open or [*places] != index:
        raise Unsupported("its indices are not at equal distances")
    space[axis - 2] = after
    if x.op == "upsample" and "size" in x.made.attributes:
        x = x.made.inputs[0]
    return net.add("upsample", [x], {"size": space})


def nearest_like(net: FlatNetwork, x: GraphTensor, rows: SymbolicRange, axis: int) -> GraphTensor:
    """Return the resize to the height and width of another map, once the rows of both axes have been gathered."""
    side, scale = rows.length.side, rows.scale
    wanted = x.sizes[axis] / rows.length if axis < len(x.sizes) else None
    same = scale == wanted if isinstance(scale, Symbol) else wanted == scale
    if side is None or side.axis != axis or not same or len(x.sizes) != 4:
        raise Unsupported("its indices depend on an open height or width")
    sizes = tuple(rows.length if k == axis else size for k, size in enumerate(x.sizes))
    like = GraphTensor(side.made, side.port)
    if axis == 3 and x.op == "_nearest" and x.made.like is not None and x.made.like.same(like):
        return net.add("upsample", x.made.inputs, like=like)
    part = net.part("_nearest", [x], sizes)
    part.made.like = like
    return part
