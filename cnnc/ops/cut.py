"""Ops that keep a part of a value: a slice along an axis, and the centre of a map."""

from typing import Any, ClassVar

from pydantic import Field

from cnnc.diagnostics import Code
from cnnc.ops.attributes import NodeName, Signed, Size, SizePair
from cnnc.ops.base import Gives, OnnxBuilder, Op, Refusal, Saves, TorchBuilder, impossible, position, require_map
from cnnc.ops.reach import ITSELF, Reach, Reaches
from cnnc.ops.types import TensorType
from cnnc.ops.wanted_size import wanted_space
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
    """The centre of a map, of a given size or the size of another map: (C, H, W) to (C, H', W').

    If a margin is odd, its larger part is at the bottom or right.
    """

    name: ClassVar[str] = "crop"
    gives: ClassVar[Gives] = "reordered input"
    _saves: ClassVar[Saves] = "nothing"

    size: SizePair | None = Field(None, description="height and width of the output")
    like: NodeName | None = Field(None, description="a node whose height and width the output has")

    @property
    def unread(self) -> tuple[int, ...]:
        return (1,) if self.like is not None else ()

    def infer(self, x: TensorType, like: TensorType | None = None) -> TensorType:
        require_map(self, x)
        wanted = wanted_space(self, self.size, like)
        for axis, (size, part) in enumerate(zip(x.space, wanted, strict=True)):
            if size is None and like is None:
                raise Refusal(
                    Code.UNKNOWN_SIZE,
                    f"{self.name} needs the input's {SIDES[axis]} to find its centre, but its input is {x}",
                    label=f"its input is {x}",
                    help=f"give the input a fixed {SIDES[axis]}",
                )
            if size is not None and part is not None and part > size:
                problem = f"a {SIDES[axis]} of {part} does not fit into {size}"
                blamed = "size" if like is None else "like"
                impossible(self, problem, blamed, f"use a {SIDES[axis]} of at most {size}")
        return TensorType((x.channels, *wanted))

    def reach(self, x: TensorType, like: TensorType | None = None) -> Reaches:
        wanted = self.infer(x, *([like] if like else [])).space
        pairs = zip(x.space, wanted, strict=True)
        height, width = (None if size is None or part is None else size - part >> 1 for size, part in pairs)
        return (
            None if height is None else Reach(1, (height,), (height,)),
            None if width is None else Reach(1, (width,), (width,)),
        )

    def to_torch(self, t: TorchBuilder, x: Any, like: Any = None) -> Any:
        for axis, (size, part) in enumerate(zip(t.inputs[0].space, t.outputs[0].space, strict=True), 2):
            if size is not None and part is not None:
                x = t.call("torch.narrow", x, axis, size - part >> 1, part)
                continue
            length = t.method("size", like, axis)
            rest = t.call("operator.sub", t.method("size", x, axis), length)
            x = t.call("torch.narrow", x, axis, t.call("operator.floordiv", rest, 2), length)
        return x

    def to_onnx(self, o: OnnxBuilder, x: str, like: str | None = None) -> str:
        for axis, (size, part) in enumerate(zip(o.inputs[0].space, o.outputs[0].space, strict=True), 2):
            if size is not None and part is not None:
                start = size - part >> 1
                x = o.op("Slice", x, o.constant([start]), o.constant([start + part]), o.constant([axis]))
                continue
            # not Slice: without constant bounds, ONNX infers none of its output's sizes
            ends = (o.op("Shape", each, start=axis, end=axis + 1) for each in (x, like or ""))
            whole, length = (o.op("Squeeze", each) for each in ends)
            first = o.op("Div", o.op("Sub", whole, length), o.constant(2))
            known = None if part is None else o.constant(list(range(part)))
            rows = o.op("Add", first, known or o.op("Range", o.constant(0), length, o.constant(1)))
            x = o.op("Gather", x, rows, axis=axis)
        return x
