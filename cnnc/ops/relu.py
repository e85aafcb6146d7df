"""ReLU, an elementwise activation for any shape."""

from typing import Any, ClassVar

from cnnc.ops.base import Elementwise, OnnxBuilder, Saves, TorchBuilder


class Relu(Elementwise):
    """max(0, x) (Nair and Hinton, 2010)."""

    name: ClassVar[str] = "relu"
    _saves: ClassVar[Saves] = "output"

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return t.module("ReLU", x)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        return o.op("Relu", x)
