"""Normalisation over the batch, channels, groups or positions, and local response normalisation across channels.

All but local response normalisation compute (x - mean) / √(variance + eps). If they are `affine`, they then multiply by
a learned weight and add a learned bias. They keep the shape.
"""

from math import prod
from typing import Any, ClassVar, Literal

from pydantic import Field

from cnnc.diagnostics import Code
from cnnc.ops.attributes import Positive, Share, Size
from cnnc.ops.base import (
    Cost,
    Gives,
    Local,
    OnnxBuilder,
    Op,
    Refusal,
    TorchBuilder,
    impossible,
    require_divides,
    require_known,
    require_map,
)
from cnnc.ops.reach import ITSELF_AND_ALL, LOCAL, Reaches
from cnnc.ops.types import TensorType

EPS = "added to the variance"
BY_STATISTICS: Reaches = (ITSELF_AND_ALL, ITSELF_AND_ALL)
AFFINE = "whether to apply a learned weight and bias per channel"


class BatchNorm(Local):
    """Normalise over the batch and all positions; in inference, by running statistics (Ioffe and Szegedy, 2015)."""

    name: ClassVar[str] = "batch_norm"
    gives: ClassVar[Gives] = "logits"
    normalises_channels: ClassVar[bool] = True

    eps: Positive = Field(1e-5, description=EPS)
    momentum: Share | None = Field(
        0.1, description="weight of the new batch in the running statistics; null averages all batches equally"
    )
    affine: bool = Field(True, description=AFFINE)

    def infer(self, x: TensorType) -> TensorType:
        if not (x.is_map or x.is_vector):
            raise Refusal(
                Code.WRONG_RANK,
                f"{self.name} expects a feature map or a vector, got {x}",
                label=f"its input is {x}",
                help="`reshape` the input to three axes or one first",
            )
        return x

    def cost(self, x: TensorType) -> Cost:
        return Cost(params=2 * x.channels * self.affine, buffers=2 * x.channels)

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return t.module(
            "BatchNorm2d" if t.inputs[0].is_map else "BatchNorm1d",
            x,
            num_features=t.inputs[0].channels,
            eps=self.eps,
            momentum=self.momentum,
            affine=self.affine,
        )

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        weight, bias = _affine(o, self.affine)
        statistics = o.weight("running_mean"), o.weight("running_var")
        return o.op("BatchNormalization", x, weight, bias, *statistics, epsilon=self.eps)


