"""Elementwise mathematical functions, for any shape. Activations are in `rectifier` and `activation`."""

from typing import Any, ClassVar

from pydantic import Field

from cnnc.ops.attributes import Real
from cnnc.ops.base import Elementwise, OnnxBuilder, Saves, TorchBuilder, impossible
from cnnc.ops.types import TensorType


class _Function(Elementwise):
    """A function of one argument that torch and ONNX have."""

    _torch: ClassVar[str]
    _onnx: ClassVar[str]

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return t.call(self._torch, x)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        return o.op(self._onnx, x)


class Abs(_Function):
    """The absolute value."""

    name: ClassVar[str] = "abs"
    _torch: ClassVar[str] = "torch.abs"
    _onnx: ClassVar[str] = "Abs"


class Exp(_Function):
    """eˣ."""

    name: ClassVar[str] = "exp"
    _saves: ClassVar[Saves] = "output"
    _torch: ClassVar[str] = "torch.exp"
    _onnx: ClassVar[str] = "Exp"


class Log(_Function):
    """The natural logarithm, for positive values."""

    name: ClassVar[str] = "log"
    _torch: ClassVar[str] = "torch.log"
    _onnx: ClassVar[str] = "Log"


class Sqrt(_Function):
    """The square root, for values that are not negative."""

    name: ClassVar[str] = "sqrt"
    _saves: ClassVar[Saves] = "output"
    _torch: ClassVar[str] = "torch.sqrt"
    _onnx: ClassVar[str] = "Sqrt"


class Square(Elementwise):
    """x·x."""

    name: ClassVar[str] = "square"

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return t.call("operator.mul", x, x)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        return o.op("Mul", x, x)


class Clip(Elementwise):
    """min(max(x, `min`), `max`), with one bound or both."""

    name: ClassVar[str] = "clip"

    min: Real | None = Field(None, description="smallest value of the output")
    max: Real | None = Field(None, description="largest value of the output")

    def infer(self, x: TensorType) -> TensorType:
        if self.min is None and self.max is None:
            impossible(self, "expected `min`, `max` or both, got neither", None, "write `min: 0`, for example")
        if self.min is not None and self.max is not None and self.min > self.max:
            problem = f"`min` must not be larger than `max`, got {self.min} and {self.max}"
            impossible(self, problem, "min", "swap them")
        return x

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return t.call("torch.clamp", x, self.min, self.max)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        bounds = ["" if each is None else o.constant(float(each)) for each in (self.min, self.max)]
        return o.op("Clip", x, *bounds)


class Affine(Elementwise):
    """`scale`·x + `shift`, with constants: for example a scaled residual."""

    name: ClassVar[str] = "affine"

    scale: Real = Field(1.0, description="factor")
    shift: Real = Field(0.0, description="number added after the factor")

    def infer(self, x: TensorType) -> TensorType:
        if not self.model_fields_set:  # an expression may be 1
            impossible(self, "expected `scale`, `shift` or both", None, "write `scale: 0.5`, for example")
        return x

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        x = t.call("operator.mul", x, float(self.scale)) if self._multiplies else x
        return x if self.shift == 0 else t.call("operator.add", x, float(self.shift))

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        x = o.op("Mul", x, o.constant(float(self.scale))) if self._multiplies else x
        return x if self.shift == 0 else o.op("Add", x, o.constant(float(self.shift)))

    @property
    def _multiplies(self) -> bool:
        """Whether there is a multiplication: also by 1, if there would be no node at all without it."""
        return self.scale != 1 or self.shift == 0
