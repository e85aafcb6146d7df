"""Splitting a value along an axis."""

from functools import cache
from typing import Any, ClassVar

from pydantic import Field

from cnnc.diagnostics import Code
from cnnc.ops.attributes import IntList, Signed
from cnnc.ops.base import Gives, OnnxBuilder, Op, Refusal, Saves, TorchBuilder, impossible, position, require_divides
from cnnc.ops.reach import Reaches, besides
from cnnc.ops.types import TensorType, Types
from cnnc.ops.unify import MOST


class Split(Op):
    """Split a value along an axis into equal parts or parts of given sizes: the outputs `0`, `1`, …"""

    name: ClassVar[str] = "split"
    gives: ClassVar[Gives] = "reordered input"
    _saves: ClassVar[Saves] = "nothing"

    parts: int | None = Field(None, ge=1, le=MOST, description="number of equal parts")
    sizes: IntList | None = Field(None, min_length=1, max_length=MOST, description="size of each part")
    axis: Signed = Field(0, description="axis to split, not counting the batch: 0 for channels")

    @property
    def ports(self) -> tuple[str, ...]:
        return _counted(self.parts or len(self.sizes or (0,)))

    def infer(self, x: TensorType) -> Types:
        if (self.parts is None) == (self.sizes is None):
            blamed, given = ("parts", "both") if self.parts else (None, "neither")
            problem = f"expected exactly one of `parts` and `sizes`, got {given}"
            impossible(self, problem, blamed, "write `parts: 2`, for example")
        axis = position(self, x, self.axis)
        size = x.shape[axis]
        if size is None:
            raise Refusal(
                Code.UNKNOWN_SIZE,
                f"{self.name} cannot split axis {axis} of {x}, whose size is unknown",
                attribute="axis",
                help="give the input a fixed height and width, or split another axis",
            )
        return tuple(TensorType((*x.shape[:axis], part, *x.shape[axis + 1 :])) for part in self._sizes(size, axis))

    def reach(self, x: TensorType) -> Reaches:
        return besides(position(self, x, self.axis))

    def _sizes(self, size: int, axis: int) -> list[int]:
        if self.parts:
            require_divides(self, size, self.parts, f"elements along axis {axis}", "parts")
            return [size // self.parts] * self.parts
        sizes = list(self.sizes or ())
        if min(sizes) < 1 or sum(sizes) != size:
            written = " + ".join(map(str, sizes[:8])) + (" + …" if len(sizes) > 8 else "")
            problem = f"the sizes {written} = {sum(sizes)} do not split axis {axis}, which has {size} elements"
            impossible(self, problem, "sizes", f"use sizes of at least 1 that add up to {size}")
        return sizes

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        axis = position(self, t.inputs[0], self.axis)
        pieces = t.call("torch.split", x, [each.shape[axis] for each in t.outputs], dim=1 + axis)
        return tuple(t.call("operator.getitem", pieces, port) for port in range(len(t.outputs)))

    def to_onnx(self, o: OnnxBuilder, x: str) -> tuple[str, ...]:
        axis = position(self, o.inputs[0], self.axis)
        sizes = o.constant([each.shape[axis] or 0 for each in o.outputs])
        return o.ops("Split", len(o.outputs), x, sizes, axis=1 + axis)


@cache
def _counted(parts: int) -> tuple[str, ...]:
    """Return the port names of `parts` parts; cached, because they are looked up for every use of a part."""
    return tuple(map(str, range(parts)))
