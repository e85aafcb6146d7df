"""The base of ops that keep the shape, and in which the elements along an axis depend on each other."""

from pydantic import Field

from cnnc.ops.attributes import Signed
from cnnc.ops.base import Op, position
from cnnc.ops.reach import ITSELF, ITSELF_AND_ALL, Reaches
from cnnc.ops.types import TensorType


class AlongAxis(Op):
    """An op that works along an axis."""

    axis: Signed = Field(0, description="axis to work along, not counting the batch: 0 for channels")

    def infer(self, x: TensorType) -> TensorType:
        position(self, x, self.axis)
        return x

    def reach(self, x: TensorType) -> Reaches:
        axis = position(self, x, self.axis)
        return (ITSELF_AND_ALL if axis == 1 else ITSELF, ITSELF_AND_ALL if axis == 2 else ITSELF)
