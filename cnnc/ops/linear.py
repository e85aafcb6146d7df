"""The fully connected layer over vectors and tokens, and a learned factor per channel or feature."""

from math import prod
from typing import Any, ClassVar

from pydantic import Field

from cnnc.diagnostics import Code
from cnnc.ops.attributes import Real, Size
from cnnc.ops.base import Cost, Gives, Local, OnnxBuilder, Refusal, TorchBuilder, require_known
from cnnc.ops.types import TensorType


class Linear(Local):
    """A fully connected layer, x·Wᵀ + b: (features,) to (out,), or (tokens, features) to (tokens, out)."""

    name: ClassVar[str] = "linear"
    gives: ClassVar[Gives] = "logits"
    takes_act: ClassVar[bool] = True

    out: Size = Field(description="output features")
    bias: bool = Field(True, description="whether to add a learned bias")

    def infer(self, x: TensorType) -> TensorType:
        if not (x.is_vector or x.is_tokens):
            raise Refusal(
                Code.WRONG_RANK,
                f"{self.name} expects a vector, got {x}",
                label=f"its input is {x}",
                help=_way_to_a_vector(x),
            )
        require_known(self, x, "needs the number of features")
        return TensorType((*x.shape[:-1], self.out))

    def cost(self, x: TensorType) -> Cost:
        return Cost(params=self.out * (x.features + self.bias), macs=self.out * (x.elements or 0))

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return t.module("Linear", x, in_features=t.inputs[0].features, out_features=self.out, bias=self.bias)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        bias = [o.weight("bias")] if self.bias else []
        if o.inputs[0].is_vector:
            return o.op("Gemm", x, o.weight("weight"), *bias, transB=1)
        y = o.op("MatMul", x, o.op("Transpose", o.weight("weight"), perm=[1, 0]))
        return o.op("Add", y, *bias) if bias else y


class Scale(Local):
    """A learned factor per channel (layer scale: Touvron et al., 2021), or per feature of tokens. Keeps the shape."""

    name: ClassVar[str] = "scale"
    gives: ClassVar[Gives] = "logits"

    init: Real = Field(1.0, description="initial value of the factors")

    def infer(self, x: TensorType) -> TensorType:
        if x.is_tokens and x.shape[-1] is None:
            require_known(self, x, "needs the number of features")
        return x

    def cost(self, x: TensorType) -> Cost:
        return Cost(params=prod(self._shape(x)))

    @staticmethod
    def _shape(x: TensorType) -> tuple[int, ...]:
        """The shape of the factors."""
        return (x.features,) if x.is_tokens else (x.channels, *(1 for _ in x.shape[1:]))

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        shape = self._shape(t.inputs[0])
        return t.call("torch.mul", x, t.parameter("weight", shape, self.init))

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        return o.op("Mul", x, o.weight("weight"))


def _way_to_a_vector(x: TensorType) -> str:
    if not x.is_map:
        return "put `flatten` before it" + ("; a shape does not count the batch" if x.channels == 1 else "")
    pooled = f"`global_avg_pool` and then `flatten`, for a vector of {x.channels}"
    return f"put `flatten` before it, for a vector of {x.elements}, or {pooled}" if x.known else f"put {pooled}"
