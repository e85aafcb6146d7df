"""Runs a Darknet section of the page as Darknet's C code does: `[maxpool] size=2 stride=1`.

`x` is the layer before (-1); `y` is the other layer that a `route`, `shortcut` or `scale_channels` names. Weights are
random, and are recorded in cnnc's order: the kernel before the batch norm, and its scales before the biases.
"""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

Array = Any
Options = dict[str, str]
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "elu": lambda x: np.where(x >= 0, x, np.exp(np.minimum(x, 0)) - 1),
    "hardtan": lambda x: np.clip(x, -1, 1),
    "leaky": lambda x: np.where(x > 0, x, 0.1 * x),
    "linear": lambda x: x,
    "logistic": lambda x: 1 / (1 + np.exp(-x)),
    "loggy": lambda x: 2 / (1 + np.exp(-x)) - 1,
    "mish": lambda x: x * np.tanh(np.log(1 + np.exp(x))),
    "ramp": lambda x: x * (x > 0) + 0.1 * x,
    "relie": lambda x: np.where(x > 0, x, 0.01 * x),
    "relu": lambda x: x * (x > 0),
    "swish": lambda x: x / (1 + np.exp(-x)),
    "tanh": np.tanh,
}


def answer(construct: str, inputs: list[Tensor]) -> tuple[list[Tensor], dict[str, Tensor]]:
    """Return the output of a section, and its weights in cnnc's order."""
    layer, written = re.fullmatch(r"\[(\w+)\](.*)", construct).groups()  # type: ignore[union-attr]
    options = dict(each.split("=") for each in written.split())
    weights: list[Array] = []
    found = LAYERS[layer](Section(options, weights), *(each.numpy().astype(np.float64) for each in inputs))
    return [torch.from_numpy(found).float()], _numbered(weights)


def network(cfg: str, image: Tensor) -> tuple[list[Tensor], dict[str, Tensor]]:
    """Return the outputs of all layers of a cfg file up to the first `[yolo]`, and its weights in cnnc's order."""
    weights: list[Array] = []
    found: list[Array] = []
    for layer, body in re.findall(r"^\[(\w+)\]\n([^[]*)", cfg, re.MULTILINE):
        options = dict(each.split("=") for each in body.splitlines() if "=" in each)
        if layer == "net":
            assert image.shape[1:] == tuple(int(options[name]) for name in ("channels", "height", "width"))
        elif layer == "yolo":
            break
        else:
            section = Section(options, weights)
            section.random = np.random.default_rng(len(found))
            named = options.get("layers", options.get("from"))
            at = [int(each) for each in named.split(",")] if named else [-1]
            sources = [found[k] for k in at] if found else [image.numpy().astype(np.float64)]
            found.append(LAYERS[layer](section, *([found[-1], *sources] if "from" in options else sources)))
    return [torch.from_numpy(each).float() for each in found], _numbered(weights)


def _numbered(weights: list[Array]) -> dict[str, Tensor]:
    return {str(k): torch.from_numpy(each).float() for k, each in enumerate(weights)}


class Section:
    """The options of a section, and its random weights."""

    def __init__(self, options: Options, weights: list[Array]) -> None:
        self.options, self.weights = options, weights
        self.random = np.random.default_rng(0)

    def number(self, name: str, default: int) -> int:
        return int(self.options.get(name, default))

    def real(self, name: str, default: float) -> float:
        return float(self.options.get(name, default))

    def weight(self, *shape: int) -> Array:
        made = self.random.uniform(0.5, 1.5, shape)
        self.weights.append(made)
        return made

    def activated(self, x: Array, default: str) -> Array:
        return ACTIVATIONS[self.options.get("activation", default)](x)

    def normalised(self, x: Array) -> Array:
        """`normalize_kernel`, `scale_bias` and `add_bias` with the rolling statistics, or `add_bias` alone."""
        channels = x.shape[1]
        around = (1, channels) + (1,) * (x.ndim - 2)
        if not self.number("batch_normalize", 0):
            return x + self.weight(channels).reshape(around)
        scales, biases, mean, variance = (self.weight(channels).reshape(around) for _ in range(4))
        return (x - mean) / np.sqrt(variance + 0.00001) * scales + biases


