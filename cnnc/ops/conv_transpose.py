"""Transposed convolution over feature maps, (C, H, W)."""

from typing import Any, ClassVar

from pydantic import Field

from cnnc.ops.attributes import IndexPair, PaddingAttribute, Size, SizePair
from cnnc.ops.base import Cost, Gives, OnnxBuilder, Op, TorchBuilder, require_divides, require_map
from cnnc.ops.reach import Reaches
from cnnc.ops.types import TensorType, Types
from cnnc.ops.window import Placement, Window, onnx_order, torch_order, widened


class ConvTranspose(Op):
    """The transpose of a conv (Zeiler et al., Deconvolutional networks, 2010): (C, H, W) to (out, H', W').

    Padding is cut off the output: H' = (H - 1)·stride - top - bottom + dilation·(kernel - 1) + 1 + output padding.
    With `same`, H' = H·stride; `valid` cuts nothing. Output padding must be less than the stride or the dilation, as in
    torch.
    """

    name: ClassVar[str] = "conv_transpose"
    gives: ClassVar[Gives] = "logits"

    out: Size = Field(description="output channels")
    kernel: SizePair = Field(description="height and width of the kernel")
    stride: SizePair = Field((1, 1), description="stride of the kernel over the output")
    dilation: SizePair = Field((1, 1), description="distance between the kernel's elements")
    padding: PaddingAttribute = Field((0, 0, 0, 0), description="rows and columns cut off the output's edges")
    output_padding: IndexPair = Field((0, 0), description="rows added at the output's bottom, and columns at its right")
    groups: Size = Field(1, description="number of groups to split the channels into")
    bias: bool = Field(True, description="whether to add a learned bias")

    def infer(self, x: TensorType) -> TensorType:
        require_map(self, x)
        require_divides(self, x.channels, self.groups, "input channels")
        require_divides(self, self.out, self.groups, "output channels")
        return TensorType((self.out, *self._place(x).size))

    def reach(self, x: TensorType) -> Reaches:
        return self._window().reach_transposed(x, self.output_padding)

    def cost(self, x: TensorType) -> Cost:
        kernel = self.kernel[0] * self.kernel[1] * (self.out // self.groups)
        return Cost(
            params=x.channels * kernel + self.out * self.bias,
            macs=None if x.elements is None else x.elements * kernel,
        )

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        place = self._place(t.inputs[0])
        top, left, bottom, right = place.pads
        y = t.module(
            "ConvTranspose2d",
            x,
            in_channels=t.inputs[0].channels,
            out_channels=self.out,
            kernel_size=self.kernel,
            stride=self.stride,
            padding=place.pads[:2] if place.symmetric else (0, 0),
            output_padding=place.extra,
            dilation=self.dilation,
            groups=self.groups,
            bias=self.bias,
        )
        cut = torch_order((-top, -left, -bottom, -right))
        return y if place.symmetric else t.call("torch.nn.functional.pad", y, cut)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        place = self._place(o.inputs[0])
        # onnxruntime requires output_padding < stride; a row of zeros after the input adds a stride to the output
        rows, extra = zip(*map(divmod, place.extra, self.stride), strict=True)
        if any(rows):
            x = o.op("Pad", x, o.constant(onnx_order((0, 0, *rows))))
        return o.op(
            "ConvTranspose",
            x,
            o.weight("weight"),
            *([o.weight("bias")] if self.bias else []),
            kernel_shape=self.kernel,
            strides=self.stride,
            dilations=self.dilation,
            pads=place.pads,
            output_padding=extra,
            group=self.groups,
        )

    def between(self, x: TensorType) -> Types:
        """Return the type of the result before the padding is cut off."""
        place = self._place(x)
        return (widened(self.out, place.size, place.pads),)

    def _place(self, x: TensorType) -> Placement:
        return self._window().place_transposed(x, self.output_padding)

    def _window(self) -> Window:
        return Window(self, self.kernel, self.stride, self.dilation, self.padding)