class LayerNorm(Op):
    """Normalise each sample by itself (Ba et al., 2016): each position over its channels, or the sample as a whole.

    By default it normalises maps over the channels, and vectors and tokens over the features.
    """

    name: ClassVar[str] = "layer_norm"
    gives: ClassVar[Gives] = "logits"
    normalises_channels: ClassVar[bool] = False

    over: Literal["channels", "features", "all"] | None = Field(
        None, description="what to compute the mean and variance over: the first axis, the last, or all"
    )
    eps: Positive = Field(1e-5, description=EPS)
    affine: bool = Field(True, description="whether to apply a learned weight and bias: per channel, or per element")
    bias: bool = Field(True, description="whether `affine` includes the bias")

    def infer(self, x: TensorType) -> TensorType:
        if self.over == "all":
            require_known(self, x, "with `over: all` needs every input size to be known")
        if self._over_the_last_axis(x):
            require_known(self, x, "needs the number of features")
        if self.over == "features" and x.is_map:
            problem = "`over: features` normalises vectors and tokens, but the input is a map"
            impossible(self, problem, "over", "write `over: channels` or `over: all`")
        return x

    def reach(self, x: TensorType) -> Reaches:
        return BY_STATISTICS if self.over == "all" else LOCAL

    def _shape(self, x: TensorType) -> tuple[int | None, ...]:
        """Return the shape of what is normalised together, which is that of the weight."""
        if self.over == "all":
            return x.shape
        return x.shape[-1:] if self._over_the_last_axis(x) else x.shape[:1]

    def _over_the_last_axis(self, x: TensorType) -> bool:
        return x.is_vector or self.over == "features" or (self.over is None and x.is_tokens)

    def cost(self, x: TensorType) -> Cost:
        return Cost(params=self.affine * (1 + self.bias) * prod(size or 0 for size in self._shape(x)))

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        shape = self._shape(t.inputs[0])
        moved = self.over != "all" and not self._over_the_last_axis(t.inputs[0])
        y = t.call("torch.movedim", x, 1, -1) if moved else x
        y = t.module(
            "LayerNorm",
            y,
            normalized_shape=shape,
            eps=self.eps,
            elementwise_affine=self.affine,
            bias=self.bias,
        )
        return t.call("torch.movedim", y, -1, 1) if moved else y

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        rank = len(o.inputs[0].shape)
        if self.over == "all":
            return self._normalise(o, x, 1)
        if self._over_the_last_axis(o.inputs[0]):
            return self._normalise(o, x, -1)
        y = o.op("Transpose", x, perm=[0, *range(2, rank + 1), 1])
        return o.op("Transpose", self._normalise(o, y, -1), perm=[0, rank, *range(1, rank)])

    def _normalise(self, o: OnnxBuilder, x: str, axis: int) -> str:
        if self.affine:
            bias = [o.weight("bias")] if self.bias else []
            return o.op("LayerNormalization", x, o.weight("weight"), *bias, axis=axis, epsilon=self.eps)
        if axis == -1:
            ones = o.constant([1.0] * (self._shape(o.inputs[0])[0] or 0))
            return o.op("LayerNormalization", x, ones, axis=axis, epsilon=self.eps)
        return _by_group(o, x, 1, self.eps)  # a weight of ones for every element would bloat the file


class GroupNorm(Op):
    """Normalise each sample over groups of its channels (Wu and He, 2018)."""

    name: ClassVar[str] = "group_norm"
    gives: ClassVar[Gives] = "logits"
    normalises_channels: ClassVar[bool] = False

    groups: Size = Field(description="number of groups to split the channels into")
    eps: Positive = Field(1e-5, description=EPS)
    affine: bool = Field(True, description=AFFINE)

    def infer(self, x: TensorType) -> TensorType:
        require_divides(self, x.channels, self.groups, "channels")
        if x.elements == self.groups:  # torch refuses to run it on one sample
            raise Refusal(
                Code.IMPOSSIBLE_ATTRIBUTE,
                f"{self.name}: each of {self.groups} groups of {x} has a single element, which would always become 0",
                attribute="groups",
                label=f"its input is {x}",
                help="use fewer `groups`, or put it before the maps shrink to one position",
            )
        return x

    def reach(self, x: TensorType) -> Reaches:
        return BY_STATISTICS

    def cost(self, x: TensorType) -> Cost:
        return Cost(params=2 * x.channels * self.affine)

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        channels = t.inputs[0].channels
        return t.module("GroupNorm", x, num_groups=self.groups, num_channels=channels, eps=self.eps, affine=self.affine)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        # ONNX's GroupNormalization has weights per group, not per channel, before opset 21.
        y = _by_group(o, x, self.groups, self.eps)
        if not self.affine:
            return y
        shape = o.constant([o.inputs[0].channels, *(1 for _ in o.inputs[0].shape[1:])])
        scaled = o.op("Mul", y, o.op("Reshape", o.weight("weight"), shape))
        return o.op("Add", scaled, o.op("Reshape", o.weight("bias"), shape))


