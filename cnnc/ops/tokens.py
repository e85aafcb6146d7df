"""Ops of transformers, on tokens of shape (tokens, features): maps to tokens and back, matrix products, attention."""

from collections.abc import Sequence
from math import sqrt
from typing import Any, ClassVar, TypeVar

from pydantic import Field

from cnnc.diagnostics import Code
from cnnc.ops.attributes import Fraction, NodeName, Size
from cnnc.ops.base import (
    Cost,
    Gives,
    OnnxBuilder,
    Op,
    Refusal,
    Saves,
    TorchBuilder,
    impossible,
    require_divides,
    require_known,
    require_map,
)
from cnnc.ops.reach import GLOBAL, Reaches
from cnnc.ops.types import TensorType, Types
from cnnc.ops.wanted_size import wanted_space

Input = TypeVar("Input")


def require_tokens(op: Op, x: TensorType) -> None:
    """Raise a Refusal if `x` are not tokens."""
    if not x.is_tokens:
        raise Refusal(
            Code.WRONG_RANK,
            f"{op.name} expects tokens (tokens, features), got {x.described}",
            label=f"its input is {x}",
            help="put `tokens` before it, which makes a token of each position" if x.is_map else "`reshape` it first",
        )
    require_known(op, x, "needs the number of features")


class Tokens(Op):
    """A token for each position of a map, row by row: (C, H, W) to (H·W, C)."""

    name: ClassVar[str] = "tokens"
    gives: ClassVar[Gives] = "reordered input"
    _saves: ClassVar[Saves] = "nothing"

    def infer(self, x: TensorType) -> TensorType:
        require_map(self, x)
        require_known(self, x, "outputs a token for each position, whose number must be known")
        height, width = x.space
        return TensorType(((height or 0) * (width or 0), x.channels))

    def reach(self, x: TensorType) -> Reaches:
        return GLOBAL

    def to_torch(self, t: TorchBuilder, x: Any) -> Any:
        return t.call("torch.transpose", t.call("torch.flatten", x, 2), 1, 2)

    def to_onnx(self, o: OnnxBuilder, x: str) -> str:
        return o.op("Transpose", o.op("Reshape", x, o.constant([0, o.inputs[0].channels, -1])), perm=[0, 2, 1])


class Untokens(Op):
    """The map whose positions are the tokens, row by row: (H·W, C) to (C, H, W)."""

    name: ClassVar[str] = "untokens"
    gives: ClassVar[Gives] = "reordered input"
    _saves: ClassVar[Saves] = "nothing"

    height: Size | None = Field(None, description="height of the map")
    width: Size | None = Field(None, description="width of the map")
    like: NodeName | None = Field(None, description="a map whose height and width the output has")

    @property
    def unread(self) -> tuple[int, ...]:
        return (1,) if self.like is not None else ()

    def infer(self, x: TensorType, like: TensorType | None = None) -> TensorType:
        require_tokens(self, x)
        height, width = self._space(like)
        if height * width != x.shape[0]:
            problem = f"a map of {height}×{width} = {height * width} positions cannot hold {x.shape[0]} tokens"
            blamed = "height" if like is None else "like"
            impossible(self, problem, blamed, "use a height and width whose product is the number of tokens")
        return TensorType((x.features, height, width))

    def _space(self, like: TensorType | None) -> tuple[int, int]:
        size = None if self.height is None or self.width is None else (self.height, self.width)
        if size is None and like is None:
            problem = "expected `height` and `width`, or `like`"
            impossible(self, problem, None, "write `height: 14, width: 14`, for example")
        height, width = wanted_space(self, size, like)
        if height is None or width is None:
            impossible(self, f"`like` must have a known height and width, got {like}", "like", "fix the input's size")
        return height, width

    def reach(self, x: TensorType, like: TensorType | None = None) -> Reaches:
        return GLOBAL

    def to_torch(self, t: TorchBuilder, x: Any, like: Any = None) -> Any:
        return t.call("torch.reshape", t.call("torch.transpose", x, 1, 2), [-1, *t.outputs[0].shape])

    def to_onnx(self, o: OnnxBuilder, x: str, like: str | None = None) -> str:
        shape = o.constant([0, *(size or 0 for size in o.outputs[0].shape)])
        return o.op("Reshape", o.op("Transpose", x, perm=[0, 2, 1]), shape)


