"""Sliding window arithmetic shared by conv, transposed conv and the pools: padding, output sizes, receptive fields.

Sizes are per axis, (height, width). A `Window` describes how the kernel moves; `place`, `place_pool` and
`place_transposed` fit it to an input and return the explicit padding and the output size. `same` and `same_lower` are
defined as in TensorFlow: the output has ceil(size / stride) positions (transposed: size × stride), and an odd pad goes
to the end (`same_lower`: to the start). The formulas are in Dumoulin and Visin, A guide to convolution arithmetic for
deep learning (2016).
"""

from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar, NamedTuple, NoReturn

from cnnc.diagnostics import Code
from cnnc.ops.attributes import Padding, Pair
from cnnc.ops.base import Gives, Op, Refusal, Remark
from cnnc.ops.reach import FAR, MOST_PHASES, Reach, Reaches
from cnnc.ops.types import TensorType, Types

SIDES = ("height", "width")
Axis = tuple[int, int, int, int | None]


class Placement(NamedTuple):
    """A window fitted to an input: explicit pads (top, left, bottom, right) and the output size.

    `extra` is the number of rows and columns, below and to the right of the pads, that `ceil` adds to a pool's input or
    `output_padding` to a transposed conv's output.
    """

    pads: tuple[int, int, int, int]
    extra: Pair
    size: tuple[int | None, int | None]

    @property
    def symmetric(self) -> bool:
        """Whether torch's modules can express the pads, which must be equal on both sides."""
        top, left, bottom, right = self.pads
        return top == bottom and left == right

    @property
    def all_pads(self) -> tuple[int, int, int, int]:
        """The pads plus `extra`."""
        top, left, bottom, right = self.pads
        return (top, left, bottom + self.extra[0], right + self.extra[1])


def torch_order(pads: tuple[int, int, int, int]) -> list[int]:
    """Return pads (top, left, bottom, right) in the order of `torch.nn.functional.pad`: the last axis first."""
    top, left, bottom, right = pads
    return [left, right, top, bottom]


def onnx_order(pads: tuple[int, int, int, int]) -> list[int]:
    """Return pads (top, left, bottom, right) in the order of ONNX's Pad: the starts of all four axes, then the ends."""
    top, left, bottom, right = pads
    return [0, 0, top, left, 0, 0, bottom, right]


