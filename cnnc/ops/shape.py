"""The same elements in the same order in another shape."""

from collections.abc import Iterable
from math import prod
from typing import Any, ClassVar

from pydantic import Field

from cnnc.diagnostics import Code
from cnnc.ops.attributes import MOST_AXES, IntList
from cnnc.ops.base import (
    Gives,
    OnnxBuilder,
    Op,
    Remark,
    Saves,
    TorchBuilder,
    impossible,
    require_known,
)
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


class Reshape(Op):
    """The same elements in the same order in another shape; one size may be -1, to be computed from the others.

    If a size of the input is unknown, -1 stands for all that depends on it: `shape: [8, -1]`.
    """

    name: ClassVar[str] = "reshape"
    gives: ClassVar[Gives] = "reordered input"
    _saves: ClassVar[Saves] = "nothing"

    shape: IntList = Field(description="new shape, without the batch", min_length=1, max_length=MOST_AXES)

    def infer(self, x: TensorType) -> TensorType:
        shape = self._shape(x)
        if x.elements is not None:
            return TensorType(shape)
        if -1 not in self.shape[1:]:
            reason = "needs a -1 after the first axis for a size that depends on an unknown one"
            require_known(self, x, reason)
        return TensorType(tuple(None if size == -1 else size for size in self.shape))

    def reach(self, x: TensorType) -> Reaches:
        return GLOBAL  # elements move to positions that depend on the channel

    def remarks(self, x: TensorType) -> Iterable[Remark]:
        batch, *rest = self._shape(x)
        if self.shape[0] == -1 and batch == 1 and rest and len(rest) != 2:  # a map of one channel may be meant
            yield Remark(
                Code.COUNTED_BATCH,
                f"{self.name}: the -1 of {list(self.shape)} is 1, because a shape does not count the batch",
                f"write `shape: {rest}`",
            )

    def _shape(self, x: TensorType) -> tuple[int, ...]:
        """Return the new shape for an element of each axis of unknown size."""
        elements = prod(size for size in x.shape if size is not None)
        rest = prod(size for size in self.shape if size != -1)
        if min(self.shape) < -1 or 0 in self.shape or self.shape.count(-1) > 1:
            problem = f"sizes must be at least 1, and one of them may be -1, got {list(self.shape)}"
            impossible(self, problem, "shape", "`shape: [-1]` makes a vector")
        if elements % rest or (-1 not in self.shape and elements != rest):
            made = f"{'×'.join(map(str, self.shape))} = {rest}" if -1 not in self.shape else f"a multiple of {rest}"
            way_out = "write -1 for a size that follows from the others"
            has = f"{elements} elements" if x.elements else f"a multiple of {elements} elements"
            impossible(self, f"the input has {has}, but the shape needs {made}", "shape", way_out)
        return tuple(elements // rest if size == -1 else size for size in self.shape)

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        if t.outputs[0].elements is None:
            return t.call("torch.reshape", x, [t.method("size", x, 0), *self.shape])
        return t.call("torch.reshape", x, [-1, *t.outputs[0].shape])

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        return o.op("Reshape", x, o.constant([0, *(-1 if size is None else size for size in o.outputs[0].shape)]))
