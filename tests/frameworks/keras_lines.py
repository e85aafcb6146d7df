"""Evaluates a Keras construct of the page as Keras 3 documents it: layers over channels-last tensors, in inference."""

from itertools import count
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tests.frameworks.keras_weighted import ACTIVATIONS, Layer, Weighted, channels_first, channels_last, padded_first
from tests.frameworks.page import NAMES


def answer(construct: str, inputs: list[Tensor]) -> tuple[list[Tensor], dict[str, Tensor]]:
    """Return the outputs of a construct, and its weights in order, both with channels first."""
    layers = Layers()
    last = [channels_last(x) for x in inputs]
    methods = {name: getattr(layers, name) for name in dir(layers) if name[0].isupper()}
    scope = {**methods, "tf": SimpleNamespace(nn=TfNn), "ops": Ops, **dict(zip(NAMES, last, strict=False))}
    found = eval(construct, scope)
    found = found(*last) if callable(found) else found
    outputs = found if isinstance(found, list) else [found]
    return [channels_first(each) for each in outputs], dict(zip(map(str, count()), layers.weights, strict=False))


class Layers(Weighted):
    """The layers of Keras."""

    def MaxPooling2D(self, pool_size: Any = 2, strides: Any = None, padding: str = "valid") -> Layer:
        strides = pool_size if strides is None else strides

        def call(x: Tensor) -> Tensor:
            padded = padded_first(x, padding, pool_size, strides, 1, value=-1e30)
            return channels_last(functional.max_pool2d(padded, pool_size, strides))

        return call

    def AveragePooling2D(self, pool_size: Any = 2, strides: Any = None, padding: str = "valid") -> Layer:
        strides = pool_size if strides is None else strides

        def call(x: Tensor) -> Tensor:
            def total(of: Tensor) -> Tensor:
                return functional.avg_pool2d(padded_first(of, padding, pool_size, strides, 1), pool_size, strides)

            return channels_last(total(x) / total(torch.ones_like(x)))

        return call

    def GlobalAveragePooling2D(self, keepdims: bool = False) -> Layer:
        return lambda x: x.mean((1, 2), keepdim=keepdims)

    def GlobalMaxPooling2D(self, keepdims: bool = False) -> Layer:
        return lambda x: x.amax((1, 2), keepdim=keepdims)

    def Activation(self, name: str) -> Layer:
        return ACTIVATIONS[name]

    def ReLU(self, max_value: float | None = None, negative_slope: float = 0.0) -> Layer:
        return lambda x: torch.where(x > 0, x, negative_slope * x).clamp(max=max_value or 1e30)

    def LeakyReLU(self, negative_slope: float = 0.3) -> Layer:
        return lambda x: torch.where(x > 0, x, negative_slope * x)

    def ELU(self, alpha: float = 1.0) -> Layer:
        return lambda x: torch.where(x > 0, x, alpha * (x.exp() - 1))

    def PReLU(self, shared_axes: list[int]) -> Layer:
        def call(x: Tensor) -> Tensor:
            assert shared_axes == [1, 2]
            return torch.where(x > 0, x, self.weight(1, 1, x.shape[-1]) * x)

        return call

    def Softmax(self) -> Layer:
        return ACTIVATIONS["softmax"]

    def Dropout(self, rate: float) -> Layer:
        return lambda x: x

    def Rescaling(self, scale: float, offset: float = 0.0) -> Layer:
        return lambda x: x * scale + offset

    def Flatten(self) -> Layer:
        return lambda x: x.flatten(1)

    def Reshape(self, target_shape: tuple[int, ...]) -> Layer:
        return lambda x: x.reshape(len(x), *target_shape)

    def Permute(self, dims: tuple[int, ...]) -> Layer:
        return lambda x: x.permute(0, *dims)

    def ZeroPadding2D(self, padding: Any) -> Layer:
        (top, bottom), (left, right) = padding if not isinstance(padding, int) else ((padding, padding),) * 2
        return lambda x: functional.pad(x, (0, 0, left, right, top, bottom))

    def Cropping2D(self, cropping: Any) -> Layer:
        (top, bottom), (left, right) = cropping if not isinstance(cropping, int) else ((cropping, cropping),) * 2
        return lambda x: x[:, top : x.shape[1] - bottom, left : x.shape[2] - right]

    def CenterCrop(self, height: int, width: int) -> Layer:
        def call(x: Tensor) -> Tensor:
            top, left = (x.shape[1] - height) // 2, (x.shape[2] - width) // 2
            return x[:, top : top + height, left : left + width]

        return call

    def UpSampling2D(self, size: int = 2, interpolation: str = "nearest") -> Layer:
        def call(x: Tensor) -> Tensor:
            if interpolation == "nearest":
                return x.repeat_interleave(size, 1).repeat_interleave(size, 2)
            return self.Resizing(size * x.shape[1], size * x.shape[2])(x)

        return call

    def Resizing(self, height: int, width: int) -> Layer:
        def along(x: Tensor, axis: int, size: int) -> Tensor:
            """Interpolate along an axis, between the centres of pixels."""
            most = x.shape[axis] - 1
            at = ((torch.arange(size) + 0.5) * x.shape[axis] / size - 0.5).clamp(0, most)
            low = at.floor().long()
            shape = [-1 if each == axis else 1 for each in range(4)]
            part = (at - low).reshape(shape)
            return x.index_select(axis, low) * (1 - part) + x.index_select(axis, (low + 1).clamp(max=most)) * part

        return lambda x: along(along(x, 1, height), 2, width)

    def Add(self) -> Layer:
        return lambda inputs: inputs[0] + inputs[1]

    def Subtract(self) -> Layer:
        return lambda inputs: inputs[0] - inputs[1]

    def Multiply(self) -> Layer:
        return lambda inputs: inputs[0] * inputs[1]

    def Average(self) -> Layer:
        return lambda inputs: (inputs[0] + inputs[1]) / 2

    def Maximum(self) -> Layer:
        return lambda inputs: torch.where(inputs[0] > inputs[1], inputs[0], inputs[1])

    def Minimum(self) -> Layer:
        return lambda inputs: torch.where(inputs[0] < inputs[1], inputs[0], inputs[1])

    def Concatenate(self, axis: int = -1) -> Layer:
        return lambda inputs: torch.cat(inputs, axis)


class Ops:
    """Functions of `keras.ops`."""

    @staticmethod
    def mean(x: Tensor, axis: Any, keepdims: bool = False) -> Tensor:
        return x.mean(axis, keepdim=keepdims)

    @staticmethod
    def max(x: Tensor, axis: Any, keepdims: bool = False) -> Tensor:
        return x.amax(axis, keepdim=keepdims)

    @staticmethod
    def split(x: Tensor, parts: int, axis: int) -> list[Tensor]:
        return list(x.chunk(parts, axis))


class TfNn:
    """Functions of `tf.nn`."""

    @staticmethod
    def depth_to_space(x: Tensor, r: int) -> Tensor:
        batch, height, width, channels = x.shape
        squares = x.reshape(batch, height, width, r, r, channels // r**2)
        return squares.permute(0, 1, 3, 2, 4, 5).reshape(batch, height * r, width * r, -1)

    @staticmethod
    def space_to_depth(x: Tensor, r: int) -> Tensor:
        batch, height, width, channels = x.shape
        squares = x.reshape(batch, height // r, r, width // r, r, channels)
        return squares.permute(0, 1, 3, 2, 4, 5).reshape(batch, height // r, width // r, -1)
