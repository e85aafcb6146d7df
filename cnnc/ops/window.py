"""The arithmetic that conv, transposed conv and the pools share: where a sliding window stands.

Sizes are per axis, (height, width). A `Window` says how the kernel moves; `place`, `place_pool` and `place_transposed`
fit it to an input and give the explicit padding and the output's size. `same` and `same_lower` have TensorFlow's
meaning: the output has ceil(size / stride) positions (transposed: size × stride), and an odd pad goes to the end
(`same_lower`: to the start). The formulas stand in Dumoulin and Visin, A guide to convolution arithmetic for deep
learning (2016).
"""

from abc import abstractmethod
from collections.abc import Iterator
from typing import NamedTuple, NoReturn

from cnnc.diagnostics import Code
from cnnc.ops.attributes import Padding, Pair
from cnnc.ops.base import Op, Refusal, Remark
from cnnc.ops.reach import FAR, MOST_PHASES, Reach, Reaches
from cnnc.ops.types import TensorType, Types

SIDES = ("height", "width")
Axis = tuple[int, int, int, int | None]


class Placement(NamedTuple):
    """A window fitted to an input: explicit pads (top, left, bottom, right) and the output's size.

    `extra` is, below and to the right of the pads, what `ceil` adds to a pool's input and what `output_padding` adds
    to a transposed conv's output.
    """

    pads: tuple[int, int, int, int]
    extra: Pair
    size: tuple[int | None, int | None]

    @property
    def symmetric(self) -> bool:
        """Whether torch's own modules can express the pads."""
        top, left, bottom, right = self.pads
        return top == bottom and left == right

    @property
    def all_pads(self) -> tuple[int, int, int, int]:
        """The pads with the extra added to them."""
        top, left, bottom, right = self.pads
        return (top, left, bottom + self.extra[0], right + self.extra[1])


def torch_order(pads: tuple[int, int, int, int]) -> list[int]:
    """(top, left, bottom, right) as `torch.nn.functional.pad` takes it: the last axis first."""
    top, left, bottom, right = pads
    return [left, right, top, bottom]


def onnx_order(pads: tuple[int, int, int, int]) -> list[int]:
    """(top, left, bottom, right) as ONNX's Pad takes it: the starts of all four axes, then the ends."""
    top, left, bottom, right = pads
    return [0, 0, top, left, 0, 0, bottom, right]


