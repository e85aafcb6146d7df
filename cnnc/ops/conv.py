"""Convolution and transposed convolution over feature maps, (C, H, W)."""

from typing import Any, ClassVar

from pydantic import Field

from cnnc.diagnostics import Code
from cnnc.ops.attributes import PaddingAttribute, Size, SizePair
from cnnc.ops.base import Cost, OnnxBuilder, Op, Refusal, TorchBuilder, require_map
from cnnc.ops.types import TensorType
from cnnc.ops.window import Placement, Window


class Conv(Op):
    """Cross-correlation with learned kernels (LeCun et al., 1989): (C, H, W) to (out, H', W')."""

    name: ClassVar[str] = "conv"

    out: Size = Field(description="output channels")
    kernel: SizePair = Field(description="height and width of the kernel")
    stride: SizePair = Field((1, 1), description="step of the kernel")
    dilation: SizePair = Field((1, 1), description="distance between the kernel's elements")
    padding: PaddingAttribute = Field((0, 0, 0, 0), description="zeros around the input")
    groups: Size = Field(1, description="number of groups that channels are split into")
    bias: bool = Field(True, description="whether a learned bias is added")

    def infer(self, x: TensorType) -> TensorType:
        require_map(self, x)
        self._divides(x.channels, "input", None)
        self._divides(self.out, "output", "out")
        return TensorType((self.out, *self._place(x).size))

    def cost(self, x: TensorType) -> Cost:
        kernel = self.kernel[0] * self.kernel[1] * (x.channels // self.groups)
        positions = TensorType((1, *self._place(x).size)).elements
        return Cost(
            params=self.out * (kernel + self.bias),
            macs=None if positions is None else self.out * kernel * positions,
        )

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        place = self._place(t.inputs[0])
        top, left, bottom, right = place.pads
        if not place.symmetric:
            x = t.call("torch.nn.functional.pad", x, (left, right, top, bottom))
        return t.module(
            "Conv2d",
            x,
            in_channels=t.inputs[0].channels,
            out_channels=self.out,
            kernel_size=self.kernel,
            stride=self.stride,
            padding=(top, left) if place.symmetric else (0, 0),
            dilation=self.dilation,
            groups=self.groups,
            bias=self.bias,
        )

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        return o.op(
            "Conv",
            x,
            o.weight("weight"),
            *([o.weight("bias")] if self.bias else []),
            kernel_shape=self.kernel,
            strides=self.stride,
            dilations=self.dilation,
            pads=self._place(o.inputs[0]).pads,
            group=self.groups,
        )

    def _place(self, x: TensorType) -> Placement:
        return Window(self, self.kernel, self.stride, self.dilation, self.padding).place(x)

    def _divides(self, channels: int, which: str, attribute: str | None) -> None:
        if channels % self.groups:
            fits = [g for g in range(1, min(channels, 4096) + 1) if channels % g == 0]
            raise Refusal(
                Code.INDIVISIBLE,
                f"{self.name}: {self.groups} groups do not divide {channels} {which} channels",
                attribute="groups",
                label=f"{channels} % {self.groups} = {channels % self.groups}",
                help=f"groups that divide {channels}: {', '.join(map(str, fits[:8]))}{' …' if len(fits) > 8 else ''}",
            )
