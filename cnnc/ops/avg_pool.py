"""Pooling over feature maps, (C, H, W), by the averages and norms of sliding windows."""

from typing import Any, ClassVar

from pydantic import Field

from cnnc.ops.attributes import PaddingAttribute, SizePair
from cnnc.ops.base import OnnxBuilder, TorchBuilder
from cnnc.ops.pool import NONE, Pool, fits_torch
from cnnc.ops.window import Placement, Window, onnx_order, torch_order

MOST_POWER = 16  # higher powers of ordinary values overflow float32


class AvgPool(Pool):
    """The average of each window: (C, H, W) to (C, H', W'). What `ceil` adds beyond the padding never counts."""

    name: ClassVar[str] = "avg_pool"

    kernel: SizePair = Field(description="height and width of the window")
    stride: SizePair | None = Field(None, description="stride of the window; defaults to the kernel")
    padding: PaddingAttribute = Field(NONE, description="zeros added around the input")
    ceil: bool = Field(False, description="whether to keep a last window that starts in the input but ends beyond it")
    count_padding: bool = Field(True, description="whether the padding's zeros count in the average")

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        place, stride = self._place(t.inputs[0]), self.stride or self.kernel
        if fits_torch(place, self.kernel):
            return t.module(
                "AvgPool2d",
                x,
                kernel_size=self.kernel,
                stride=stride,
                padding=place.pads[:2],
                ceil_mode=self.ceil,
                count_include_pad=self.count_padding,
            )
        if self.count_padding and place.extra == (0, 0):
            x = t.call("torch.nn.functional.pad", x, torch_order(place.pads))
            return t.module("AvgPool2d", x, kernel_size=self.kernel, stride=stride)
        return self._weighted(t, x, place)

    def _weighted(self, t: TorchBuilder, x: Any, place: Placement) -> Any:
        """Return the zero-padded average divided by the share of each window that counts."""
        pad, pool, stride = "torch.nn.functional.pad", "torch.nn.functional.avg_pool2d", self.stride or self.kernel
        counts = t.call("torch.ones_like", t.call("torch.narrow", x, 1, 0, 1))
        counts = t.call(pad, counts, torch_order(place.pads), "constant", 1.0 if self.count_padding else 0.0)
        counts = t.call(pad, counts, torch_order((0, 0, *place.extra)))
        y = t.call(pool, t.call(pad, x, torch_order(place.all_pads)), list(self.kernel), list(stride))
        return t.call("torch.div", y, t.call(pool, counts, list(self.kernel), list(stride)))

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        place = self._place(o.inputs[0])
        pads, counts = place.all_pads, self.count_padding
        if counts and place.extra != (0, 0):  # ONNX counts all pads or none, so pads that count become input
            if place.pads != NONE:
                x = o.op("Pad", x, o.constant(onnx_order(place.pads)))
            pads, counts = (0, 0, *place.extra), False
        return o.op(
            "AveragePool",
            x,
            kernel_shape=self.kernel,
            strides=self.stride or self.kernel,
            pads=pads,
            count_include_pad=int(counts),
        )

    def _window(self) -> Window:
        return Window(self, self.kernel, self.stride or self.kernel, (1, 1), self.padding, self.ceil)


class LpPool(Pool):
    """The p-norm of each window, (Σ|x|ᵖ)^(1/p) (Gulcehre et al., 2014): (C, H, W) to (C, H', W')."""

    name: ClassVar[str] = "lp_pool"

    p: int = Field(
        2, ge=1, le=MOST_POWER, description="the exponent: 1 sums magnitudes, a large one tends to their maximum"
    )
    kernel: SizePair = Field(description="height and width of the window")
    stride: SizePair | None = Field(None, description="stride of the window; defaults to the kernel")
    padding: PaddingAttribute = Field(NONE, description="zeros added around the input")
    ceil: bool = Field(False, description="whether to keep a last window that starts in the input but ends beyond it")

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        pads = self._place(t.inputs[0]).all_pads
        powers = t.call("torch.pow", t.call("torch.abs", x), self.p)
        powers = powers if pads == NONE else t.call("torch.nn.functional.pad", powers, torch_order(pads))
        sums = t.call(
            "torch.nn.functional.avg_pool2d",
            powers,
            list(self.kernel),
            list(self.stride or self.kernel),
            divisor_override=1,
        )
        return t.call("torch.pow", sums, 1 / self.p)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        pads = self._place(o.inputs[0]).all_pads
        if pads != NONE:
            x = o.op("Pad", x, o.constant(onnx_order(pads)))
        return o.op("LpPool", x, p=self.p, kernel_shape=self.kernel, strides=self.stride or self.kernel)

    def _window(self) -> Window:
        return Window(self, self.kernel, self.stride or self.kernel, (1, 1), self.padding, self.ceil)
