"""Softmax and log-softmax along an axis."""

from typing import Any, ClassVar

from pydantic import Field

from cnnc.ops.along_axis import AlongAxis
from cnnc.ops.attributes import Signed
from cnnc.ops.base import Gives, OnnxBuilder, Saves, TorchBuilder, position


class Softmax(AlongAxis):
    """eˣ divided by its sum over an axis, so that the results add up to 1. Keeps the shape."""

    name: ClassVar[str] = "softmax"
    gives: ClassVar[Gives] = "probabilities"
    _saves: ClassVar[Saves] = "output"
    _torch: ClassVar[str] = "Softmax"
    _onnx: ClassVar[str] = "Softmax"

    axis: Signed = Field(0, description="axis to sum over, not counting the batch: 0 for channels or features")

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return t.module(self._torch, x, dim=1 + position(self, t.inputs[0], self.axis))

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        return o.op(self._onnx, x, axis=1 + position(self, o.inputs[0], self.axis))


class LogSoftmax(Softmax):
    """The logarithm of `softmax`, accurate even where `softmax` underflows to 0. Keeps the shape."""

    name: ClassVar[str] = "log_softmax"
    gives: ClassVar[Gives] = "log_probabilities"
    _torch: ClassVar[str] = "LogSoftmax"
    _onnx: ClassVar[str] = "LogSoftmax"
