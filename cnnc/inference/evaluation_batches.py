"""Prepare a split of a data set as input batches of a model, in order.

Takes a `DecodedSplit` or `Files`, and an `InputContract`. Yields float32 (N, C, H, W) on the CPU, or uint8 (N, H, W, C)
for a model that normalises by itself. The size of each batch is checked against the contract, as `cnnc infer` checks
that of a picture.
"""

from collections.abc import Iterator
from math import prod
from typing import TYPE_CHECKING

from cnnc.artifacts.contract import InputContract
from cnnc.data.dataset import DecodedSplit, Files
from cnnc.diagnostics import CnncError, Code
from cnnc.graph.graph import Input, Picture
from cnnc.ops.types import TensorType

if TYPE_CHECKING:
    from torch import Tensor

    from cnnc.data.preprocess import Preprocess

NUMBERS = 1 << 21  # input values per batch: 8 MiB, and activations of at most some hundreds of MiB
LARGEST = 512


def feed(split: DecodedSplit | Files, to: InputContract, batch: int | None = None) -> "Iterator[Tensor]":
    """Yield the pictures of `split` in batches of `batch`; raises E503 to E505 for a picture, E510 for all of them."""
    if isinstance(split, Files):
        return _read(split, to, batch or batch_size(to.shape, 1))
    return _prepared(split, to, batch or batch_size(to.shape, LARGEST))


def batch_size(shape: tuple[int | None, ...], unknown: int) -> int:
    """Return the batch size for an input shape; `unknown` if a side of the shape is open."""
    return unknown if None in shape else max(1, min(LARGEST, NUMBERS // prod(side or 1 for side in shape)))


def preprocess_of(to: InputContract) -> "Preprocess":
    """Return the preprocessing of a model's input, which takes pictures."""
    from cnnc.data.preprocess import Preprocess

    picture = Picture(to.mode or "", to.mean, to.std, to.resize, to.crop, to.interpolation, to.scale)
    return Preprocess(Input(to.name, TensorType(to.shape), picture))


def _prepared(split: DecodedSplit, to: InputContract, batch: int) -> "Iterator[Tensor]":
    import torch

    from cnnc.data.packed import PackedSplit

    preprocess = preprocess_of(to)
    if isinstance(split, PackedSplit):
        split.require_enough(preprocess)
    for start in range(0, len(split), batch):
        images = torch.tensor(split.images[start : start + batch])  # a copy: the file's pages are read-only
        pictures = preprocess.resize(preprocess.settle(images))
        _require_fit(pictures.shape[-2], pictures.shape[-1], to)
        yield _pixels(pictures, to) if to.uint8 else preprocess.normalise(pictures)


def _pixels(pictures: "Tensor", to: InputContract) -> "Tensor":
    """Return uint8 (N, C, H, W) in the input's colours as (N, H, W, C) in RGB or grey."""
    last = pictures.permute(0, 2, 3, 1)
    return (last.flip(-1) if to.mode == "bgr" else last).contiguous()


def _read(files: Files, to: InputContract, batch: int) -> "Iterator[Tensor]":
    """Decode and prepare pictures as `cnnc infer` does, on threads."""
    import numpy as np
    import torch

    from cnnc.data.examples import picture_of
    from cnnc.data.pictures import decoders, prepare

    with decoders() as threads:
        for start in range(0, len(files), batch):
            indices = range(start, min(start + batch, len(files)))
            arrays = threads.map(lambda index: prepare(picture_of(files, index), to), indices)
            yield torch.from_numpy(np.stack(list(arrays)))


def _require_fit(height: int, width: int, to: InputContract) -> None:
    wanted = to.misfit(height, width)
    if wanted:
        raise CnncError.of(
            Code.DATA_MISFIT,
            f"the prepared pictures of the data are {height} × {width} (height × width), the network takes {wanted}",
            help="add `resize: [height, width]` to the spec's input, or correct its `resize` and `crop`",
        )