class Window(NamedTuple):
    """The kernel, stride, dilation and padding of a node."""

    op: Op
    kernel: Pair
    stride: Pair
    dilation: Pair
    padding: Padding
    ceil: bool = False

    @property
    def extent(self) -> Pair:
        """The rows and columns that a window covers, dilation included."""
        return (self.dilation[0] * (self.kernel[0] - 1) + 1, self.dilation[1] * (self.kernel[1] - 1) + 1)

    def place(self, x: TensorType) -> Placement:
        """Fit the window to `x`, (C, H, W); raises Refusal if it does not fit."""
        height, width = (self._axis(axis, size) for axis, size in enumerate(x.space))
        return _join(height, width)

    def place_pool(self, x: TensorType) -> Placement:
        """Like `place`, but also raises Refusal if a window sees only padding and so has no maximum or average."""
        place = self.place(x)
        for axis, size in enumerate(x.space):
            before, after, count = place.pads[axis], place.pads[axis + 2], place.size[axis]
            if max(before, after) >= self.extent[axis] or self._blind(axis, size, before, count):
                self._refuse_blind(axis, size, before, after)
        return place

    def reach(self, x: TensorType) -> Reaches:
        """Return the rows and columns of `x` that a window sees, the gaps of dilation included."""
        height, width = (
            Reach(stride, (-before,), (extent - 1 - before,))
            for stride, extent, before in zip(self.stride, self.extent, self.place(x).pads[:2], strict=True)
        )
        return height, width

    def reach_transposed(self, x: TensorType, output_padding: Pair) -> Reaches:
        """Return the rows and columns of `x` that an output of the transposed window sees; they depend on its phase."""
        pads = self.place_transposed(x, output_padding).pads
        return self._phases(0, pads[0]), self._phases(1, pads[1])

    def _phases(self, axis: int, before: int) -> Reach | None:
        """Kernel element k at input position j contributes to the output at j·stride + dilation·k - before."""
        kernel, stride, dilation = self.kernel[axis], self.stride[axis], self.dilation[axis]
        if stride > MOST_PHASES:
            return None
        seen = [
            [place // stride for k in range(kernel) if (place := i + before - dilation * k) % stride == 0]
            for i in range(stride)
        ]
        return Reach(1, tuple(min(each, default=FAR) for each in seen), tuple(max(each, default=-FAR) for each in seen))

    def remarks(self, x: TensorType) -> Iterator[Remark]:
        """Warn if no window covers some rows or columns of `x`."""
        lost = [0 if size is None or self.ceil else self._lost(axis, size) for axis, size in enumerate(x.space)]
        uncovered = [
            f"the last {f'{count} ' if count > 1 else ''}of {size} {side}s"
            for count, size, side in zip(lost, x.space, ("row", "column"), strict=True)
            if count
        ]
        if uncovered:
            message = f"{self.op.name}: no window covers {' and '.join(uncovered)}"
            yield Remark(Code.LOST_ROWS, message, self._ways_to_lose_nothing(x, lost))

    def _ways_to_lose_nothing(self, x: TensorType, lost: list[int]) -> str:
        """Return a help line with the paddings and sizes of `x` for which windows cover everything."""
        padding = [self._padding_without_loss(axis, size) for axis, size in enumerate(x.space)]
        ways = [f"`padding: {padding[0] if padding[0] == padding[1] else padding}`"] if None not in padding else []
        if "ceil" in type(self.op).model_fields and x.known:
            ways.append("`ceil: true`")
        less = TensorType(tuple(size and size - count for size, count in zip(x.space, lost, strict=True)))
        steps = [stride if count else 0 for count, stride in zip(lost, self.stride, strict=True)]
        more = TensorType(tuple(size and size + step for size, step in zip(less.shape, steps, strict=True)))
        return f"use {', '.join(ways)}{' or ' if ways else ''}an input of {less} or {more}"

    def _padding_without_loss(self, axis: int, size: int | None) -> int | None:
        """Return the least padding per side that loses no row or column; None if it exceeds half a window."""
        pad = max(self._pads(axis, size))
        if size is None:
            return pad
        if self._after_last(axis, size, pad, pad):  # the rest grows with the pad until another window fits
            stride = self.stride[axis]
            pad -= -(stride - (size + 2 * pad - self.extent[axis]) % stride) // 2
        return pad if pad <= self.extent[axis] // 2 else None

    def _lost(self, axis: int, size: int) -> int:
        """Return the number of input rows or columns after the last window, padding not counted."""
        if self.extent[axis] < self.stride[axis]:
            return 0  # the stride skips rows between windows as well, so skipping them is intended
        return self._after_last(axis, size, *self._pads(axis, size))

    def _after_last(self, axis: int, size: int, before: int, after: int) -> int:
        """Return the number of input rows or columns after the last window, for these pads."""
        return max(0, (size + before + after - self.extent[axis]) % self.stride[axis] - after)

    def place_transposed(self, x: TensorType, output_padding: Pair) -> Placement:
        """Fit the transposed window to `x`, (C, H, W); raises Refusal if nothing is left of the output."""
        height, width = (self._transposed(axis, size, output_padding[axis]) for axis, size in enumerate(x.space))
        return _join(height, width)

    def _axis(self, axis: int, size: int | None) -> Axis:
        """Return (pad before, pad after, extra, output size) along one axis."""
        stride, extent = self.stride[axis], self.extent[axis]
        before, after = self._pads(axis, size)
        if size is None:
            if self.ceil and stride > 1:
                self._refuse_unknown(axis, "ceil", "`ceil`", "remove `ceil`")
            return before, after, 0, None
        room = size + before + after - extent
        if room < 0 and not (self.ceil and room > -stride):
            self._refuse_misfit(axis, size, before + after)
        steps = room // stride  # -1 if only `ceil` makes room for a first window
        if self.ceil and room % stride and (steps + 1) * stride < size + before:
            return before, after, stride - room % stride, steps + 2
        return before, after, 0, steps + 1

    def _pads(self, axis: int, size: int | None) -> Pair:
        if self.padding == "valid":
            return 0, 0
        if not isinstance(self.padding, str):
            return self.padding[axis], self.padding[axis + 2]
        stride, extent = self.stride[axis], self.extent[axis]
        if size is None and stride > 1:
            what = f"`{self.padding}` padding with a stride over 1"
            self._refuse_unknown(axis, "padding", what, "write the padding as numbers")
        total = extent - 1 if size is None else max(0, (-(-size // stride) - 1) * stride + extent - size)
        return self._halves(total)

    def _halves(self, total: int) -> Pair:
        small, large = total // 2, total - total // 2
        return (large, small) if self.padding == "same_lower" else (small, large)

    def _transposed(self, axis: int, size: int | None, output_padding: int) -> Axis:
        stride, extent = self.stride[axis], self.extent[axis]
        if isinstance(self.padding, str):
            before, after = self._halves(max(0, extent - stride) if self.padding != "valid" else 0)
            extra = output_padding + max(0, stride - extent)
        else:
            before, after, extra = self.padding[axis], self.padding[axis + 2], output_padding
        if extra and extra >= max(stride, self.dilation[axis]):  # torch's rule
            self._refuse_output_padding(axis, extra)
        if size is None:
            return before, after, extra, None
        whole = (size - 1) * stride + extent + extra
        if whole <= before + after:
            self._refuse_nothing_left(axis, whole, before + after)
        return before, after, extra, whole - before - after

    def _blind(self, axis: int, size: int | None, before: int, count: int | None) -> bool:
        """Whether a dilated window that starts in the padding skips the whole input."""
        stride, dilation = self.stride[axis], self.dilation[axis]
        if size is None or count is None or dilation <= size:
            return False
        return any(start % dilation >= size for start in range(-before, min(0, count * stride - before), stride))

    def _refuse_blind(self, axis: int, size: int | None, before: int, after: int) -> NoReturn:
        raise Refusal(
            Code.WINDOW_MISFIT,
            f"{self.op.name}: a window lies entirely in the padding: along the {SIDES[axis]} it covers "
            f"{self.extent[axis]}, and the input is {size or '?'} with {before} of padding before and {after} after it",
            attribute="padding",
            help=f"pad by at most {self.extent[axis] // 2}, half of what the window covers",
        )

    def _refuse_unknown(self, axis: int, attribute: str, what: str, way_out: str) -> NoReturn:
        raise Refusal(
            Code.UNKNOWN_SIZE,
            f"{self.op.name}: {what} needs the input's {SIDES[axis]}, which is unknown",
            attribute=attribute,
            help=f"{way_out}, or give the input a fixed {SIDES[axis]}",
        )

    def _refuse_misfit(self, axis: int, size: int, pads: int) -> NoReturn:
        side, kernel, extent = SIDES[axis], self.kernel[axis], self.extent[axis]
        covers = f"a kernel of {kernel}" if extent == kernel else f"a dilated kernel that covers {extent}"
        padded = f"{size} + {pads} of padding" if pads else str(size)
        raise Refusal(
            Code.WINDOW_MISFIT,
            f"{self.op.name}: {covers} does not fit an input whose {side} is {padded}",
            attribute="kernel",
            label=f"the input's {side} is {size}",
            help=f"its input must have a {side} of at least {extent - pads}",
            lacking=(axis, extent - pads),
        )

    def _refuse_output_padding(self, axis: int, extra: int) -> NoReturn:
        stride, dilation = self.stride[axis], self.dilation[axis]
        limit = f"the stride of {stride} or the dilation of {dilation}" if dilation > 1 else f"the stride of {stride}"
        raise Refusal(
            Code.IMPOSSIBLE_ATTRIBUTE,
            f"{self.op.name}: output padding of {extra} along the {SIDES[axis]} must be less than {limit}",
            attribute="output_padding",
            help=f"use at most {max(stride, dilation) - 1}; for a larger output, add a `pad` after it",
        )

    def _refuse_nothing_left(self, axis: int, whole: int, pads: int) -> NoReturn:
        raise Refusal(
            Code.WINDOW_MISFIT,
            f"{self.op.name}: padding cuts {pads} off an output whose {SIDES[axis]} is {whole}, so nothing is left",
            attribute="padding",
            help=f"use pads that add up to at most {whole - 1}",
        )


class Windowed(Op):
    """An op with a sliding window over a map: (C, H, W) to (C', H', W')."""

    gives: ClassVar[Gives] = "logits"

    def reach(self, x: TensorType) -> Reaches:
        return self._window().reach(x)

    def remarks(self, x: TensorType) -> Iterator[Remark]:
        return self._window().remarks(x)

    @abstractmethod
    def _window(self) -> Window:
        """Return the window that the attributes describe."""

    def between(self, x: TensorType) -> Types:
        """Return the type of the padded input."""
        return (widened(x.channels, x.space, self._place(x).all_pads),)

    def _place(self, x: TensorType) -> Placement:
        return self._window().place(x)


def widened(channels: int, space: tuple[int | None, int | None], pads: tuple[int, int, int, int]) -> TensorType:
    """Return the type of a map of known sizes with pads around it."""
    (height, width), (top, left, bottom, right) = space, pads
    return TensorType((channels, (height or 0) + top + bottom, (width or 0) + left + right))


def _join(height: Axis, width: Axis) -> Placement:
    """Return the placement along both axes."""
    (top, bottom, below, rows), (left, right, beside, columns) = height, width
    return Placement((top, left, bottom, right), (below, beside), (rows, columns))
