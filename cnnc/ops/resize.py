"""Resizing of feature maps by nearest or bilinear interpolation."""

from math import gcd
from typing import Any, ClassVar, Literal

from pydantic import Field

from cnnc.ops.attributes import SizePair
from cnnc.ops.base import Gives, OnnxBuilder, Op, Saves, TorchBuilder, impossible, require_map
from cnnc.ops.reach import Reaches, resized
from cnnc.ops.types import TensorType

FLOAT, INT64 = 1, 7  # onnx.TensorProto's numbers for its types


class Upsample(Op):
    """Resize a map by a factor or to a size, larger or smaller: (C, H, W) to (C, H', W')."""

    name: ClassVar[str] = "upsample"
    gives: ClassVar[Gives] = "logits"
    _saves: ClassVar[Saves] = "nothing"

    factor: SizePair | None = Field(None, description="factors of the height and width")
    size: SizePair | None = Field(None, description="height and width of the output")
    mode: Literal["nearest", "bilinear"] = Field("nearest", description="how to interpolate")
    align_corners: bool = Field(False, description="whether `bilinear` aligns the centres of corners, not outer edges")

    def infer(self, x: TensorType) -> TensorType:
        require_map(self, x)
        if (self.factor is None) == (self.size is None):
            blamed, given = ("size", "both") if self.size else (None, "neither")
            problem = f"expected exactly one of `factor` and `size`, got {given}"
            impossible(self, problem, blamed, "write `factor: 2`, for example")
        if self.align_corners and self.mode == "nearest":
            problem = "`align_corners` requires `mode: bilinear`, got `mode: nearest`"
            impossible(self, problem, "align_corners", "remove `align_corners`, or write `mode: bilinear`")
        if self.factor is None:
            return TensorType((x.channels, *(self.size or ())))
        sizes = zip(x.space, self.factor, strict=True)
        return TensorType((x.channels, *(None if size is None else size * factor for size, factor in sizes)))

    def reach(self, x: TensorType) -> Reaches:
        factors, sizes = self.factor or (None, None), self.infer(x).space
        height, width = (
            resized(size, wanted or 0, factor, linear=self.mode == "bilinear", corners=self.align_corners)
            for size, wanted, factor in zip(x.space, sizes, factors, strict=True)
        )
        return height, width

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        corners = {"align_corners": self.align_corners} if self.mode == "bilinear" else {}
        scale = None if self.factor is None else tuple(map(float, self.factor))
        return t.module("Upsample", x, size=self.size, scale_factor=scale, mode=self.mode, **corners)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        space = o.inputs[0].space
        if self.mode == "nearest" and self.size and not all(map(_divides, space, self.size)):
            for axis, (before, after) in enumerate(zip(space, self.size, strict=True), 2):
                x = o.op("Gather", x, self._nearest(o, x, axis, before, after), axis=axis)
            return x
        attributes = {
            "mode": "nearest" if self.mode == "nearest" else "linear",
            "coordinate_transformation_mode": self._coordinates,
            "nearest_mode": "floor",
        }
        if self.factor is not None:
            scales = o.constant([1.0, 1.0, *map(float, self.factor)])
            return o.op("Resize", x, "", scales, **attributes)
        size = o.constant(list(self.size or ()))
        if o.opset >= 18:
            return o.op("Resize", x, "", "", size, axes=[2, 3], **attributes)
        whole = o.op("Concat", o.op("Shape", x, start=0, end=2), size, axis=0)
        return o.op("Resize", x, "", "", whole, **attributes)

    def _nearest(self, o: OnnxBuilder, x: str, axis: int, before: int | None, after: int) -> str:
        """Return the source index of each of the `after` rows: torch takes floor(i · (before / after)) in float32.

        Resize divides by the rounded after / before instead, so a result just below an integer gives the previous row.
        """
        import numpy as np

        places = np.arange(after, dtype=np.float32)
        if before is not None:
            return o.constant(np.floor(places * (np.float32(before) / np.float32(after))).astype(int).tolist())
        size = o.op("Cast", o.op("Shape", x, start=axis, end=axis + 1), to=FLOAT)
        scale = o.op("Div", size, o.constant([float(after)]))
        return o.op("Cast", o.op("Floor", o.op("Mul", o.constant(places.tolist()), scale)), to=INT64)

    @property
    def _coordinates(self) -> str:
        if self.mode == "nearest":
            return "asymmetric"
        return "align_corners" if self.align_corners else "half_pixel"


def _divides(before: int | None, after: int) -> bool:
    """Whether float32 represents after / before exactly: the reduced denominator is a power of two."""
    if before is None:
        return False
    denominator = before // gcd(before, after)
    return denominator & (denominator - 1) == 0
