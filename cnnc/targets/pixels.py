"""Turn the pixels of prepared pictures into the values of a network's input.

`cnnc infer` computes them with numpy; an ONNX file of `cnnc build --uint8` computes them itself. Both do the same
operations on float32 in the same order, so that the results are equal bit for bit.
"""

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BGR = [2, 1, 0]


class Normalisation(Protocol):
    """The scale, mean and standard deviation of a picture; `graph.Picture` and `contract.InputContract` have them."""

    @property
    def scale(self) -> int: ...

    @property
    def mean(self) -> tuple[float, ...]: ...

    @property
    def std(self) -> tuple[float, ...]: ...


class Adder(Protocol):
    """An ONNX graph under construction; `onnx_model.Emitter` is one."""

    def apply(self, path: str, op_type: str, *inputs: str, **attributes: Any) -> str: ...

    def small(self, path: str, value: Any, dtype: str) -> str: ...


def normalise(pixels: "NDArray[Any]", by: Normalisation) -> "NDArray[np.float32]":
    """Return uint8 (…, C, H, W) as float32: 0..scale, minus the mean, divided by the standard deviation."""
    import numpy as np

    # contiguous before the arithmetic, which then takes a tenth of the time, as much as a table of the 256 values
    array = np.ascontiguousarray(pixels).astype(np.float32)
    if by.scale == 1:
        array /= np.float32(255)
    if by.mean:
        array -= np.asarray(by.mean, np.float32)[:, None, None]
    if by.std:
        array /= np.asarray(by.std, np.float32)[:, None, None]
    return array


def emit_normalised(emitter: Adder, name: str, mode: str, by: Normalisation) -> str:
    """Add nodes that turn input `name`, uint8 (N, H, W, C) in RGB or grey, into what `normalise` returns.

    Returns the name of the result, (N, C, H, W).
    """
    value = name
    if mode == "bgr":
        value = emitter.apply(name, "Gather", value, emitter.small(name, BGR, "int64"), axis=3)
    value = emitter.apply(name, "Transpose", value, perm=[0, 3, 1, 2])
    value = emitter.apply(name, "Cast", value, to=1)  # float32
    if by.scale == 1:
        value = emitter.apply(name, "Div", value, emitter.small(name, 255.0, "float32"))
    for op, numbers, neutral in (("Sub", by.mean, 0.0), ("Div", by.std, 1.0)):
        if any(number != neutral for number in numbers):
            value = emitter.apply(name, op, value, emitter.small(name, [[[each]] for each in numbers], "float32"))
    return value
