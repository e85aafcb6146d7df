"""Batches of a data set on the device: from memory, from a pack, or from files that worker processes read.

All sources yield uint8 pictures (n, C, H, W) in the network's colours and their targets (`cnnc.train.tasks`), in a
given order, without waiting for the device. Pictures from files already have the network's size.
"""

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from cnnc.data.dataset import DecodedSplit, Files
from cnnc.data.packed import PackedSplit
from cnnc.data.preprocess import Preprocess
from cnnc.train.epoch_order import Range, order
from cnnc.train.packed import Packed
from cnnc.train.streamed import Streamed

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Batch = "tuple[Tensor, Tensor]"
MOST_WORKERS = 8


class BatchSource(Protocol):
    """A sequence of `len` examples."""

    def __len__(self) -> int: ...

    def batches(self, order: "Tensor | None", ranges: Sequence[Range]) -> "Iterator[tuple[Tensor, Tensor]]":
        """Yield a batch for each range of positions in `order`, or in the set's own order if it is None."""

    def order(self, seed: int, epoch: int, batch: int) -> "Tensor":
        """Return the permutation of the examples in an epoch, which depends only on the set and the arguments."""

    def example(self, index: int) -> "tuple[str, Tensor | None]":
        """Return the path or the number of a picture, and its pixels, None if it is unreadable.

        They are uint8 (C, H, W), in the network's colours.
        """


def source(
    split: DecodedSplit | Files,
    preprocess: Preprocess,
    device: "torch.device",
    sharing: int = 1,
    buffer: int = 1,
    workers: int | None = None,
    reduced: bool = False,
) -> BatchSource:
    """Return the source of the split's examples; `sharing` processes on this machine read files.

    `buffer` is the number of examples among which those of tar shards are shuffled, `workers` the number of processes
    that read files for this one, by default one a core and at most MOST_WORKERS; with 0, this process reads. Files are
    decoded at a reduced scale if `reduced` and they are large enough.
    """
    if isinstance(split, PackedSplit):
        return Packed(split, preprocess, device)
    if isinstance(split, DecodedSplit):
        return Resident(split, preprocess, device)
    default = max(1, min(MOST_WORKERS, _cores()) // sharing)
    return Streamed(split, preprocess, device, default if workers is None else workers, buffer, reduced)


class Resident:
    """A decoded set, on the device, or on the CPU if it would take more than half of the device's free memory."""

    def __init__(self, split: DecodedSplit, preprocess: Preprocess, device: "torch.device") -> None:
        import torch

        self._device = device
        self._home = device if split.images.nbytes + split.labels.nbytes < _room(device) else torch.device("cpu")
        self._images = preprocess.settle(torch.from_numpy(split.images)).contiguous().to(self._home)
        self._labels = torch.from_numpy(split.labels).to(self._home)

    def __len__(self) -> int:
        return len(self._labels)

    def batches(self, order: "Tensor | None", ranges: Sequence[Range]) -> "Iterator[tuple[Tensor, Tensor]]":
        """See Source."""
        there = None if order is None else order.to(self._home, non_blocking=True)
        for each in ranges:
            part = slice(each.start, each.stop)
            if there is None:
                yield self._on_device(self._images[part]), self._on_device(self._labels[part])
            else:
                chosen = there[part]
                images, labels = self._images.index_select(0, chosen), self._labels.index_select(0, chosen)
                yield self._on_device(images), self._on_device(labels)

    def order(self, seed: int, epoch: int, batch: int) -> "Tensor":
        """See Source."""
        return order(len(self), seed, epoch)

    def example(self, index: int) -> "tuple[str, Tensor | None]":
        """See Source."""
        return str(index), self._images[index]

    def _on_device(self, batch: "Tensor") -> "Tensor":
        if self._home == self._device:
            return batch
        return (batch.pin_memory() if self._device.type == "cuda" else batch).to(self._device, non_blocking=True)


def _room(device: "torch.device") -> float:
    """Return the most bytes that a set may take on the device."""
    import torch

    return torch.cuda.mem_get_info(device)[0] / 2 if device.type == "cuda" else float("inf")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