class Window(NamedTuple):
    """Kernel, stride, dilation and padding of a node."""

    op: Op
    kernel: Pair
    stride: Pair
    dilation: Pair
    padding: Padding
    ceil: bool = False

    @property
    def extent(self) -> Pair:
        """How many rows and columns one window covers, dilation included."""
        return (self.dilation[0] * (self.kernel[0] - 1) + 1, self.dilation[1] * (self.kernel[1] - 1) + 1)

    def place(self, x: TensorType) -> Placement:
        """Fit the window to `x`, (C, H, W); raises Refusal where it does not fit."""
        height, width = (self._axis(axis, size) for axis, size in enumerate(x.space))
        return _join(height, width)

    def place_pool(self, x: TensorType) -> Placement:
        """As `place`, but a window that sees nothing but padding is refused: its maximum or average does not exist."""
        place = self.place(x)
        for axis, size in enumerate(x.space):
            before, after, count = place.pads[axis], place.pads[axis + 2], place.size[axis]
            if max(before, after) >= self.extent[axis] or self._blind(axis, size, before, count):
                self._refuse_blind(axis, size, before, after)
        return place

    def reach(self, x: TensorType) -> Reaches:
        """Which rows and columns of `x` a window sees, dilation's gaps included."""
        height, width = (
            Reach(stride, (-before,), (extent - 1 - before,))
            for stride, extent, before in zip(self.stride, self.extent, self.place(x).pads[:2], strict=True)
        )
        return height, width

    def reach_transposed(self, x: TensorType, output_padding: Pair) -> Reaches:
        """Which rows and columns of `x` an output of the transposed window sees: it differs from phase to phase."""
        pads = self.place_transposed(x, output_padding).pads
        return self._phases(0, pads[0]), self._phases(1, pads[1])

    def _phases(self, axis: int, before: int) -> Reach | None:
        """Element k of the kernel, at the input's j, adds to the output at j·stride + dilation·k - before."""
        kernel, stride, dilation = self.kernel[axis], self.stride[axis], self.dilation[axis]
        if stride > MOST_PHASES:
            return None
        seen = [
            [place // stride for k in range(kernel) if (place := i + before - dilation * k) % stride == 0]
            for i in range(stride)
        ]
        return Reach(1, tuple(min(each, default=FAR) for each in seen), tuple(max(each, default=-FAR) for each in seen))

    def remarks(self, x: TensorType) -> Iterator[Remark]:
        """A warning where rows or columns of `x` are in no window."""
        lost = [0 if size is None or self.ceil else self._lost(axis, size) for axis, size in enumerate(x.space)]
        told = [
            f"the last {f'{count} ' if count > 1 else ''}of {size} {side}s"
            for count, size, side in zip(lost, x.space, ("row", "column"), strict=True)
            if count
        ]
        if told:
            verb = "is" if sum(lost) == 1 else "are"
            message = f"{self.op.name}: {' and '.join(told)} {verb} in no window"
            yield Remark(Code.LOST_ROWS, message, self._ways_to_lose_nothing(x, lost))

    def _ways_to_lose_nothing(self, x: TensorType, lost: list[int]) -> str:
        """The paddings and the sizes of `x` that leave nothing over."""
        padding = [self._padding_without_loss(axis, size) for axis, size in enumerate(x.space)]
        ways = [f"`padding: {padding[0] if padding[0] == padding[1] else padding}`"] if None not in padding else []
        if "ceil" in type(self.op).model_fields and x.known:
            ways.append("`ceil: true`")
        less = TensorType(tuple(size and size - count for size, count in zip(x.space, lost, strict=True)))
        steps = [stride if count else 0 for count, stride in zip(lost, self.stride, strict=True)]
        more = TensorType(tuple(size and size + step for size, step in zip(less.shape, steps, strict=True)))
        return f"{', '.join(ways)}{' or ' if ways else ''}an input of {less} or {more} loses nothing"

    def _padding_without_loss(self, axis: int, size: int | None) -> int | None:
        """The least padding on both sides, and at most half of a window, with which no row or column is lost."""
        pad = max(self._pads(axis, size))
        if size is None:
            return pad
        if self._behind(axis, size, pad, pad):  # it grows with the pad until one more window fits
            stride = self.stride[axis]
            pad -= -(stride - (size + 2 * pad - self.extent[axis]) % stride) // 2
        return pad if pad <= self.extent[axis] // 2 else None

    def _lost(self, axis: int, size: int) -> int:
        """How many rows or columns, padding left out, stand behind the last window."""
        if self.extent[axis] < self.stride[axis]:
            return 0  # a window that leaves out rows everywhere is meant to
        return self._behind(axis, size, *self._pads(axis, size))

    def _behind(self, axis: int, size: int, before: int, after: int) -> int:
        """How many rows or columns, padded so, stand behind the last window."""
        return max(0, (size + before + after - self.extent[axis]) % self.stride[axis] - after)

    def place_transposed(self, x: TensorType, output_padding: Pair) -> Placement:
        """Fit the window to the output that a conv over it would turn into `x`, (C, H, W)."""
        height, width = (self._transposed(axis, size, output_padding[axis]) for axis, size in enumerate(x.space))
        return _join(height, width)

    def _axis(self, axis: int, size: int | None) -> Axis:
        """(pad before, pad after, extra behind it, output size) along one axis."""
        stride, extent = self.stride[axis], self.extent[axis]
        before, after = self._pads(axis, size)
        if size is None:
            if self.ceil and stride > 1:
                self._refuse_unknown(axis, "ceil", "`ceil`", "leave `ceil` out")
            return before, after, 0, None
        room = size + before + after - extent
        if room < 0 and not (self.ceil and room > -stride):
            self._refuse_misfit(axis, size, before + after)
        steps = room // stride  # -1 where `ceil` alone makes room for a first window
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
        """Whether a dilated window that starts in the padding steps over all of the input."""
        stride, dilation = self.stride[axis], self.dilation[axis]
        if size is None or count is None or dilation <= size:
            return False
        return any(start % dilation >= size for start in range(-before, min(0, count * stride - before), stride))

    def _refuse_blind(self, axis: int, size: int | None, before: int, after: int) -> NoReturn:
        raise Refusal(
            Code.WINDOW_MISFIT,
            f"{self.op.name}: a window lies wholly in the padding: along the {SIDES[axis]} it covers "
            f"{self.extent[axis]}, the input is {size or '?'} with {before} of padding before and {after} behind it",
            attribute="padding",
            help=f"pad by at most half of what the kernel covers, {self.extent[axis] // 2}",
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
            help=f"its input has to have a {side} of at least {extent - pads}",
            lacking=(axis, extent - pads),
        )

    def _refuse_output_padding(self, axis: int, extra: int) -> NoReturn:
        stride, dilation = self.stride[axis], self.dilation[axis]
        limit = f"the stride of {stride} or the dilation of {dilation}" if dilation > 1 else f"the stride of {stride}"
        raise Refusal(
            Code.IMPOSSIBLE_ATTRIBUTE,
            f"{self.op.name}: {extra} of output padding along the {SIDES[axis]} is not below {limit}",
            attribute="output_padding",
            help=f"at most {max(stride, dilation) - 1}; for a larger output, `pad` what comes out",
        )

    def _refuse_nothing_left(self, axis: int, whole: int, pads: int) -> NoReturn:
        raise Refusal(
            Code.WINDOW_MISFIT,
            f"{self.op.name}: padding cuts {pads} off an output whose {SIDES[axis]} is {whole}, and nothing is left",
            attribute="padding",
            help=f"pads of together at most {whole - 1}",
        )


class Windowed(Op):
    """An op whose window slides over a map: (C, H, W) to (C', H', W')."""

    def reach(self, x: TensorType) -> Reaches:
        return self._window().reach(x)

    def remarks(self, x: TensorType) -> Iterator[Remark]:
        return self._window().remarks(x)

    @abstractmethod
    def _window(self) -> Window:
        """The window that the attributes describe."""

    def between(self, x: TensorType) -> Types:
        """The input with its pads."""
        return (widened(x.channels, x.space, self._place(x).all_pads),)

    def _place(self, x: TensorType) -> Placement:
        return self._window().place(x)


def widened(channels: int, space: tuple[int | None, int | None], pads: tuple[int, int, int, int]) -> TensorType:
    """A map of known sizes with pads around it."""
    (height, width), (top, left, bottom, right) = space, pads
    return TensorType((channels, (height or 0) + top + bottom, (width or 0) + left + right))


def _join(height: Axis, width: Axis) -> Placement:
    """The placement along both axes."""
    (top, bottom, below, rows), (left, right, beside, columns) = height, width
    return Placement((top, left, bottom, right), (below, beside), (rows, columns))
