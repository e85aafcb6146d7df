"""Pooling over feature maps, (C, H, W), by sliding windows."""

from typing import Any, ClassVar

from pydantic import Field

from cnnc.ops.attributes import PaddingAttribute, Pair, SizePair
from cnnc.ops.base import OnnxBuilder, Saves, TorchBuilder, require_map
from cnnc.ops.types import TensorType
from cnnc.ops.window import Placement, Window, Windowed, onnx_order, torch_order

NONE = (0, 0, 0, 0)
MOST_POWER = 16  # higher powers of ordinary values overflow float32


class _Pool(Windowed):
    """A pool with sliding windows, each of which must see some of the input."""

    def infer(self, x: TensorType) -> TensorType:
        require_map(self, x)
        return TensorType((x.channels, *self._place(x).size))

    def _place(self, x: TensorType) -> Placement:
        return self._window().place_pool(x)


class MaxPool(_Pool):
    """The largest value in each window: (C, H, W) to (C, H', W'). Padding is never the maximum."""

    name: ClassVar[str] = "max_pool"
    _saves: ClassVar[Saves] = "inputs and indices"

    kernel: SizePair = Field(description="height and width of the window")
    stride: SizePair | None = Field(None, description="stride of the window; defaults to the kernel")
    dilation: SizePair = Field((1, 1), description="distance between the window's elements")
    padding: PaddingAttribute = Field(NONE, description="rows and columns added around the input")
    ceil: bool = Field(False, description="whether to keep a last window that starts in the input but ends beyond it")

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        place = self._place(t.inputs[0])
        fits = _fits_torch(place, self.kernel)
        if not fits:
            lowest = t.call("builtins.float", "-inf")  # TorchScript has no literal for it
            x = t.call("torch.nn.functional.pad", x, torch_order(place.all_pads), "constant", lowest)
        return t.module(
            "MaxPool2d",
            x,
            kernel_size=self.kernel,
            stride=self.stride or self.kernel,
            padding=place.pads[:2] if fits else (0, 0),
            dilation=self.dilation,
            ceil_mode=fits and self.ceil,
        )

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        pads = self._place(o.inputs[0]).all_pads
        # onnxruntime requires pads smaller than the kernel, even if it is dilated.
        if not all(pad < size for pad, size in zip(pads, self.kernel * 2, strict=True)):
            x, pads = o.op("Pad", x, o.constant(onnx_order(pads)), o.constant(float("-inf"))), NONE
        return o.op(
            "MaxPool",
            x,
            kernel_shape=self.kernel,
            strides=self.stride or self.kernel,
            dilations=self.dilation,
            pads=pads,
        )

    def _window(self) -> Window:
        stride = self.stride or self.kernel
        return Window(self, self.kernel, stride, self.dilation, self.padding, self.ceil)


class AvgPool(_Pool):
    """The average of each window: (C, H, W) to (C, H', W'). What `ceil` adds beyond the padding never counts."""

    name: ClassVar[str] = "avg_pool"

    kernel: SizePair = Field(description="height and width of the window")
    stride: SizePair | None = Field(None, description="stride of the window; defaults to the kernel")
    padding: PaddingAttribute = Field(NONE, description="zeros added around the input")
    ceil: bool = Field(False, description="whether to keep a last window that starts in the input but ends beyond it")
    count_padding: bool = Field(True, description="whether the padding's zeros count in the average")

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        place, stride = self._place(t.inputs[0]), self.stride or self.kernel
        if _fits_torch(place, self.kernel):
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


class LpPool(_Pool):
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


def _fits_torch(place: Placement, kernel: Pair) -> bool:
    """Whether torch's pools accept the pads: equal on both sides and at most half of the kernel."""
    return place.symmetric and 2 * place.pads[0] <= kernel[0] and 2 * place.pads[1] <= kernel[1]
