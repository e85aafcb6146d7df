"""Activations: functions of one element, of any shape, and the softmaxes, over an axis."""

from math import pi, sqrt
from typing import Any, ClassVar, Literal

from pydantic import Field

from cnnc.ops import registry
from cnnc.ops.attributes import ActivationName, Real, Signed
from cnnc.ops.base import Cost, OnnxBuilder, Op, Saves, TorchBuilder, position
from cnnc.ops.reach import ITSELF, ITSELF_AND_ALL, Reaches
from cnnc.ops.types import TensorType


class Elementwise(Op):
    """An op that keeps the shape."""

    def infer(self, x: TensorType) -> TensorType:
        return x


class Relu(Elementwise):
    """max(0, x) (Nair and Hinton, 2010)."""

    name: ClassVar[str] = "relu"
    _saves: ClassVar[Saves] = "output"

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return t.module("ReLU", x)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        return o.op("Relu", x)


class Relu6(Elementwise):
    """min(max(0, x), 6) (Krizhevsky, 2010)."""

    name: ClassVar[str] = "relu6"

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return t.module("ReLU6", x)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        return o.op("Clip", x, o.constant(0.0), o.constant(6.0))


class LeakyRelu(Elementwise):
    """x where it is positive, slope·x elsewhere (Maas et al., 2013)."""

    name: ClassVar[str] = "leaky_relu"

    slope: Real = Field(0.01, description="slope for negative values")

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return t.module("LeakyReLU", x, negative_slope=self.slope)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        return o.op("LeakyRelu", x, alpha=self.slope)


class Prelu(Elementwise):
    """A leaky ReLU whose slope is learned, one for all or one per channel (He et al., 2015)."""

    name: ClassVar[str] = "prelu"

    slope: Real = Field(0.25, description="what the slope for negative values starts as")
    per_channel: bool = Field(False, description="whether every channel has its own slope")

    def cost(self, x: TensorType) -> Cost:
        return Cost(params=x.channels if self.per_channel else 1)

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return t.module("PReLU", x, num_parameters=self.cost(t.inputs[0]).params, init=self.slope)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        slope, shape = o.weight("weight"), o.inputs[0].shape
        if self.per_channel and len(shape) > 1:  # ONNX lines slopes up with the last axes
            slope = o.op("Reshape", slope, o.constant([o.inputs[0].channels, *(1 for _ in shape[1:])]))
        return o.op("PRelu", x, slope)


class Elu(Elementwise):
    """x where it is positive, alpha·(eˣ - 1) elsewhere (Clevert et al., 2015)."""

    name: ClassVar[str] = "elu"

    alpha: Real = Field(1.0, description="minus the value that large negative inputs tend to")

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return t.module("ELU", x, alpha=self.alpha)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        return o.op("Elu", x, alpha=self.alpha)


class Sigmoid(Elementwise):
    """1 / (1 + e⁻ˣ)."""

    name: ClassVar[str] = "sigmoid"
    _saves: ClassVar[Saves] = "output"

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return t.module("Sigmoid", x)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        return o.op("Sigmoid", x)


class Tanh(Elementwise):
    """The hyperbolic tangent."""

    name: ClassVar[str] = "tanh"
    _saves: ClassVar[Saves] = "output"

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return t.module("Tanh", x)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        return o.op("Tanh", x)


class Gelu(Elementwise):
    """x·Φ(x), Φ the normal distribution's cumulative function (Hendrycks and Gimpel, 2016)."""

    name: ClassVar[str] = "gelu"

    approximate: Literal["none", "tanh"] = Field("none", description="`tanh` for the paper's approximation of Φ")

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return t.module("GELU", x, approximate=self.approximate)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        if o.opset >= 20:
            return o.op("Gelu", x, approximate=self.approximate)
        curve = self._tanh(o, x) if self.approximate == "tanh" else o.op("Erf", o.op("Mul", x, o.constant(sqrt(0.5))))
        return o.op("Mul", o.op("Mul", x, o.constant(0.5)), o.op("Add", curve, o.constant(1.0)))

    def _tanh(self, o: OnnxBuilder, x: str) -> str:
        cube = o.op("Mul", x, o.op("Mul", x, x))
        inner = o.op("Add", x, o.op("Mul", cube, o.constant(0.044715)))
        return o.op("Tanh", o.op("Mul", inner, o.constant(sqrt(2 / pi))))


class Silu(Elementwise):
    """x·sigmoid(x), also called swish (Elfwing et al., 2017; Ramachandran et al., 2017)."""

    name: ClassVar[str] = "silu"

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return t.module("SiLU", x)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        return o.op("Mul", x, o.op("Sigmoid", x))


class Hardswish(Elementwise):
    """x·relu6(x + 3) / 6 (Howard et al., MobileNetV3, 2019)."""

    name: ClassVar[str] = "hardswish"

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return t.module("Hardswish", x)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        return o.op("HardSwish", x)


class Hardsigmoid(Elementwise):
    """relu6(x + 3) / 6 (Howard et al., MobileNetV3, 2019)."""

    name: ClassVar[str] = "hardsigmoid"

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return t.module("Hardsigmoid", x)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        return o.op("HardSigmoid", x, alpha=1 / 6, beta=0.5)


class Mish(Elementwise):
    """x·tanh(ln(1 + eˣ)) (Misra, 2019)."""

    name: ClassVar[str] = "mish"

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return t.module("Mish", x)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        return o.op("Mul", x, o.op("Tanh", o.op("Softplus", x)))  # the op Mish is not in opset 17


class Softmax(Op):
    """eˣ, divided by its sum over an axis: shares that add up to 1. Keeps the shape."""

    name: ClassVar[str] = "softmax"
    _saves: ClassVar[Saves] = "output"
    _torch: ClassVar[str] = "Softmax"
    _onnx: ClassVar[str] = "Softmax"

    axis: Signed = Field(0, description="the axis to sum over, without the batch: 0 for channels or features")

    def infer(self, x: TensorType) -> TensorType:
        position(self, x, self.axis)
        return x

    def reach(self, x: TensorType) -> Reaches:
        axis = position(self, x, self.axis)
        return (ITSELF_AND_ALL if axis == 1 else ITSELF, ITSELF_AND_ALL if axis == 2 else ITSELF)

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return t.module(self._torch, x, dim=1 + position(self, t.inputs[0], self.axis))

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        return o.op(self._onnx, x, axis=1 + position(self, o.inputs[0], self.axis))


class LogSoftmax(Softmax):
    """The logarithm of `softmax`, exact where that would vanish. Keeps the shape."""

    name: ClassVar[str] = "log_softmax"
    _torch: ClassVar[str] = "LogSoftmax"
    _onnx: ClassVar[str] = "LogSoftmax"


class Activation(Op):
    """The activation of that name, with its defaults: for a block that takes it as a parameter."""

    name: ClassVar[str] = "activation"

    kind: ActivationName = Field(description="the activation's name")

    @property
    def saves(self) -> Saves:
        return self._op.saves

    def infer(self, x: TensorType) -> TensorType:
        return self._op.infer(x)

    def reach(self, x: TensorType) -> Reaches:
        return self._op.reach(x)

    def cost(self, x: TensorType) -> Cost:
        return self._op.cost(x)

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return self._op.to_torch(t, x)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str | tuple[str, ...]:
        return self._op.to_onnx(o, x)

    @property
    def _op(self) -> "Elementwise | Softmax":
        op = registry.get(self.kind).model_validate({})
        assert isinstance(op, Elementwise | Softmax)
        return op
