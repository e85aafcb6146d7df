"""Batches of a data set on the device, from memory or from files that worker processes read.

Both sources yield uint8 pictures (n, C, H, W) in the network's colours and their targets (`cnnc.train.tasks`), in a
given order, without waiting for the device. Pictures from files already have the network's size.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from cnnc.data.dataset import DecodedSplit, Files
from cnnc.data.examples import mask_of, picture_of
from cnnc.data.preprocess import Preprocess
from cnnc.data.shards import Shards
from cnnc.diagnostics import CnncError, Code, Diagnostic
from cnnc.train.epoch_order import Range, order
from cnnc.train.stream_order import stream_order
from cnnc.train.workers import context, follow_parent, served, shared

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
        """Return the path or the number of a picture, and its pixels, uint8 (C, H, W); None if it is unreadable."""


def source(
    split: DecodedSplit | Files,
    preprocess: Preprocess,
    device: "torch.device",
    sharing: int = 1,
    buffer: int = 1,
    workers: int | None = None,
) -> BatchSource:
    """Return the source of the split's examples; `sharing` processes on this machine read files.

    `buffer` is the number of examples among which those of tar shards are shuffled, `workers` the number of processes
    that read files for this one, by default one a core and at most MOST_WORKERS; with 0, this process reads.
    """
    if isinstance(split, DecodedSplit):
        return Resident(split, preprocess, device)
    default = max(1, min(MOST_WORKERS, _cores()) // sharing)
    return Streamed(split, preprocess, device, default if workers is None else workers, buffer)


class Resident:
    """A decoded set, on the device, or on the CPU if it would take more than half of the device's free memory."""

    def __init__(self, split: DecodedSplit, preprocess: Preprocess, device: "torch.device") -> None:
        import torch

        self._device = device
        self._home = device if split.images.nbytes + split.labels.nbytes < _room(device) else torch.device("cpu")
        self._images = preprocess.settle(torch.from_numpy(split.images)).to(self._home)
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


class Streamed:
    """Picture files that worker processes read some batches ahead, into pinned memory if the device is a GPU."""

    def __init__(
        self, files: Files, preprocess: Preprocess, device: "torch.device", workers: int, buffer: int = 1
    ) -> None:
        self._pictures, self._device, self._workers, self._buffer = Pictures(files, preprocess), device, workers, buffer

    def __len__(self) -> int:
        return len(self._pictures)

    def batches(self, order: "Tensor | None", ranges: Sequence[Range]) -> "Iterator[tuple[Tensor, Tensor]]":
        """See Source; raises E503 or E504 for an unreadable picture, E510 for a misfit, E515 if a worker has died."""
        import torch
        from torch.utils.data import DataLoader

        if not ranges:
            return
        positions = range(len(self)) if order is None else order.tolist()
        chosen = [list(positions[each.start : each.stop]) for each in ranges]
        loader: DataLoader[Any] = DataLoader(
            self._pictures,  # type: ignore[arg-type]  # torch asks for a base class, and needs two methods
            batch_sampler=chosen,
            num_workers=min(self._workers, len(chosen)),
            multiprocessing_context=context(["torch", __name__, "cnnc.data.pictures"]) if self._workers else None,
            worker_init_fn=follow_parent,
            collate_fn=collate,
            pin_memory=self._device.type == "cuda",
            generator=torch.Generator(),  # the default generator is the one that dropout uses
        )
        for batch in served(loader):
            if isinstance(batch[0], Diagnostic):
                raise CnncError(batch)
            images, targets = batch
            yield images.to(self._device, non_blocking=True), targets.to(self._device, non_blocking=True)

    def order(self, seed: int, epoch: int, batch: int) -> "Tensor":
        """See Source."""
        files = self._pictures.files
        if isinstance(files, Shards):
            return stream_order(files.shard, seed, epoch, batch, self._buffer)
        return order(len(self), seed, epoch)

    def example(self, index: int) -> "tuple[str, Tensor | None]":
        """See Source."""
        picture = self._pictures[index][0]
        return str(self._pictures.files.paths[index]), None if isinstance(picture, Diagnostic) else picture


class Pictures:
    """The data set that workers read: by index, uint8 (C, H, W) and a target, or the diagnostic of a wrong file."""

    def __init__(self, files: Files, preprocess: Preprocess) -> None:
        self.files, self._preprocess = files, preprocess

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> "tuple[Tensor, Tensor] | tuple[Diagnostic, ...]":
        # returned, not raised: an exception loses its diagnostics on the way out of a worker
        import numpy as np
        import torch

        path = self.files.paths[index]
        try:
            picture = np.array(picture_of(self.files, index).image)
            height, width = picture.shape[0], picture.shape[1]
            settled = self._preprocess.settle(torch.from_numpy(picture.reshape(1, height, width, -1)))
            return self._preprocess.resize(settled)[0], self._target(index, (height, width))
        except CnncError as error:
            (found,) = error.diagnostics
            whole = found.code is Code.DATA_MISFIT and not self.files.has_masks  # about a whole set, without a path
            return (replace(found, message=f"{path}: {found.message}") if whole else found,)

    def _target(self, index: int, size: tuple[int, int]) -> "Tensor":
        import torch

        if not self.files.has_masks:
            return torch.as_tensor(self.files.labels[index])
        mask = torch.from_numpy(mask_of(self.files, index, size))
        return self._preprocess.resize_masks(mask[None])[0]


def collate(items: Sequence[Any]) -> Any:
    """Stack items of Pictures into a batch in shared memory, or return the diagnostic of a wrong file."""
    import torch

    for item in items:
        if isinstance(item[0], Diagnostic):
            return item
    return shared(torch.stack([image for image, _ in items]), torch.stack([target for _, target in items]))


def _room(device: "torch.device") -> float:
    """Return the most bytes that a set may take on the device."""
    import torch

    return torch.cuda.mem_get_info(device)[0] / 2 if device.type == "cuda" else float("inf")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
