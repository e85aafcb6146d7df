"""Pooling over feature maps, (C, H, W), by a grid of windows that covers the map."""

from collections.abc import Iterable
from typing import Any, ClassVar

from pydantic import Field

from cnnc.diagnostics import Code
from cnnc.ops.attributes import SizePair
from cnnc.ops.base import Gives, OnnxBuilder, Op, Refusal, Remark, Saves, TorchBuilder, reduced, require_map
from cnnc.ops.reach import Reaches, divided
from cnnc.ops.types import TensorType


class _AdaptivePool(Op):
    """A pool over a grid of windows that covers the map."""

    gives: ClassVar[Gives] = "logits"

    size: SizePair = Field(description="height and width of the output")

    def infer(self, x: TensorType) -> TensorType:
        require_map(self, x)
        for side, size, wanted in zip(("height", "width"), x.space, self.size, strict=True):
            if wanted > 1 and size is None:
                raise Refusal(
                    Code.UNKNOWN_SIZE,
                    f"{self.name}: {wanted} windows along the {side} need the input's {side}, which is unknown",
                    attribute="size",
                    help=f"give the input a fixed {side}, or use `size: 1`",
                )
        return TensorType((x.channels, *self.size))

    def reach(self, x: TensorType) -> Reaches:
        return divided(x.space[0], self.size[0]), divided(x.space[1], self.size[1])

    def remarks(self, x: TensorType) -> Iterable[Remark]:
        for side, size, wanted in zip(("height", "width"), x.space, self.size, strict=True):
            if size is not None and size % wanted:
                yield Remark(
                    Code.UNEVEN_WINDOWS,
                    f"{self.name}: a {side} of {size} cannot be divided into {wanted} equal windows, so they overlap",
                    "use a `size` that divides it, `global_avg_pool`, or `avg_pool` with explicit windows",
                )


class AdaptiveAvgPool(_AdaptivePool):
    """The averages over a grid of windows that covers the map: (C, H, W) to (C, *size).

    If the output size does not divide the map's, windows overlap by a row or column, as in torch: window `i` goes from
    floor(i * H / size) to ceil((i + 1) * H / size).
    """

    name: ClassVar[str] = "adaptive_avg_pool"

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return t.module("AdaptiveAvgPool2d", x, output_size=self.size)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        if self.size == (1, 1):
            return o.op("GlobalAveragePool", x)
        for axis, size in enumerate(o.inputs[0].space, start=2):
            if size is None:  # then the output size is 1, as `infer` requires
                x = reduced(o, "ReduceMean", x, [axis])
        (height, width), (rows, columns) = ((size or 1 for size in o.inputs[0].space), self.size)
        if height % rows == 0 and width % columns == 0:
            window = (height // rows, width // columns)
            return o.op("AveragePool", x, kernel_shape=window, strides=window, pads=(0, 0, 0, 0))
        # ONNX has no windows of unequal size, so average along each axis by a product with a matrix
        by_rows, by_columns = _averages(height, rows), _averages(width, columns)
        x = o.op("MatMul", o.constant(by_rows), x)
        return o.op("MatMul", x, o.constant([list(column) for column in zip(*by_columns, strict=True)]))


def _averages(size: int, windows: int) -> list[list[float]]:
    """Return the matrix (windows, size) whose product with a vector is the vector's averages over the windows."""
    edges = _edges(size, windows)
    return [[1 / (end - start) if start <= j < end else 0.0 for j in range(size)] for start, end in edges]


def _edges(size: int, windows: int) -> list[tuple[int, int]]:
    """Return the first row of each window and the row after its last."""
    return [(i * size // windows, -(-(i + 1) * size // windows)) for i in range(windows)]


class AdaptiveMaxPool(_AdaptivePool):
    """The largest values in a grid of windows that covers the map: (C, H, W) to (C, *size).

    The windows are those of `adaptive_avg_pool`.
    """

    name: ClassVar[str] = "adaptive_max_pool"
    _saves: ClassVar[Saves] = "inputs and indices"

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return t.module("AdaptiveMaxPool2d", x, output_size=self.size)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        if self.size == (1, 1):
            return o.op("GlobalMaxPool", x)
        for axis, (size, windows) in enumerate(zip(o.inputs[0].space, self.size, strict=True), start=2):
            x = self._along(o, x, axis, size, windows)
        return x

    def _along(self, o: OnnxBuilder, x: str, axis: int, size: int | None, windows: int) -> str:
        """Return the maxima of the windows along an axis; ONNX has no windows of unequal size, so gather their rows."""
        if size is None:  # then the output size is 1, as `infer` requires
            return reduced(o, "ReduceMax", x, [axis])
        edges = _edges(size, windows)
        longest = max(end - start for start, end in edges)
        rows = [min(start + k, end - 1) for start, end in edges for k in range(longest)]
        x = o.op("Gather", x, o.op("Reshape", o.constant(rows), o.constant([windows, longest])), axis=axis)
        return reduced(o, "ReduceMax", x, [axis + 1], keep=False)
