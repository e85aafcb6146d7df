"""Other elementwise activations, for any shape, and `activation`, which selects one by name."""

from math import pi, sqrt
from typing import Any, ClassVar, Literal

from pydantic import Field, ValidationError

from cnnc.ops import registry
from cnnc.ops.attributes import ActivationName, Divisor, Real, Signed
from cnnc.ops.base import Cost, Elementwise, Gives, OnnxBuilder, Op, Saves, TorchBuilder, impossible
from cnnc.ops.reach import Reaches
from cnnc.ops.softmax import Softmax
from cnnc.ops.types import TensorType


class Sigmoid(Elementwise):
    """1 / (1 + e⁻ˣ)."""

    name: ClassVar[str] = "sigmoid"
    gives: ClassVar[Gives] = "probabilities"
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
    """x·Φ(x), where Φ is the standard normal distribution function (Hendrycks and Gimpel, 2016)."""

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
    gives: ClassVar[Gives] = "probabilities"

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


class Softplus(Elementwise):
    """ln(1 + e^(beta·x)) / beta, a smooth `relu` (Dugas et al., 2001)."""

    name: ClassVar[str] = "softplus"

    beta: Divisor = Field(1.0, description="sharpness of the bend; a large value approaches `relu`")

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return t.module("Softplus", x, beta=self.beta)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        if self.beta == 1:
            return o.op("Softplus", x)
        beta = o.constant(float(self.beta))
        return o.op("Div", o.op("Softplus", o.op("Mul", x, beta)), beta)


class Softsign(Elementwise):
    """x / (1 + |x|)."""

    name: ClassVar[str] = "softsign"

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return t.module("Softsign", x)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        return o.op("Softsign", x)


class Hardtanh(Elementwise):
    """min(max(x, `min`), `max`)."""

    name: ClassVar[str] = "hardtanh"

    min: Real = Field(-1.0, description="smallest value of the output")
    max: Real = Field(1.0, description="largest value of the output")

    def infer(self, x: TensorType) -> TensorType:
        if self.min >= self.max:
            impossible(self, f"`min` must be smaller than `max`, got {self.min} and {self.max}", "min", "swap them")
        return x

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return t.module("Hardtanh", x, min_val=self.min, max_val=self.max)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        return o.op("Clip", x, o.constant(float(self.min)), o.constant(float(self.max)))


class Activation(Op):
    """The activation of the given name, for a block that takes the activation as a parameter.

    The other attributes are those of the activation; without them, it has its defaults.
    """

    name: ClassVar[str] = "activation"

    kind: ActivationName = Field(description="the activation's name")
    slope: Real | None = Field(None, description="`slope` of leaky_relu and prelu")
    per_channel: bool | None = Field(None, description="`per_channel` of prelu")
    alpha: Real | None = Field(None, description="`alpha` of elu and celu")
    beta: Divisor | None = Field(None, description="`beta` of softplus")
    approximate: Literal["none", "tanh"] | None = Field(None, description="`approximate` of gelu")
    min: Real | None = Field(None, description="`min` of hardtanh")
    max: Real | None = Field(None, description="`max` of hardtanh")
    axis: Signed | None = Field(None, description="`axis` of softmax and log_softmax")

    @property
    def gives(self) -> Gives:
        return self._op.gives

    @property
    def saves(self) -> Saves:
        return self._op.saves

    def infer(self, x: TensorType) -> TensorType:
        kind = registry.get(self.kind)
        for attribute in self._given:
            if attribute not in kind.model_fields:
                has = ", ".join(f"`{each}`" for each in kind.model_fields) or "no attributes"
                impossible(self, f"`{self.kind}` has no attribute `{attribute}`", attribute, f"it has {has}")
        try:
            op = self._op
        except ValidationError as error:
            fault = error.errors()[0]
            problem = f"`{fault['loc'][0]}` does not fit `{self.kind}`: {fault['msg'].lower()}, got {fault['input']}"
            impossible(self, problem, str(fault["loc"][0]), f"see the attributes of `{self.kind}`")
        return op.infer(x)

    def reach(self, x: TensorType) -> Reaches:
        return self._op.reach(x)

    def cost(self, x: TensorType) -> Cost:
        return self._op.cost(x)

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return self._op.to_torch(t, x)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str | tuple[str, ...]:
        return self._op.to_onnx(o, x)

    @property
    def _given(self) -> dict[str, Any]:
        return self.model_dump(exclude={"kind"}, exclude_none=True)

    @property
    def _op(self) -> "Elementwise | Softmax":
        op = registry.get(self.kind).model_validate(self._given)
        assert isinstance(op, Elementwise | Softmax)
        return op
