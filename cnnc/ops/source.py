"""Ops that make a value of their own: learned tensors and constants. They take no input.

Their node has the first input of its scope as a hidden input, which gives the batch size.
"""

from math import prod
from typing import Any, ClassVar

from pydantic import Field

from cnnc.ops.attributes import MOST_AXES, IntList, NonNegative, Real
from cnnc.ops.base import Cost, Gives, OnnxBuilder, Op, Saves, TorchBuilder, impossible
from cnnc.ops.reach import GLOBAL, Reaches
from cnnc.ops.types import TensorType


class _Source(Op):
    """An op that makes a value of its own."""

    gives: ClassVar[Gives] = "logits"
    least_inputs: ClassVar[int] = 0
    most_inputs: ClassVar[int] = 0
    _saves: ClassVar[Saves] = "nothing"

    shape: IntList = Field(description="shape of the value, without the batch", min_length=1, max_length=MOST_AXES)

    @property
    def unread(self) -> tuple[int, ...]:
        return (0,)

    def infer(self, x: TensorType) -> TensorType:
        if min(self.shape) < 1:
            impossible(self, f"sizes must be at least 1, got {list(self.shape)}", "shape", "use positive sizes")
        return TensorType(self.shape)

    def reach(self, x: TensorType) -> Reaches:
        return GLOBAL


class Parameter(_Source):
    """A learned tensor, the same for every sample; its key in the state_dict is the path of its node."""

    name: ClassVar[str] = "parameter"

    init: Real = Field(0.0, description="initial value")
    deviation: NonNegative = Field(0.0, description="standard deviation of a normal distribution around `init`")
    batch: bool = Field(
        False, description="whether the tensor in the state_dict has a first axis of 1, as in many vision transformers"
    )

    def cost(self, x: TensorType) -> Cost:
        return Cost(params=prod(self.shape))

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        value = t.parameter("", (1, *self.shape) if self.batch else self.shape, self.init, self.deviation)
        return t.method("expand", value, [t.method("size", x, 0), *self.shape])

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        return _repeated(o, o.weight(""), x, self.shape)


class Constant(_Source):
    """A tensor of one number, or the coordinates of a map's positions (CoordConv: Liu et al., 2018).

    Coordinates have two channels, the row and the column, from -1 to 1.
    """

    name: ClassVar[str] = "constant"

    value: Real = Field(0.0, description="the number")
    coordinates: bool = Field(False, description="whether it holds coordinates; its shape must then be [2, H, W]")

    def infer(self, x: TensorType) -> TensorType:
        if self.coordinates and (len(self.shape) != 3 or self.shape[0] != 2):
            problem = f"coordinates have the shape [2, height, width], got {list(self.shape)}"
            impossible(self, problem, "shape", "`shape: $([2, x.height, x.width])` has the size of a node `x`")
        if self.coordinates and self.value:
            impossible(self, f"coordinates take no `value`, got {self.value}", "value", "remove `value`")
        return super().infer(x)

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        batch = t.method("size", x, 0)
        if not self.coordinates:
            return t.method("new_full", x, [batch, *self.shape], float(self.value))
        _, height, width = self.shape
        sides = [
            t.method("expand", t.call("torch.reshape", self._line(t, x, size), shape), [batch, 1, height, width])
            for size, shape in ((height, [1, height, 1]), (width, [1, 1, width]))
        ]
        return t.call("torch.cat", sides, dim=1)

    def _line(self, t: TorchBuilder, x: Any, size: int) -> Any:
        return t.method("to", t.call("torch.linspace", -1.0 if size > 1 else 0.0, 1.0 if size > 1 else 0.0, size), x)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        if not self.coordinates:
            return _repeated(o, o.constant(float(self.value)), x, self.shape)
        _, height, width = self.shape
        rows = [[each] for each in _line(height)]
        sides = [_repeated(o, o.constant(line), x, (1, height, width)) for line in (rows, [_line(width)])]
        return o.op("Concat", *sides, axis=1)


def _line(size: int) -> list[float]:
    """Return `size` numbers from -1 to 1 at equal distances; 0 if there is only one."""
    return [2 * i / (size - 1) - 1 for i in range(size)] if size > 1 else [0.0]


def _repeated(o: OnnxBuilder, value: str, x: str, shape: tuple[int, ...]) -> str:
    """Return `value`, broadcast to `shape` for each sample of `x`."""
    batch = o.op("Shape", x, start=0, end=1)
    return o.op("Expand", value, o.op("Concat", batch, o.constant(list(shape)), axis=0))
