"""Joining values along an axis."""

from typing import Any, ClassVar

from pydantic import Field

from cnnc.ops.attributes import Signed
from cnnc.ops.base import Gives, OnnxBuilder, Op, Saves, TorchBuilder, position
from cnnc.ops.reach import Reaches, besides
from cnnc.ops.types import TensorType
from cnnc.ops.unify import MOST, unify


class Concat(Op):
    """Join values along an axis, by default the channels; all other sizes must be equal."""

    name: ClassVar[str] = "concat"
    gives: ClassVar[Gives] = "logits"
    _saves: ClassVar[Saves] = "nothing"
    least_inputs: ClassVar[int] = 2
    most_inputs: ClassVar[int] = MOST

    axis: Signed = Field(0, description="axis to join along, not counting the batch: 0 for channels")

    def infer(self, *xs: TensorType) -> TensorType:
        axis = position(self, xs[0], self.axis)
        way_out = f"give all inputs of `concat` the same sizes, except along axis {axis}, the joined one"
        merged = unify(self, xs, range(len(xs)), way_out, free=(axis,))
        sizes = [x.shape[axis] for x in xs]
        total = None if None in sizes else sum(size or 0 for size in sizes)
        return TensorType((*merged.shape[:axis], total, *merged.shape[axis + 1 :]))

    def reach(self, *xs: TensorType) -> Reaches:
        return besides(position(self, xs[0], self.axis))

    def to_torch(self, t: TorchBuilder, *xs: Any) -> Any:
        return t.call("torch.cat", list(xs), dim=1 + position(self, t.inputs[0], self.axis))

    def to_onnx(self, o: OnnxBuilder, *xs: str) -> str:
        return o.op("Concat", *xs, axis=1 + position(self, o.inputs[0], self.axis))
