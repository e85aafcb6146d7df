"""The arithmetic that conv, transposed conv and the pools share: where a sliding window stands.

Sizes are per axis, (height, width). A `Window` says how the kernel moves; `place` fits it to an input and gives the
explicit padding and the output's size. `same` and `same_lower` have TensorFlow's meaning: the output has
ceil(size / stride) positions, and an odd pad goes to the end (`same_lower`: to the start). The formulas stand in
Dumoulin and Visin, A guide to convolution arithmetic for deep learning (2016).
"""

from dataclasses import dataclass

from cnnc.diagnostics import Code
from cnnc.ops.attributes import Padding, Pair
from cnnc.ops.base import Op, Refusal
from cnnc.ops.types import TensorType


@dataclass(frozen=True, slots=True)
class Placement:
    """A window fitted to an input: explicit pads (top, left, bottom, right), what `ceil` adds behind them, and the output's size."""

    pads: tuple[int, int, int, int]
    extra: Pair
    size: tuple[int | None, int | None]

    @property
    def symmetric(self) -> bool:
        """Whether torch's own modules can express the pads."""
        top, left, bottom, right = self.pads
        return top == bottom and left == right


@dataclass(frozen=True, slots=True)
class Window:
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
        axes = [self._axis(axis, size) for axis, size in enumerate(x.space)]
        (top, bottom, extra_h, height), (left, right, extra_w, width) = axes
        return Placement((top, left, bottom, right), (extra_h, extra_w), (height, width))

    def _axis(self, axis: int, size: int | None) -> tuple[int, int, int, int | None]:
        """(pad before, pad after, extra behind it, output size) along one axis."""
        stride, extent = self.stride[axis], self.extent[axis]
        before, after = self._pads(axis, size)
        if size is None:
            if self.ceil and stride > 1:
                self._refuse_unknown(axis, "`ceil`")
            return before, after, 0, size if stride == 1 and before + after == extent - 1 else None
        room = size + before + after - extent
        if room < 0:
            self._refuse_misfit(axis, size, before + after)
        steps = room // stride
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
            self._refuse_unknown(axis, f"`{self.padding}` padding with a stride over 1")
        total = extent - 1 if size is None else max(0, (-(-size // stride) - 1) * stride + extent - size)
        small, large = total // 2, total - total // 2
        return (small, large) if self.padding == "same" else (large, small)

    def _refuse_unknown(self, axis: int, what: str) -> None:
        side = ("height", "width")[axis]
        raise Refusal(
            Code.UNKNOWN_SIZE,
            f"{self.op.name}: {what} needs the input's {side}, which is unknown",
            attribute="ceil" if self.ceil else "padding",
            help=f"write the padding as numbers, or give the input a fixed {side}",
        )

    def _refuse_misfit(self, axis: int, size: int, pads: int) -> None:
        side = ("height", "width")[axis]
        kernel, extent = self.kernel[axis], self.extent[axis]
        covers = f"a kernel of {kernel}" if extent == kernel else f"a dilated kernel that covers {extent}"
        padded = f"{size} + {pads} of padding" if pads else str(size)
        missing = -(-(extent - size - pads) // 2) + pads // 2
        raise Refusal(
            Code.WINDOW_MISFIT,
            f"{self.op.name}: {covers} does not fit an input whose {side} is {padded}",
            attribute="kernel",
            label=f"the input's {side} is {size}",
            help=f"a kernel of at most {max(1, size + pads)}, `padding: {missing}`, or fewer strides before this node",
        )
