"""Resizing of feature maps by interpolation, and by moving channels to positions or back."""

from math import gcd
from typing import Any, ClassVar, Literal

from pydantic import Field

from cnnc.diagnostics import Code
from cnnc.ops.attributes import Factor, NodeName, SizePair
from cnnc.ops.base import Gives, OnnxBuilder, Op, Refusal, Saves, TorchBuilder, impossible, require_map
from cnnc.ops.move import interleaved
from cnnc.ops.reach import Reach, Reaches, resized
from cnnc.ops.types import TensorType
from cnnc.ops.wanted_size import wanted_space
from cnnc.ops.window import SIDES

FLOAT, INT64 = 1, 7  # onnx.TensorProto's numbers for its types
TAPS = {"nearest": 1, "bilinear": 2, "bicubic": 4}  # input positions along an axis that an output depends on


class Upsample(Op):
    """Resize a map by a factor, to a size, or to the size of another map: (C, H, W) to (C, H', W')."""

    name: ClassVar[str] = "upsample"
    gives: ClassVar[Gives] = "logits"
    _saves: ClassVar[Saves] = "nothing"

    factor: SizePair | None = Field(None, description="factors of the height and width")
    size: SizePair | None = Field(None, description="height and width of the output")
    like: NodeName | None = Field(None, description="a node whose height and width the output has")
    mode: Literal["nearest", "bilinear", "bicubic"] = Field("nearest", description="how to interpolate")
    align_corners: bool = Field(
        False, description="whether `bilinear` and `bicubic` align the centres of corners, not outer edges"
    )

    @property
    def unread(self) -> tuple[int, ...]:
        return (1,) if self.like is not None else ()

    def infer(self, x: TensorType, like: TensorType | None = None) -> TensorType:
        require_map(self, x)
        if self.align_corners and self.mode == "nearest":
            problem = "`align_corners` requires `mode: bilinear` or `mode: bicubic`, got `mode: nearest`"
            impossible(self, problem, "align_corners", "remove `align_corners`, or write `mode: bilinear`")
        given = [name for name in ("factor", "size", "like") if getattr(self, name) is not None]
        if len(given) != 1:
            problem = f"expected exactly one of `factor`, `size` and `like`, got {' and '.join(given) or 'none'}"
            impossible(self, problem, given[-1] if given else None, "write `factor: 2`, for example")
        if self.factor is None:
            return TensorType((x.channels, *wanted_space(self, self.size, like)))
        sizes = zip(x.space, self.factor, strict=True)
        return TensorType((x.channels, *(None if size is None else size * factor for size, factor in sizes)))

    def reach(self, x: TensorType, like: TensorType | None = None) -> Reaches:
        factors, sizes = self.factor or (None, None), self.infer(x, *([like] if like else [])).space
        height, width = (
            None
            if wanted is None and factor is None
            else resized(size, wanted or 0, factor, taps=TAPS[self.mode], corners=self.align_corners)
            for size, wanted, factor in zip(x.space, sizes, factors, strict=True)
        )
        return height, width

    def to_torch(self, t: TorchBuilder, x: Any, like: Any = None) -> Any:
        corners = {} if self.mode == "nearest" else {"align_corners": self.align_corners}
        if like is not None and not t.outputs[0].known:
            size = [t.method("size", like, 2), t.method("size", like, 3)]
            return t.call("torch.nn.functional.interpolate", x, size, mode=self.mode, **corners)
        scale = None if self.factor is None else tuple(map(float, self.factor))
        space = None if self.factor else t.outputs[0].space
        return t.module("Upsample", x, size=space, scale_factor=scale, mode=self.mode, **corners)

    def to_onnx(self, o: OnnxBuilder, x: str, like: str | None = None) -> str:
        before, after = o.inputs[0].space, o.outputs[0].space
        if self.mode == "nearest" and self.factor is None and not all(map(_divides, before, after)):
            for axis in (3, 2):  # columns are copied one by one: before the rows are multiplied
                x = o.op("Gather", x, self._nearest(o, x, axis, after[axis - 2], like), axis=axis)
            return x
        if self.mode == "bicubic":
            # holds transposes off: onnxruntime would move them past this node, whose kernel then refuses the layout
            x = o.op("Reshape", x, o.constant([0, 0, 0, 0]))
        attributes = {
            "mode": {"nearest": "nearest", "bilinear": "linear", "bicubic": "cubic"}[self.mode],
            "coordinate_transformation_mode": self._coordinates,
            "nearest_mode": "floor",
            "cubic_coeff_a": -0.75,
        }
        if self.factor is not None:
            scales = o.constant([1.0, 1.0, *map(float, self.factor)])
            return o.op("Resize", x, "", scales, **attributes)
        known = [each for each in after if each is not None]
        size = o.constant(known) if len(known) == 2 else o.op("Shape", like or "", start=2, end=4)
        # `axes` (opset 18) would spare this, but onnxruntime 1.31 ignores it when it moves a Transpose past the Resize
        whole = o.op("Concat", o.op("Shape", x, start=0, end=2), size, axis=0)
        return o.op("Resize", x, "", "", whole, **attributes)

    def _nearest(self, o: OnnxBuilder, x: str, axis: int, after: int | None, like: str | None) -> str:
        """Return the source index of each output row: torch takes floor(i · (before / after)) in float32.

        Resize divides by the rounded after / before instead, so a result just below an integer gives the previous row.
        """
        import numpy as np

        before = o.inputs[0].space[axis - 2]
        if before is not None and after is not None:
            places = np.arange(after, dtype=np.float32)
            return o.constant(np.floor(places * (np.float32(before) / np.float32(after))).astype(int).tolist())
        size = o.op("Cast", o.op("Shape", x, start=axis, end=axis + 1), to=FLOAT)
        if after is not None:
            rows, count = o.constant([float(each) for each in range(after)]), o.constant([float(after)])
        else:
            count = o.op("Cast", o.op("Shape", like or "", start=axis, end=axis + 1), to=FLOAT)
            rows = o.op("Range", o.constant(0.0), o.op("Squeeze", count), o.constant(1.0))
        return o.op("Cast", o.op("Floor", o.op("Mul", rows, o.op("Div", size, count))), to=INT64)

    @property
    def _coordinates(self) -> str:
        if self.mode == "nearest":
            return "asymmetric"
        return "align_corners" if self.align_corners else "half_pixel"


