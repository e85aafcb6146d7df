"""Ops without weights that reshape a value, or move, copy or add elements."""

from collections.abc import Iterable
from math import prod
from typing import Any, ClassVar, Literal

from pydantic import Field

from cnnc.diagnostics import Code
from cnnc.ops.attributes import MOST_AXES, IntList, Real, Sides, Size
from cnnc.ops.base import (
    Gives,
    Local,
    OnnxBuilder,
    Op,
    Remark,
    Saves,
    TorchBuilder,
    impossible,
    require_divides,
    require_known,
    require_map,
)
from cnnc.ops.reach import GLOBAL, LOCAL, Reach, Reaches
from cnnc.ops.types import TensorType
from cnnc.ops.window import SIDES, onnx_order, torch_order


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


class Permute(Op):
    """The axes in another order: output axis k is input axis `axes[k]`."""

    name: ClassVar[str] = "permute"
    gives: ClassVar[Gives] = "reordered input"
    _saves: ClassVar[Saves] = "nothing"

    axes: IntList = Field(description="the axes in their new order, not counting the batch", max_length=MOST_AXES)

    def infer(self, x: TensorType) -> TensorType:
        rank = len(x.shape)
        if sorted(self.axes) != list(range(rank)):
            problem = f"the axes {list(self.axes)} are not a permutation of the axes of {x}"
            impossible(self, problem, "axes", f"use each of {list(range(rank))} once; the batch is not counted")
        if x.shape[self.axes[0]] is None:
            require_known(self, x, "moves an axis to the channel axis, whose size must be known")
        return TensorType(tuple(x.shape[axis] for axis in self.axes))

    def reach(self, x: TensorType) -> Reaches:
        return LOCAL if self.axes == (0, 1, 2) else GLOBAL

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return t.call("torch.permute", x, [0, *(axis + 1 for axis in self.axes)])

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        return o.op("Transpose", x, perm=[0, *(axis + 1 for axis in self.axes)])


class ChannelShuffle(Local):
    """Interleave groups of channels (Zhang et al., ShuffleNet, 2017): channel g·C/groups + c moves to c·groups + g."""

    name: ClassVar[str] = "channel_shuffle"
    gives: ClassVar[Gives] = "reordered input"
    _saves: ClassVar[Saves] = "nothing"

    groups: Size = Field(description="number of groups to split the channels into")

    def infer(self, x: TensorType) -> TensorType:
        require_map(self, x)
        require_divides(self, x.channels, self.groups, "channels")
        return x

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return t.module("ChannelShuffle", x, groups=self.groups)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        return interleaved(o, x, o.inputs[0], self.groups)


def interleaved(o: OnnxBuilder, x: str, type: TensorType, groups: int) -> str:
    """Add the ONNX nodes that interleave the groups of channels of a map, as `channel_shuffle` does."""
    y = o.op("Reshape", x, o.constant([0, groups, type.channels // groups, -1]))
    y = o.op("Transpose", y, perm=[0, 2, 1, 3])
    sizes = [size for size in type.shape if size is not None]
    return o.op("Reshape", y, o.constant([0, *sizes]) if type.known else o.op("Shape", x))


class Pad(Op):
    """Add rows and columns around a map: (C, H, W) to (C, top + H + bottom, left + W + right)."""

    name: ClassVar[str] = "pad"
    gives: ClassVar[Gives] = "logits"
    _saves: ClassVar[Saves] = "nothing"

    padding: Sides = Field(description="rows and columns to add on each side")
    mode: Literal["constant", "reflect", "replicate", "circular"] = Field(
        "constant", description="what to add: a value, the mirror image, the edge value, or the opposite side"
    )
    value: Real = Field(0.0, description="value that `constant` adds")

    def infer(self, x: TensorType) -> TensorType:
        require_map(self, x)
        if self.value and self.mode != "constant":
            problem = f"`mode: {self.mode}` copies from the input and takes no `value`, got {self.value}"
            impossible(self, problem, "value", "remove `value`, or write `mode: constant`")
        top, left, bottom, right = self.padding
        for axis, (size, pads) in enumerate(zip(x.space, ((top, bottom), (left, right)), strict=True)):
            least = max(pads) + (self.mode == "reflect")
            if self.mode in ("reflect", "circular") and size is not None and size < least:
                problem = f"{self.mode} padding of {max(pads)} needs a {SIDES[axis]} of at least {least}, got {size}"
                impossible(self, problem, "padding", "pad less, or use `mode: replicate`, which has no such limit")
        height, width = x.space
        return TensorType(
            (
                x.channels,
                None if height is None else top + height + bottom,
                None if width is None else left + width + right,
            )
        )

    def reach(self, x: TensorType) -> Reaches:
        top, left = -self.padding[0], -self.padding[1]
        return Reach(1, (top,), (top,)), Reach(1, (left,), (left,))

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return t.call("torch.nn.functional.pad", x, torch_order(self.padding), self.mode, self.value)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        if self.mode == "circular":
            return self._wrap(o, x)
        value = [o.constant(self.value)] if self.mode == "constant" else []
        mode = "edge" if self.mode == "replicate" else self.mode
        return o.op("Pad", x, o.constant(onnx_order(self.padding)), *value, mode=mode)

    def _wrap(self, o: OnnxBuilder, x: str) -> str:
        """Concatenate the end, the input and the start along each axis: before opset 19, Pad cannot wrap."""
        for axis in (2, 3):
            before, after = self.padding[axis - 2], self.padding[axis]
            end = [self._slice(o, x, axis, -before, 2**62)] if before else []
            start = [self._slice(o, x, axis, 0, after)] if after else []
            x = o.op("Concat", *end, x, *start, axis=axis) if end or start else x
        return x

    def _slice(self, o: OnnxBuilder, x: str, axis: int, start: int, end: int) -> str:
        return o.op("Slice", x, o.constant([start]), o.constant([end]), o.constant([axis]))


class Identity(Local):
    """The input itself."""

    name: ClassVar[str] = "identity"
    gives: ClassVar[Gives] = "input"
    _saves: ClassVar[Saves] = "nothing"

    def infer(self, x: TensorType) -> TensorType:
        return x

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return t.module("Identity", x)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        return o.op("Identity", x)
