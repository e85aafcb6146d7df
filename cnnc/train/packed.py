"""Batches of a pack (`cnnc.data.packed`), read from the mapped file one batch ahead.

The batches are those of the same pictures in memory, bit for bit.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from cnnc.data.packed import PackedSplit
from cnnc.data.preprocess import Preprocess
from cnnc.train.epoch_order import Range, order

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Packed:
    """A source of the examples of a pack (see `cnnc.train.batches.BatchSource`)."""

    def __init__(self, split: PackedSplit, preprocess: Preprocess, device: "torch.device") -> None:
        self._split, self._preprocess, self._device = split, preprocess, device

    def __len__(self) -> int:
        return len(self._split)

    def batches(self, order: "Tensor | None", ranges: Sequence[Range]) -> "Iterator[tuple[Tensor, Tensor]]":
        """See BatchSource; raises E508 for a picture that is damaged."""
        with ThreadPoolExecutor(1) as thread:
            ahead = None
            for each in ranges:
                following = thread.submit(self._read, order, each)
                if ahead is not None:
                    yield self._settled(*ahead.result())
                ahead = following
            if ahead is not None:
                yield self._settled(*ahead.result())

    def order(self, seed: int, epoch: int, batch: int) -> "Tensor":
        """See BatchSource."""
        return order(len(self), seed, epoch)

    def example(self, index: int) -> "tuple[str, Tensor | None]":
        """See BatchSource."""
        import torch

        return str(index), self._preprocess.settle(torch.from_numpy(self._split.images[[index]]))[0].contiguous()

    def _read(self, order: "Tensor | None", part: Range) -> "tuple[Tensor, Tensor]":
        import numpy as np
        import torch

        rows = np.arange(part.start, part.stop) if order is None else order[part.start : part.stop].numpy()
        read = torch.from_numpy(self._split.images[rows]), torch.from_numpy(self._split.labels[rows])
        pixels, labels = (each.pin_memory() for each in read) if self._device.type == "cuda" else read
        return pixels, labels

    def _settled(self, pixels: "Tensor", labels: "Tensor") -> "tuple[Tensor, Tensor]":
        there = pixels.to(self._device, non_blocking=True)
        return self._preprocess.settle(there).contiguous(), labels.to(self._device, non_blocking=True)