class PixelShuffle(Op):
    """Move groups of factor² channels to squares of positions (Shi et al., 2016): (C·f², H, W) to (C, f·H, f·W)."""

    name: ClassVar[str] = "pixel_shuffle"
    gives: ClassVar[Gives] = "reordered input"
    _saves: ClassVar[Saves] = "nothing"

    factor: Factor = Field(description="factor of the height and width")

    def infer(self, x: TensorType) -> TensorType:
        require_map(self, x)
        if x.channels % self.factor**2:
            way_out = f"give its input a multiple of {self.factor**2} channels"
            impossible(self, f"{x.channels} channels are no multiple of {self.factor}²", "factor", way_out)
        sides = (None if size is None else size * self.factor for size in x.space)
        return TensorType((x.channels // self.factor**2, *sides))

    def reach(self, x: TensorType) -> Reaches:
        along = resized(None, 0, self.factor, taps=1)
        return along, along

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return t.module("PixelShuffle", x, upscale_factor=self.factor)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        return o.op("DepthToSpace", x, blocksize=self.factor, mode="CRD")


class PixelUnshuffle(Op):
    """Move squares of positions to channels, also called space to depth: (C, f·H, f·W) to (C·f², H, W)."""

    name: ClassVar[str] = "pixel_unshuffle"
    gives: ClassVar[Gives] = "reordered input"
    needs_multiples: ClassVar[bool] = True
    _saves: ClassVar[Saves] = "nothing"

    factor: Factor = Field(description="divisor of the height and width")

    def infer(self, x: TensorType) -> TensorType:
        require_map(self, x)
        for side, size in zip(SIDES, x.space, strict=True):
            if size is not None and size % self.factor:
                raise Refusal(
                    Code.INDIVISIBLE,
                    f"{self.name}: the {side} is {size}, which is no multiple of {self.factor}",
                    attribute="factor",
                    label=f"its input is {x}",
                    help=f"`pad` the input to a multiple of {self.factor}, or use another `factor`",
                )
        sides = (None if size is None else size // self.factor for size in x.space)
        return TensorType((x.channels * self.factor**2, *sides))

    def reach(self, x: TensorType) -> Reaches:
        along = Reach(self.factor, (0,), (self.factor - 1,))
        return along, along

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return t.module("PixelUnshuffle", x, downscale_factor=self.factor)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        """Reorder the channels of SpaceToDepth, which puts those of one position of a square side by side."""
        y = o.op("SpaceToDepth", x, blocksize=self.factor)
        return interleaved(o, y, o.outputs[0], self.factor**2)


def _divides(before: int | None, after: int | None) -> bool:
    """Whether float32 represents after / before exactly: the reduced denominator is a power of two."""
    if before is None or after is None:
        return False
    denominator = before // gcd(before, after)
    return denominator & (denominator - 1) == 0