class InstanceNorm(Op):
    """Normalise each channel of each sample over its positions (Ulyanov et al., 2016): (C, H, W) to (C, H, W)."""

    name: ClassVar[str] = "instance_norm"
    gives: ClassVar[Gives] = "logits"
    normalises_channels: ClassVar[bool] = True

    eps: Positive = Field(1e-5, description=EPS)
    affine: bool = Field(False, description=AFFINE)

    def infer(self, x: TensorType) -> TensorType:
        require_map(self, x)
        if x.space == (1, 1):
            raise Refusal(
                Code.WRONG_RANK,
                f"{self.name}: each channel of {x} has a single element, which would always become 0",
                label=f"its input is {x}",
                help="put it before the maps shrink to one position, or use `layer_norm`",
            )
        return x

    def reach(self, x: TensorType) -> Reaches:
        return BY_STATISTICS

    def cost(self, x: TensorType) -> Cost:
        return Cost(params=2 * x.channels * self.affine)

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return t.module("InstanceNorm2d", x, num_features=t.inputs[0].channels, eps=self.eps, affine=self.affine)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        return o.op("InstanceNormalization", x, *_affine(o, self.affine), epsilon=self.eps)


class LocalResponseNorm(Local):
    """x / (k + alpha · mean of x² over `size` neighbouring channels)^beta (Krizhevsky et al., 2012): (C, H, W)."""

    name: ClassVar[str] = "local_response_norm"
    gives: ClassVar[Gives] = "logits"
    normalises_channels: ClassVar[bool] = False

    size: Size = Field(description="number of neighbouring channels, which must be odd")
    alpha: Positive = Field(1e-4, description="factor of the mean")
    beta: Positive = Field(0.75, description="exponent")
    k: Positive = Field(1.0, description="added to the mean")

    def infer(self, x: TensorType) -> TensorType:
        require_map(self, x)
        if self.size % 2 == 0:
            problem = f"`size` must be odd, got {self.size}: frameworks treat even sizes differently"
            impossible(self, problem, "size", f"use `size: {self.size - 1}` or `size: {self.size + 1}`")
        return x

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        size, alpha = self._within(t.inputs[0].channels)
        return t.module("LocalResponseNorm", x, size=size, alpha=alpha, beta=self.beta, k=self.k)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        size, alpha = self._within(o.inputs[0].channels)
        # Not LRN: onnxruntime's keeps a running sum of squares, of which next to a channel of much larger values only
        # rounding errors are left. It also takes three times as long.
        squares = o.op("Unsqueeze", o.op("Mul", x, x), o.constant([1]))
        pads = [size // 2, 0, 0] * 2
        means = o.op("AveragePool", squares, kernel_shape=[size, 1, 1], pads=pads, count_include_pad=1)
        means = o.op("Squeeze", means, o.constant([1]))
        sums = o.op("Add", o.op("Mul", means, o.constant(float(alpha))), o.constant(float(self.k)))
        return o.op("Div", x, o.op("Pow", sums, o.constant(float(self.beta))))

    def _within(self, channels: int) -> tuple[int, float]:
        """Return `size` and `alpha`, with the size capped where it covers all channels: both libraries pad by it."""
        size = min(self.size, 2 * channels - 1)
        return size, self.alpha if size == self.size else self.alpha * size / self.size


def _affine(o: OnnxBuilder, affine: bool) -> tuple[str, str]:
    """Return the node's weight and bias, or ones and zeros if it has none."""
    channels = o.inputs[0].channels
    if affine:
        return o.weight("weight"), o.weight("bias")
    return o.constant([1.0] * channels), o.constant([0.0] * channels)


def _by_group(o: OnnxBuilder, x: str, groups: int, eps: float) -> str:
    """Normalise each group of channels: reshape to (N, groups, rest), apply InstanceNormalization, reshape back."""
    type = o.inputs[0]
    y = o.op("Reshape", x, o.constant([0, groups, -1]))
    y = o.op("InstanceNormalization", y, o.constant([1.0] * groups), o.constant([0.0] * groups), epsilon=eps)
    sizes = [size for size in type.shape if size is not None]
    return o.op("Reshape", y, o.constant([0, *sizes]) if type.known else o.op("Shape", x))