class Matmul(Op):
    """The matrix product of two values: (a, b) and (b, c) to (a, c). Its MACs, a·b·c, are counted."""

    name: ClassVar[str] = "matmul"
    gives: ClassVar[Gives] = "logits"
    least_inputs: ClassVar[int] = 2
    most_inputs: ClassVar[int] = 2

    transpose: bool = Field(False, description="whether to transpose the second value: (a, b) and (c, b) to (a, c)")

    def infer(self, x: TensorType, y: TensorType) -> TensorType:
        require_tokens(self, x)
        require_tokens(self, y)
        rows, columns = (y.shape[1], y.shape[0]) if self.transpose else y.shape
        if x.shape[1] != rows:
            raise Refusal(
                Code.UNEQUAL_SHAPES,
                f"{self.name}: the rows of {x} have {x.shape[1]} elements, but the columns of {y} have {rows}"
                if not self.transpose
                else f"{self.name}: the rows of {x} have {x.shape[1]} elements, but the rows of {y} have {rows}",
                inputs=(0, 1),
                label=f"{x} and {y}",
                help=f"write `transpose: {str(not self.transpose).lower()}`"
                if x.shape[1] == columns
                else "give both the same number of elements there, for example with `linear`",
            )
        return TensorType((x.shape[0], columns))

    def cost(self, x: TensorType, y: TensorType) -> Cost:
        return Cost(macs=(x.elements or 0) * (self.infer(x, y).shape[1] or 0))

    def reach(self, x: TensorType, y: TensorType) -> Reaches:
        return GLOBAL

    def to_torch(self, t: TorchBuilder, x: Any, y: Any) -> Any:
        return t.call("torch.matmul", x, t.call("torch.transpose", y, 1, 2) if self.transpose else y)

    def to_onnx(self, o: OnnxBuilder, x: str, y: str) -> str:
        return o.op("MatMul", x, o.op("Transpose", y, perm=[0, 2, 1]) if self.transpose else y)


