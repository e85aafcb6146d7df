"""Gated linear units."""

from typing import Any, ClassVar

from pydantic import Field

from cnnc.diagnostics import Code
from cnnc.ops.attributes import Signed
from cnnc.ops.base import Gives, OnnxBuilder, Op, Refusal, TorchBuilder, position, require_known
from cnnc.ops.reach import GLOBAL, LOCAL, Reaches
from cnnc.ops.types import TensorType


class Glu(Op):
    """a·sigmoid(b), where a and b are the halves of the input along an axis (Dauphin et al., 2016)."""

    name: ClassVar[str] = "glu"
    gives: ClassVar[Gives] = "logits"

    axis: Signed = Field(0, description="axis to halve, not counting the batch: 0 for channels or features")

    def infer(self, x: TensorType) -> TensorType:
        axis = position(self, x, self.axis)
        size = x.shape[axis]
        if size is None:
            require_known(self, x, f"halves axis {axis}, whose size must be known")
        if size is None or size % 2:
            raise Refusal(
                Code.INDIVISIBLE,
                f"{self.name}: {size} elements along axis {axis} cannot be halved",
                label=f"its input is {x}",
                help=f"make the size of axis {axis} even",
            )
        return TensorType((*x.shape[:axis], size // 2, *x.shape[axis + 1 :]))

    def reach(self, x: TensorType) -> Reaches:
        return LOCAL if position(self, x, self.axis) == 0 else GLOBAL

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return t.module("GLU", x, dim=1 + position(self, t.inputs[0], self.axis))

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        axis = position(self, o.inputs[0], self.axis)
        half = o.outputs[0].shape[axis] or 0
        a, b = o.ops("Split", 2, x, o.constant([half, half]), axis=1 + axis)
        return o.op("Mul", a, o.op("Sigmoid", b))