def convolutional(s: Section, x: Array) -> Array:
    size, stride, groups = s.number("size", 1), s.number("stride", 1), s.number("groups", 1)
    padding = size // 2 if s.number("pad", 0) else s.number("padding", 0)
    filters, channels = s.number("filters", 1), x.shape[1]
    kernel = s.weight(filters, channels // groups, size, size)
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    height, width = ((n + 2 * padding - size) // stride + 1 for n in x.shape[2:])
    out = np.zeros((len(x), filters, height, width))
    for f in range(filters):
        first = f // (filters // groups) * (channels // groups)
        for i in range(height):
            for j in range(width):
                window = padded[:, first : first + channels // groups, i * stride :, j * stride :][:, :, :size, :size]
                out[:, f, i, j] = (window * kernel[f]).sum((1, 2, 3))
    return s.activated(s.normalised(out), "logistic")


def deconvolutional(s: Section, x: Array) -> Array:
    size, stride, filters = s.number("size", 1), s.number("stride", 1), s.number("filters", 1)
    padding = size // 2 if s.number("pad", 0) else s.number("padding", 0)
    kernel = s.weight(x.shape[1], filters, size, size)
    height, width = ((n - 1) * stride + size for n in x.shape[2:])
    out = np.zeros((len(x), filters, height, width))
    for i in range(x.shape[2]):
        for j in range(x.shape[3]):
            added = np.einsum("bc,cfhw->bfhw", x[:, :, i, j], kernel)
            out[:, :, i * stride : i * stride + size, j * stride : j * stride + size] += added
    cut = out[:, :, padding : height - padding, padding : width - padding]
    return s.activated(s.normalised(cut), "logistic")


def connected(s: Section, x: Array) -> Array:
    flat = x.reshape(len(x), -1)
    weights = s.weight(s.number("output", 1), flat.shape[1])
    return s.activated(s.normalised(flat @ weights.T), "logistic")


def maxpool(s: Section, x: Array) -> Array:
    """`forward_maxpool_layer`: all the padding counts once, and half of it, rounded down, is before the input."""
    stride = s.number("stride", 1)
    size = s.number("size", stride)
    padding = s.number("padding", size - 1)
    before = padding // 2
    wide = ((0, 0), (0, 0), (before, padding + size), (before, padding + size))
    padded = np.pad(x, wide, constant_values=-np.inf)
    height, width = ((n + padding - size) // stride + 1 for n in x.shape[2:])
    out = np.zeros((*x.shape[:2], height, width))
    for i in range(height):
        for j in range(width):
            window = padded[:, :, i * stride : i * stride + size, j * stride : j * stride + size]
            out[:, :, i, j] = window.max((2, 3))
    return out


def avgpool(s: Section, x: Array) -> Array:
    return x.mean((2, 3), keepdims=True)


def batchnorm(s: Section, x: Array) -> Array:
    s.options["batch_normalize"] = "1"
    return s.normalised(x)


def route(s: Section, *layers: Array) -> Array:
    joined = np.concatenate(layers, 1)
    groups, own = s.number("groups", 1), s.number("group_id", 0)
    part = joined.shape[1] // groups
    return joined[:, own * part : (own + 1) * part]


def shortcut(s: Section, x: Array, y: Array) -> Array:
    return s.activated(x + y, "linear")


def scale_channels(s: Section, x: Array, y: Array) -> Array:
    return s.activated(y * x, "linear")


def sam(s: Section, x: Array, y: Array) -> Array:
    return s.activated(y * x, "linear")


def upsample(s: Section, x: Array) -> Array:
    stride = s.number("stride", 2)
    return s.real("scale", 1) * x.repeat(stride, 2).repeat(stride, 3)


def reorg(s: Section, x: Array) -> Array:
    """`reorg_cpu(x, w, h, c, batch, stride, 0, out)` with the sizes of the input."""
    batch, c, h, w = x.shape
    stride = s.number("stride", 1)
    return _reorg(x, w, h, c, batch, stride).reshape(batch, c * stride**2, h // stride, w // stride)


def reorg3d(s: Section, x: Array) -> Array:
    """The same with the sizes of the output."""
    batch, c, h, w = x.shape
    stride = s.number("stride", 1)
    sizes = w // stride, h // stride, c * stride**2
    return _reorg(x, *sizes, batch, stride).reshape(batch, *sizes[::-1])


def _reorg(x: Array, w: int, h: int, c: int, batch: int, stride: int) -> Array:
    source, out = x.ravel(), np.zeros(x.size)
    out_c = c // stride**2
    for b in range(batch):
        for k in range(c):
            for j in range(h):
                for i in range(w):
                    in_index = i + w * (j + h * (k + c * b))
                    c2, offset = k % out_c, k // out_c
                    w2, h2 = i * stride + offset % stride, j * stride + offset // stride
                    out[in_index] = source[w2 + w * stride * (h2 + h * stride * (c2 + out_c * b))]
    return out


def l2norm(s: Section, x: Array) -> Array:
    """`l2normalize_cpu`: over the channels of each position."""
    return x / np.sqrt((x**2).sum(1, keepdims=True))


def softmax(s: Section, x: Array) -> Array:
    scores = np.exp(x.reshape(len(x), -1) / s.real("temperature", 1))
    return scores / scores.sum(1, keepdims=True)


def activation(s: Section, x: Array) -> Array:
    return s.activated(x, "linear")


def unchanged(s: Section, x: Array) -> Array:
    return x


LAYERS: dict[str, Callable[..., Array]] = {
    each.__name__: each
    for each in (
        convolutional, deconvolutional, connected, maxpool, avgpool, batchnorm, route, shortcut, scale_channels, sam,
        upsample, reorg, reorg3d, l2norm, softmax, activation,
    )
} | {"dropout": unchanged}  # fmt: skip
