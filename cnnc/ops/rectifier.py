"""Other rectifiers: elementwise activations that bound or scale one side of zero, for any shape."""

from typing import Any, ClassVar

from pydantic import Field

from cnnc.ops.attributes import Divisor, Real
from cnnc.ops.base import Cost, Elementwise, OnnxBuilder, TorchBuilder
from cnnc.ops.types import TensorType


class Relu6(Elementwise):
    """min(max(0, x), 6) (Krizhevsky, 2010)."""

    name: ClassVar[str] = "relu6"

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return t.module("ReLU6", x)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        return o.op("Clip", x, o.constant(0.0), o.constant(6.0))


class LeakyRelu(Elementwise):
    """x if it is positive, otherwise slope·x (Maas et al., 2013)."""

    name: ClassVar[str] = "leaky_relu"

    slope: Real = Field(0.01, description="slope for negative values")

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return t.module("LeakyReLU", x, negative_slope=self.slope)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        return o.op("LeakyRelu", x, alpha=self.slope)


class Prelu(Elementwise):
    """A leaky ReLU with a learned slope, shared or per channel (He et al., 2015)."""

    name: ClassVar[str] = "prelu"

    slope: Real = Field(0.25, description="initial slope for negative values")
    per_channel: bool = Field(False, description="whether each channel has its own slope")

    def cost(self, x: TensorType) -> Cost:
        return Cost(params=x.channels if self.per_channel else 1)

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return t.module("PReLU", x, num_parameters=self.cost(t.inputs[0]).params, init=self.slope)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        slope, shape = o.weight("weight"), o.inputs[0].shape
        if self.per_channel and len(shape) > 1:  # ONNX broadcasts slopes along the last axes
            slope = o.op("Reshape", slope, o.constant([o.inputs[0].channels, *(1 for _ in shape[1:])]))
        return o.op("PRelu", x, slope)


class Elu(Elementwise):
    """x if it is positive, otherwise alpha·(eˣ - 1) (Clevert et al., 2015)."""

    name: ClassVar[str] = "elu"

    alpha: Real = Field(1.0, description="scale for negative values; the output tends to -alpha")

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return t.module("ELU", x, alpha=self.alpha)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        return o.op("Elu", x, alpha=self.alpha)


class Selu(Elementwise):
    """A scaled ELU whose outputs keep mean 0 and variance 1 (Klambauer et al., 2017)."""

    name: ClassVar[str] = "selu"

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return t.module("SELU", x)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        return o.op("Selu", x)


LARGE = 10.0  # above it, onnxruntime's e^(x / alpha) - 1 cancels; 2·e^(x / 2 alpha)·sinh(x / 2 alpha) is the same


class Celu(Elementwise):
    """x if it is positive, otherwise alpha·(e^(x / alpha) - 1) (Barron, 2017)."""

    name: ClassVar[str] = "celu"

    alpha: Divisor = Field(1.0, description="scale for negative values; the output tends to -alpha")

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return t.module("CELU", x, alpha=self.alpha)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        if self.alpha <= LARGE:
            return o.op("Celu", x, alpha=self.alpha)
        half = o.op("Div", o.op("Min", x, o.constant(0.0)), o.constant(2 * self.alpha))
        product = o.op("Mul", o.op("Exp", half), o.op("Sinh", half))
        return o.op("Add", o.op("Relu", x), o.op("Mul", product, o.constant(2 * self.alpha)))