class Attention(Op):
    """Multi-head attention (Vaswani et al., 2017) with the weights of `torch.nn.MultiheadAttention`.

    One input attends to itself; with two, the tokens of the first attend to those of the second; three are the queries,
    keys and values. Keeps the shape of the first. The MACs of the projections and of both products, queries by keys and
    scores by values, are counted.
    """

    name: ClassVar[str] = "attention"
    gives: ClassVar[Gives] = "logits"
    most_inputs: ClassVar[int] = 3

    heads: Size = Field(description="number of heads, which must divide the features")
    bias: bool = Field(True, description="whether the projections add a learned bias")
    dropout: Fraction = Field(0.0, description="probability of leaving out a score in training")

    def infer(self, *xs: TensorType) -> TensorType:
        x = xs[0]
        require_tokens(self, x)
        require_divides(self, x.features, self.heads, "features", "heads")
        for k, y in enumerate(xs[1:], start=1):
            require_tokens(self, y)
            if y.features != x.features:
                raise Refusal(
                    Code.UNEQUAL_SHAPES,
                    f"{self.name}: input {k} has {y.features} features, but input 0 has {x.features}",
                    inputs=(0, k),
                    label=f"{x} and {y}",
                    help=f"put `linear: {{out: {x.features}}}` before input {k}",
                )
        _, keys, values = _roles(xs)
        if keys.shape[0] != values.shape[0]:
            raise Refusal(
                Code.UNEQUAL_SHAPES,
                f"{self.name}: there are {keys.shape[0]} keys, but {values.shape[0]} values",
                inputs=(1, 2),
                label=f"{keys} and {values}",
                help="make the keys and the values of the same tokens",
            )
        return x

    def cost(self, *xs: TensorType) -> Cost:
        size, queries, keys = xs[0].features, xs[0].shape[0] or 0, _roles(xs)[1].shape[0] or 0
        projections = size * size * (2 * queries + 2 * keys)
        return Cost(params=4 * size * (size + self.bias), macs=projections + 2 * queries * keys * size)

    def reach(self, *xs: TensorType) -> Reaches:
        return GLOBAL

    def between(self, *xs: TensorType) -> Types:
        """Return the types of the queries, keys, values and scores."""
        queries, keys, values = _roles(xs)
        return (queries, keys, values, TensorType((self.heads, queries.shape[0], keys.shape[0])))

    def to_torch(self, t: TorchBuilder, *xs: Any) -> Any:
        size, linear = t.inputs[0].features, "torch.nn.functional.linear"
        names = ["in_proj_weight", *["in_proj_bias"] * self.bias, "out_proj.weight", *["out_proj.bias"] * self.bias]
        given = t.tensors("MultiheadAttention", names, embed_dim=size, num_heads=self.heads, bias=self.bias)
        weight, bias, out_weight, out_bias = given if self.bias else (given[0], None, given[1], None)
        if len(xs) == 1:
            parts = t.call("torch.chunk", t.call(linear, xs[0], weight, bias), 3, dim=-1)
            projected = [t.call("operator.getitem", parts, k) for k in range(3)]
        else:
            weights = t.call("torch.chunk", weight, 3)
            biases = t.call("torch.chunk", bias, 3) if self.bias else None
            projected = [
                t.call(
                    linear,
                    x,
                    t.call("operator.getitem", weights, k),
                    None if biases is None else t.call("operator.getitem", biases, k),
                )
                for k, x in enumerate(_roles(xs))
            ]
        counts = (t.inputs[0].shape[0], t.inputs[-1].shape[0], t.inputs[-1].shape[0])
        query, key, value = (self._heads(t, each, count, size) for each, count in zip(projected, counts, strict=True))
        mixed = self._mix(t, query, key, value, size)
        merged = t.call("torch.reshape", t.call("torch.transpose", mixed, 1, 2), [-1, counts[0], size])
        return t.call(linear, merged, out_weight, out_bias)

    def _heads(self, t: TorchBuilder, x: Any, tokens: int | None, size: int) -> Any:
        """Return (N, tokens, features) as (N, heads, tokens, features / heads)."""
        return t.call("torch.transpose", t.call("torch.reshape", x, [-1, tokens, self.heads, size // self.heads]), 1, 2)

    def _mix(self, t: TorchBuilder, query: Any, key: Any, value: Any, size: int) -> Any:
        if not self.dropout:
            return t.call("torch.nn.functional.scaled_dot_product_attention", query, key, value)
        scaled = t.call("operator.mul", query, 1 / sqrt(size // self.heads))
        scores = t.call("torch.softmax", t.call("torch.matmul", scaled, t.call("torch.transpose", key, 2, 3)), -1)
        return t.call("torch.matmul", t.call("torch.nn.functional.dropout", scores, self.dropout, t.training()), value)

    def to_onnx(self, o: OnnxBuilder, *xs: str) -> str:
        size = o.inputs[0].features
        thirds = o.constant([size] * 3)
        weight = o.op("Transpose", o.weight("in_proj_weight"), perm=[1, 0])
        if len(xs) == 1:
            parts = o.ops("Split", 3, self._projected(o, xs[0], weight), thirds, axis=-1)
        else:
            weights = o.ops("Split", 3, weight, thirds, axis=1)
            biases = o.ops("Split", 3, o.weight("in_proj_bias"), thirds, axis=0) if self.bias else ("", "", "")
            parts = tuple(
                o.op("Add", o.op("MatMul", source, w), b) if b else o.op("MatMul", source, w)
                for source, w, b in zip(_roles(xs), weights, biases, strict=True)
            )
        counts = (o.inputs[0].shape[0], o.inputs[-1].shape[0], o.inputs[-1].shape[0])
        query, key, value = (
            o.op("Reshape", each, o.constant([0, count or 0, self.heads, size // self.heads]))
            for each, count in zip(parts, counts, strict=True)
        )
        query = o.op("Transpose", query, perm=[0, 2, 1, 3])
        key, value = o.op("Transpose", key, perm=[0, 2, 3, 1]), o.op("Transpose", value, perm=[0, 2, 1, 3])
        scores = o.op("Mul", o.op("MatMul", query, key), o.constant(1 / sqrt(size // self.heads)))
        mixed = o.op("Transpose", o.op("MatMul", o.op("Softmax", scores, axis=-1), value), perm=[0, 2, 1, 3])
        merged = o.op("Reshape", mixed, o.constant([0, counts[0] or 0, size]))
        out = o.op("MatMul", merged, o.op("Transpose", o.weight("out_proj.weight"), perm=[1, 0]))
        return o.op("Add", out, o.weight("out_proj.bias")) if self.bias else out

    def _projected(self, o: OnnxBuilder, x: str, weight: str) -> str:
        y = o.op("MatMul", x, weight)
        return o.op("Add", y, o.weight("in_proj_bias")) if self.bias else y


def _roles(inputs: Sequence[Input]) -> tuple[Input, Input, Input]:
    """Return the queries, keys and values of one, two or three inputs."""
    queries, *others = inputs
    return queries, (others or inputs)[0], inputs[-1]
