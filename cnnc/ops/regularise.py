"""Ops that drop values at random in training and do nothing in inference. They keep the shape."""

from typing import Any, ClassVar

from pydantic import Field

from cnnc.diagnostics import Code
from cnnc.ops.attributes import Fraction
from cnnc.ops.base import Gives, Local, OnnxBuilder, Refusal, Saves, TorchBuilder, require_map
from cnnc.ops.types import TensorType


class Dropout(Local):
    """Each element becomes 0 with probability `rate`, or x / (1 - rate) (Srivastava et al., 2014)."""

    name: ClassVar[str] = "dropout"
    gives: ClassVar[Gives] = "input"
    drops: ClassVar[bool] = True
    _saves: ClassVar[Saves] = "output"  # its mask

    rate: Fraction = Field(0.5, description="probability of dropping an element")
    channels: bool = Field(False, description="whether to drop whole channels of a map (Tompson et al., 2015)")

    def infer(self, x: TensorType) -> TensorType:
        if self.channels:
            require_map(self, x)
        return x

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return t.module("Dropout2d" if self.channels else "Dropout", x, p=self.rate)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        return o.op("Identity", x)


class DropPath(Local):
    """Each sample becomes 0 with probability `rate`, or x / (1 - rate): stochastic depth (Huang et al., 2016)."""

    name: ClassVar[str] = "drop_path"
    gives: ClassVar[Gives] = "input"
    drops: ClassVar[bool] = True
    _saves: ClassVar[Saves] = "nothing"

    rate: Fraction = Field(description="probability of dropping a sample")

    def infer(self, x: TensorType) -> TensorType:
        if len(x.shape) > 3:
            raise Refusal(
                Code.WRONG_RANK,
                f"{self.name} expects at most three axes, got {x}",
                label=f"its input is {x}",
                help="`flatten` or `reshape` the input first",
            )
        return x

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        # torch drops whole channels. With the samples as the channels of a batch of 1, it drops samples.
        samples = t.call("torch.unsqueeze", x, 0)
        kept = t.module(f"Dropout{len(t.inputs[0].shape)}d", samples, p=self.rate)
        return t.call("torch.squeeze", kept, 0)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        return o.op("Identity", x)
