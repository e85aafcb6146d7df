"""Convolution over feature maps, (C, H, W)."""

from typing import Any, ClassVar

from pydantic import Field

from cnnc.ops.attributes import PaddingAttribute, Positive, Size, SizePair
from cnnc.ops.base import Cost, OnnxBuilder, TorchBuilder, impossible, require_divides, require_map
from cnnc.ops.types import TensorType
from cnnc.ops.window import Window, Windowed, torch_order


class Conv(Windowed):
    """Cross-correlation with learned kernels (LeCun et al., 1989): (C, H, W) to (out, H', W')."""

    name: ClassVar[str] = "conv"
    takes_act: ClassVar[bool] = True

    out: Size = Field(description="output channels")
    kernel: SizePair = Field(description="height and width of the kernel")
    stride: SizePair = Field((1, 1), description="stride of the kernel")
    dilation: SizePair = Field((1, 1), description="distance between the kernel's elements")
    padding: PaddingAttribute = Field((0, 0, 0, 0), description="zeros added around the input")
    groups: Size = Field(1, description="number of groups to split the channels into")
    bias: bool = Field(True, description="whether to add a learned bias")
    standardize: bool = Field(
        False, description="whether each output channel's weights are standardized (Qiao et al., 2019) before use"
    )
    eps: Positive = Field(1e-5, description="added to the variance of weights that `standardize` standardizes")

    def infer(self, x: TensorType) -> TensorType:
        require_map(self, x)
        require_divides(self, x.channels, self.groups, "input channels")
        require_divides(self, self.out, self.groups, "output channels")
        if not self.standardize and self.eps != Conv.model_fields["eps"].default:
            impossible(self, "`eps` requires `standardize: true`", "eps", "remove `eps`, or add `standardize: true`")
        if self.standardize and self._weights_per_output(x) == 1:
            way_out = "remove `standardize`, or use a larger kernel or fewer `groups`"
            impossible(self, "each output channel has a single weight, which would become 0", "standardize", way_out)
        return TensorType((self.out, *self._place(x).size))

    def _weights_per_output(self, x: TensorType) -> int:
        return self.kernel[0] * self.kernel[1] * (x.channels // self.groups)

    def cost(self, x: TensorType) -> Cost:
        kernel = self._weights_per_output(x)
        positions = TensorType((1, *self._place(x).size)).elements
        return Cost(
            params=self.out * (kernel + self.bias),
            macs=None if positions is None else self.out * kernel * positions,
        )

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        place = self._place(t.inputs[0])
        if not place.symmetric:
            x = t.call("torch.nn.functional.pad", x, torch_order(place.pads))
        arguments: dict[str, Any] = {
            "in_channels": t.inputs[0].channels,
            "out_channels": self.out,
            "kernel_size": self.kernel,
            "stride": self.stride,
            "padding": place.pads[:2] if place.symmetric else (0, 0),
            "dilation": self.dilation,
            "groups": self.groups,
            "bias": self.bias,
        }
        if not self.standardize:
            return t.module("Conv2d", x, **arguments)
        weight, *bias = t.tensors("Conv2d", ["weight", *["bias"] * self.bias], **arguments)
        # over all axes but the first: a layer norm without a weight of its own
        shape = [t.inputs[0].channels // self.groups, *self.kernel]
        weight = t.call("torch.nn.functional.layer_norm", weight, shape, eps=self.eps)
        places = [list(arguments[each]) for each in ("stride", "padding", "dilation")]
        return t.call("torch.nn.functional.conv2d", x, weight, *(bias or [None]), *places, self.groups)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        weight = o.weight("weight")
        if self.standardize:
            # onnxruntime computes this once, when it loads the file
            fan_in = self._weights_per_output(o.inputs[0])
            flat = o.op("Reshape", weight, o.constant([self.out, fan_in]))
            ones = o.constant([1.0] * fan_in)
            flat = o.op("LayerNormalization", flat, ones, axis=-1, epsilon=self.eps)
            shape = o.constant([self.out, o.inputs[0].channels // self.groups, *self.kernel])
            weight = o.op("Reshape", flat, shape)
        return o.op(
            "Conv",
            x,
            weight,
            *([o.weight("bias")] if self.bias else []),
            kernel_shape=self.kernel,
            strides=self.stride,
            dilations=self.dilation,
            pads=self._place(o.inputs[0]).pads,
            group=self.groups,
        )

    def _window(self) -> Window:
        return Window(self, self.kernel, self.stride, self.dilation, self.padding)
