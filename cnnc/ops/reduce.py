"""Reductions over axes: mean, sum and maximum; and division by the Euclidean norm along an axis."""

from typing import Any, ClassVar

from pydantic import Field

from cnnc.ops.along_axis import AlongAxis
from cnnc.ops.attributes import AxesAttribute, Divisor, Signed
from cnnc.ops.base import Gives, OnnxBuilder, Op, Saves, TorchBuilder, impossible, position, reduced, require_known
from cnnc.ops.reach import EVERYTHING, GLOBAL, ITSELF, Reaches
from cnnc.ops.types import TensorType


class _Reduction(Op):
    """A function of all elements along some axes."""

    gives: ClassVar[Gives] = "logits"
    _torch: ClassVar[str]
    _onnx: ClassVar[str]
    _axes_are_an_input_from: ClassVar[int] = 18  # the ONNX opset

    axes: AxesAttribute = Field(description="the axis or axes to reduce, not counting the batch: 0 for channels")
    keep: bool = Field(True, description="whether to keep each reduced axis with a size of 1")

    def infer(self, x: TensorType) -> TensorType:
        axes = self._positions(x)
        if self.keep:
            return TensorType(tuple(1 if axis in axes else size for axis, size in enumerate(x.shape)))
        if len(axes) == len(x.shape):
            impossible(self, f"`keep: false` leaves no axis of {x}", "keep", "remove `keep`, or reduce fewer axes")
        rest = TensorType(tuple(size for axis, size in enumerate(x.shape) if axis not in axes))
        if rest.shape[0] is None:
            require_known(self, x, "makes the first remaining axis the channel axis, whose size must be known")
        return rest

    def _positions(self, x: TensorType) -> list[int]:
        axes = [position(self, x, axis, "axes") for axis in self.axes]
        if len(set(axes)) != len(axes):
            impossible(self, f"`axes` contains an axis twice: {list(self.axes)}", "axes", "write each axis once")
        return axes

    def reach(self, x: TensorType) -> Reaches:
        if not self.keep:
            return GLOBAL
        axes = self._positions(x)
        return (EVERYTHING if 1 in axes else ITSELF, EVERYTHING if 2 in axes else ITSELF)

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return t.call(self._torch, x, [1 + axis for axis in self._positions(t.inputs[0])], self.keep)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        axes = [1 + axis for axis in self._positions(o.inputs[0])]
        return reduced(o, self._onnx, x, axes, self.keep, self._axes_are_an_input_from)


class Mean(_Reduction):
    """The mean over axes."""

    name: ClassVar[str] = "mean"
    _saves: ClassVar[Saves] = "nothing"
    _torch: ClassVar[str] = "torch.mean"
    _onnx: ClassVar[str] = "ReduceMean"


class Sum(_Reduction):
    """The sum over axes."""

    name: ClassVar[str] = "sum"
    _saves: ClassVar[Saves] = "nothing"
    _torch: ClassVar[str] = "torch.sum"
    _onnx: ClassVar[str] = "ReduceSum"
    _axes_are_an_input_from: ClassVar[int] = 13


class Amax(_Reduction):
    """The largest element over axes. If several are the largest, each gets an equal part of the gradient."""

    name: ClassVar[str] = "amax"
    _torch: ClassVar[str] = "torch.amax"
    _onnx: ClassVar[str] = "ReduceMax"


class L2Norm(AlongAxis):
    """x divided by its Euclidean norm along an axis, or by `eps` if the norm is smaller. Keeps the shape."""

    name: ClassVar[str] = "l2_norm"
    gives: ClassVar[Gives] = "logits"

    axis: Signed = Field(0, description="axis of the norm, not counting the batch: 0 for channels or features")
    eps: Divisor = Field(1e-12, description="smallest divisor")

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        axis = 1 + position(self, t.inputs[0], self.axis)
        return t.call("torch.nn.functional.normalize", x, 2.0, axis, float(self.eps))

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        norm = reduced(o, "ReduceL2", x, [1 + position(self, o.inputs[0], self.axis)])
        return o.op("Div", x, o.op("Max", norm, o.constant(float(self.eps))))
