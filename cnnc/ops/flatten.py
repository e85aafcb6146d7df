"""All elements of a value as a vector."""

from typing import Any, ClassVar

from cnnc.ops.base import Gives, OnnxBuilder, Op, Saves, TorchBuilder, require_known
from cnnc.ops.reach import GLOBAL, Reaches
from cnnc.ops.types import TensorType


class Flatten(Op):
    """All elements as a vector, the last axis varying fastest: (C, H, W) to (C·H·W,)."""

    name: ClassVar[str] = "flatten"
    gives: ClassVar[Gives] = "reordered input"
    _saves: ClassVar[Saves] = "nothing"

    def infer(self, x: TensorType) -> TensorType:
        require_known(self, x, "outputs a vector, whose size must be known")
        return TensorType((x.elements,))

    def reach(self, x: TensorType) -> Reaches:
        return GLOBAL

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return t.module("Flatten", x)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        return o.op("Flatten", x, axis=1)
