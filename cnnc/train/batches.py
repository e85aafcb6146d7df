"""Batches of a data set on the device: of a set that lies there, or of files that workers read.

Both give uint8 pictures (n, C, H, W) in the network's colours and int64 labels (n,), in a given order, and neither
waits for the device. Those that are read from files are in the network's size already.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from cnnc.data.dataset import Files, Split
from cnnc.data.preprocess import Preprocess
from cnnc.diagnostics import CnncError, Code, Diagnostic
from cnnc.train.epoch_order import Range
from cnnc.train.workers import context, follow_parent, served, shared

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Batch = "tuple[Tensor, Tensor]"
MOST_WORKERS = 8


class Source(Protocol):
    """Examples, as many as `len` says."""

    def __len__(self) -> int: ...

    def batches(self, order: "Tensor | None", ranges: Sequence[Range]) -> "Iterator[tuple[Tensor, Tensor]]":
        """A batch for each range of positions in `order`; without it, of the examples as they stand."""


def source(split: Split | Files, preprocess: Preprocess, device: "torch.device", sharing: int = 1) -> Source:
    """The examples of a split; `sharing` processes of this machine read files at the same time."""
    if isinstance(split, Split):
        return Resident(split, preprocess, device)
    return Streamed(split, preprocess, device, max(1, min(MOST_WORKERS, _cores()) // sharing))


class Resident:
    """A decoded set that lies on the device, or beside it where it would take more than half of its memory."""

    def __init__(self, split: Split, preprocess: Preprocess, device: "torch.device") -> None:
        import torch

        self._device = device
        self._home = device if split.images.nbytes < _room(device) else torch.device("cpu")
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

    def _on_device(self, batch: "Tensor") -> "Tensor":
        if self._home == self._device:
            return batch
        return (batch.pin_memory() if self._device.type == "cuda" else batch).to(self._device, non_blocking=True)


class Streamed:
    """Picture files that worker processes read, some batches ahead, into pinned memory where the device is a GPU."""

    def __init__(self, files: Files, preprocess: Preprocess, device: "torch.device", workers: int) -> None:
        self._pictures, self._device, self._workers = Pictures(files, preprocess), device, workers

    def __len__(self) -> int:
        return len(self._pictures)

    def batches(self, order: "Tensor | None", ranges: Sequence[Range]) -> "Iterator[tuple[Tensor, Tensor]]":
        """See Source; raises E503 or E504 for a file that is no picture of ours, E515 where a worker has died."""
        import torch
        from torch.utils.data import DataLoader

        positions = range(len(self)) if order is None else order.tolist()
        chosen = [list(positions[each.start : each.stop]) for each in ranges]
        loader: DataLoader[Any] = DataLoader(
            self._pictures,  # type: ignore[arg-type]  # torch asks for a base class, and needs two methods
            batch_sampler=chosen,
            num_workers=min(self._workers, len(chosen)),
            multiprocessing_context=context(["torch", __name__, "cnnc.data.pictures"]),
            worker_init_fn=follow_parent,
            collate_fn=collate,
            pin_memory=self._device.type == "cuda",
            generator=torch.Generator(),  # else it would draw from the one that dropout draws from
        )
        for batch in served(loader):
            if isinstance(batch[0], Diagnostic):
                raise CnncError(batch)
            images, labels = batch
            yield images.to(self._device, non_blocking=True), labels.to(self._device, non_blocking=True)


class Pictures:
    """Files by position, as workers read them: uint8 (C, H, W) and a label, or what is wrong with the file."""

    def __init__(self, files: Files, preprocess: Preprocess) -> None:
        self._files, self._preprocess = files, preprocess

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> "tuple[Tensor, int] | tuple[Diagnostic, ...]":
        # an exception would lose its diagnostics on the way out of a worker
        import numpy as np
        import torch

        from cnnc.data.pictures import open_picture

        path = self._files.paths[index]
        try:
            picture = np.array(open_picture(path).image)
            settled = self._preprocess.settle(torch.from_numpy(picture.reshape(1, *picture.shape[:2], -1)))
            return self._preprocess.resize(settled)[0], int(self._files.labels[index])
        except CnncError as error:
            (said,) = error.diagnostics
            misfit = said.code is Code.DATA_MISFIT  # as it is told of a whole set, which has no path
            return (replace(said, message=f"{path}: {said.message}") if misfit else said,)


def collate(items: Sequence[Any]) -> Any:
    """A batch of what Pictures gives, for another process; of one with a bad file, what is wrong with it."""
    import torch

    for item in items:
        if isinstance(item[0], Diagnostic):
            return item
    return shared(torch.stack([image for image, _ in items]), torch.tensor([label for _, label in items]))


def _room(device: "torch.device") -> float:
    """How many bytes a set may take of the device."""
    import torch

    return torch.cuda.mem_get_info(device)[0] / 2 if device.type == "cuda" else float("inf")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
