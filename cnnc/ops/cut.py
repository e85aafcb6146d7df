"""Ops that keep a part of a value: a slice along an axis, and the centre of a map."""

from typing import Any, ClassVar

from pydantic import Field

from cnnc.diagnostics import Code
from cnnc.ops.attributes import Signed, Size, SizePair
from cnnc.ops.base import Gives, OnnxBuilder, Op, Refusal, Saves, TorchBuilder, impossible, position, require_map
from cnnc.ops.reach import ITSELF, Reach, Reaches
from cnnc.ops.types import TensorType
from cnnc.ops.window import SIDES

END = 2**62  # beyond the end of any axis


class Slice(Op):
    """Every `step`-th element from `start` up to, but without, `stop` along an axis, as in Python."""

    name: ClassVar[str] = "slice"
    gives: ClassVar[Gives] = "reordered input"
    _saves: ClassVar[Saves] = "nothing"

    axis: Signed = Field(0, description="axis to slice, not counting the batch: 0 for channels")
    start: Signed = Field(0, description="first index; a negative one counts from the end")
    stop: Signed | None = Field(None, description="index after the last; a negative one counts from the end")
    step: Size = Field(1, description="distance between the elements")

    def infer(self, x: TensorType) -> TensorType:
        axis = position(self, x, self.axis)
        size = x.shape[axis]
        left = None if size is None else len(range(size)[self._slice])
        if left == 0:
            stop = "the end" if self.stop is None else self.stop
            problem = f"nothing is left of the {size} elements along axis {axis} from {self.start} to {stop}"
            impossible(self, problem, "start" if self.stop is None else "stop", "keep at least one element")
        return TensorType((*x.shape[:axis], left, *x.shape[axis + 1 :]))

    @property
    def _slice(self) -> slice:
        return slice(self.start, self.stop, self.step)

    def reach(self, x: TensorType) -> Reaches:
        axis = position(self, x, self.axis)
        return (
            self._along(x.shape[1]) if axis == 1 else ITSELF,
            self._along(x.shape[2]) if axis == 2 else ITSELF,
        )

    def _along(self, size: int | None) -> Reach | None:
        if self.start < 0 and size is None:
            return None
        first = range(size)[self._slice][0] if size is not None else self.start
        return Reach(self.step, (first,), (first,))

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        whole = [slice(None)] * (1 + position(self, t.inputs[0], self.axis))
        return t.call("operator.getitem", x, (*whole, slice(self.start, self.stop, self.step)))

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        stop = END if self.stop is None else self.stop
        places = [self.start, stop, 1 + position(self, o.inputs[0], self.axis), self.step]
        return o.op("Slice", x, *(o.constant([each]) for each in places))


class Crop(Op):
    """The centre of a map: (C, H, W) to (C, *size). If a margin is odd, its larger part is at the bottom or right."""

    name: ClassVar[str] = "crop"
    gives: ClassVar[Gives] = "reordered input"
    _saves: ClassVar[Saves] = "nothing"

    size: SizePair = Field(description="height and width of the output")

    def infer(self, x: TensorType) -> TensorType:
        require_map(self, x)
        for axis, (size, wanted) in enumerate(zip(x.space, self.size, strict=True)):
            if size is None:
                raise Refusal(
                    Code.UNKNOWN_SIZE,
                    f"{self.name} needs the input's {SIDES[axis]} to find its centre, but its input is {x}",
                    label=f"its input is {x}",
                    help=f"give the input a fixed {SIDES[axis]}",
                )
            if wanted > size:
                problem = f"a {SIDES[axis]} of {wanted} does not fit into {size}"
                impossible(self, problem, "size", f"use a {SIDES[axis]} of at most {size}")
        return TensorType((x.channels, *self.size))

    def _start(self, x: TensorType) -> list[int]:
        return [(size or 0) - wanted >> 1 for size, wanted in zip(x.space, self.size, strict=True)]

    def reach(self, x: TensorType) -> Reaches:
        top, left = self._start(x)
        return Reach(1, (top,), (top,)), Reach(1, (left,), (left,))

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        parts = (slice(start, start + size) for start, size in zip(self._start(t.inputs[0]), self.size, strict=True))
        return t.call("operator.getitem", x, (slice(None), slice(None), *parts))

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        start = self._start(o.inputs[0])
        stop = [a + b for a, b in zip(start, self.size, strict=True)]
        return o.op("Slice", x, o.constant(start), o.constant(stop), o.constant([2, 3]))
