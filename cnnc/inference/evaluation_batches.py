"""A split of a data set as the arrays that a model takes, batch by batch and in order.

In: a `Split` or `Files`, and an `InputContract`. Out: float32 (N, C, H, W) on the CPU, which the network can take: the
size has been held against the contract, as a picture's is by `cnnc infer`.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from math import prod
from os import cpu_count
from typing import TYPE_CHECKING

from cnnc.artifacts.contract import InputContract
from cnnc.data.dataset import Files, Split
from cnnc.diagnostics import CnncError, Code
from cnnc.graph.graph import Input, Picture
from cnnc.ops.types import TensorType

if TYPE_CHECKING:
    from torch import Tensor

NUMBERS = 1 << 21  # input numbers of a batch: 8 MiB, with activations of at most some hundreds
LARGEST = 512


def feed(split: Split | Files, to: InputContract, batch: int | None = None) -> "Iterator[Tensor]":
    """The pictures of `split`, `batch` of them at once; raises E503 to E505 for a picture, E510 for all of them."""
    if isinstance(split, Files):
        return _read(split, to, batch or _batch(to.shape, 1))
    return _prepared(split, to, batch or _batch(to.shape, LARGEST))


def _batch(shape: tuple[int | None, ...], unknown: int) -> int:
    """How many pictures at once; `unknown` of them where the network takes any size."""
    return unknown if None in shape else max(1, min(LARGEST, NUMBERS // prod(side or 1 for side in shape)))


def _prepared(split: Split, to: InputContract, batch: int) -> "Iterator[Tensor]":
    import torch

    from cnnc.data.preprocess import Preprocess

    picture = Picture(to.mode or "", to.mean, to.std, to.resize, to.crop, to.interpolation, to.scale)
    preprocess = Preprocess(Input(to.name, TensorType(to.shape), picture))
    for start in range(0, len(split), batch):
        images = torch.tensor(split.images[start : start + batch])  # a copy: the file's own pages are read-only
        pictures = preprocess.resize(preprocess.settle(images))
        _require_fit(pictures.shape[-2], pictures.shape[-1], to)
        yield preprocess.normalise(pictures)


def _read(files: Files, to: InputContract, batch: int) -> "Iterator[Tensor]":
    """Pictures are decoded and prepared as `cnnc infer` does, on threads: Pillow works without Python's lock."""
    import numpy as np
    import torch

    from cnnc.data.pictures import open_picture, prepare

    with ThreadPoolExecutor(cpu_count()) as threads:
        for start in range(0, len(files), batch):
            paths = files.paths[start : start + batch]
            arrays = threads.map(lambda path: prepare(open_picture(path), to), paths)
            yield torch.from_numpy(np.stack(list(arrays)))


def _require_fit(height: int, width: int, to: InputContract) -> None:
    wanted = to.misfit(height, width)
    if wanted:
        raise CnncError.of(
            Code.DATA_MISFIT,
            f"the data's pictures come to {height} × {width} (height × width), the network takes {wanted}",
            help="let the spec's input say `resize: [height, width]`, or correct its `resize` and `crop`",
        )
