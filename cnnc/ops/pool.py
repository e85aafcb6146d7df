"""Max pooling over feature maps, (C, H, W), by sliding windows, and the base of all such pools."""

from typing import Any, ClassVar

from pydantic import Field

from cnnc.ops.attributes import PaddingAttribute, Pair, SizePair
from cnnc.ops.base import OnnxBuilder, Saves, TorchBuilder, require_map
from cnnc.ops.types import TensorType
from cnnc.ops.window import Placement, Window, Windowed, onnx_order, torch_order

NONE = (0, 0, 0, 0)


class Pool(Windowed):
    """A pool with sliding windows, each of which must see some of the input."""

    def infer(self, x: TensorType) -> TensorType:
        require_map(self, x)
        return TensorType((x.channels, *self._place(x).size))

    def _place(self, x: TensorType) -> Placement:
        return self._window().place_pool(x)


class MaxPool(Pool):
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
        fits = fits_torch(place, self.kernel)
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


def fits_torch(place: Placement, kernel: Pair) -> bool:
    """Whether torch's pools accept the pads: equal on both sides and at most half of the kernel."""
    return place.symmetric and 2 * place.pads[0] <= kernel[0] and 2 * place.pads[1] <= kernel[1]
