"""Pooling over whole feature maps, (C, H, W)."""

from typing import Any, ClassVar

from cnnc.ops.base import Gives, OnnxBuilder, Op, Saves, TorchBuilder, require_map
from cnnc.ops.reach import GLOBAL, Reaches
from cnnc.ops.types import TensorType


class _GlobalPool(Op):
    """A pool over all positions of each channel."""

    gives: ClassVar[Gives] = "logits"
    _torch: ClassVar[str]
    _onnx: ClassVar[str]

    def infer(self, x: TensorType) -> TensorType:
        require_map(self, x)
        return TensorType((x.channels, 1, 1))

    def reach(self, x: TensorType) -> Reaches:
        return GLOBAL

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return t.module(self._torch, x, output_size=1)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        return o.op(self._onnx, x)


class GlobalAvgPool(_GlobalPool):
    """The average of each channel (Lin et al., Network in network, 2013): (C, H, W) to (C, 1, 1)."""

    name: ClassVar[str] = "global_avg_pool"
    _saves: ClassVar[Saves] = "nothing"
    _torch: ClassVar[str] = "AdaptiveAvgPool2d"
    _onnx: ClassVar[str] = "GlobalAveragePool"


class GlobalMaxPool(_GlobalPool):
    """The largest value of each channel: (C, H, W) to (C, 1, 1)."""

    name: ClassVar[str] = "global_max_pool"
    _saves: ClassVar[Saves] = "inputs and indices"
    _torch: ClassVar[str] = "AdaptiveMaxPool2d"
    _onnx: ClassVar[str] = "GlobalMaxPool"
