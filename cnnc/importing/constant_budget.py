"""Limit the memory of the constants that an import computes, before each is computed.

Takes an ONNX node and its constant inputs; raises Unsupported if the constants of the file would be too large together.
"""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import numpy as np

from cnnc.importing.onnx_nodes import OnnxNode
from cnnc.importing.values import Symbol, Unsupported

Array = np.ndarray[Any, np.dtype[Any]]
MOST, SMALL = 2**28, 2**8  # elements
VIEWS = ("Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Transpose", "Slice", "Split")
FREE = (*VIEWS, "Constant", "Shape", "Size")


class ConstantBudget:
    """The number of elements that the computed constants of one import may have in all.

    Files may compute all their weights, from float16 for example, so those count as `given`.
    """

    def __init__(self, given: int = 0) -> None:
        self.limit = self.left = float(MOST + 2 * given)

    def take(self, node: OnnxNode, given: Sequence[Array | None]) -> None:
        """Count the result of a node; raises Unsupported if it is too large. Small results are always accepted."""
        elements = 0 if node.op in FREE else _size_of_result(node, given)
        if elements <= SMALL:
            return
        if elements > self.left:
            raise Unsupported(f"with it, the computed constants have more than {self.limit:,.0f} elements")
        self.left -= elements


def _size_of_result(node: OnnxNode, given: Sequence[Array | None]) -> float:
    """Return the number of elements of the result, or a larger number."""
    if node.op == "Range":
        start, stop, step = (each.item() for each in given if each is not None)
        return 0.0 if isinstance(stop, Symbol) else abs((stop - start) / (step or 1))
    arrays = [each for each in given if each is not None]
    shapes = [each.shape for each in arrays]
    if node.op in ("Expand", "Tile", "ConstantOfShape") and arrays:
        return _repeated(node.op, shapes[0], tuple(abs(int(each)) for each in arrays[-1].ravel()[:64]))
    if node.op == "Concat":
        return sum(map(_elements, shapes))
    if node.op == "Gather" and len(arrays) == 2:
        along = int(shapes[0][node.attr("axis", 0)])
        return arrays[1].size * _elements(shapes[0]) / max(1, along)
    if node.op == "MatMul" and len(arrays) == 2:
        return _broadcast([each[:-2] for each in shapes]) * _elements(shapes[0][-2:-1]) * _elements(shapes[1][-1:])
    return _broadcast(shapes[:1] if node.op in ("Cast", "CastLike") else shapes)


def _repeated(op: str, shape: Sequence[int], wanted: Sequence[int]) -> float:
    """Return the number of elements of an Expand, Tile or ConstantOfShape."""
    if op == "Tile":
        return _elements(shape) * _elements(wanted)
    return _elements(wanted) if op == "ConstantOfShape" else _broadcast([shape, wanted])


def _elements(shape: Sequence[int]) -> float:
    return float(np.prod(shape, dtype=float))


def _broadcast(shapes: Sequence[Sequence[int]]) -> float:
    """Return the number of elements of arrays of these shapes after broadcasting."""
    return _elements([max(sizes) for sizes in zip_longest(*(each[::-1] for each in shapes), fillvalue=1)])
