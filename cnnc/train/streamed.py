"""Batches of picture files, which worker processes read some batches ahead.

A worker decodes a picture and resizes it to its frame (`cnnc.data.frame`), as uint8. The pictures that a network is
trained with may be decoded at a reduced scale (`cnnc.data.pictures.decode_picture`): a half, a quarter or an eighth of
a JPEG's size takes half of the time. Those that it is tested with never are, so that tests score what `cnnc eval` does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cnnc.data.dataset import Files
from cnnc.data.examples import mask_of, picture_of
from cnnc.data.frame import Frame
from cnnc.data.preprocess import Preprocess
from cnnc.data.shards import Shards
from cnnc.diagnostics import CnncError, Code, Diagnostic
from cnnc.train.epoch_order import Range, order
from cnnc.train.stream_order import stream_order
from cnnc.train.workers import context, follow_parent, served, shared

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Streamed:
    """Picture files that worker processes read some batches ahead, into pinned memory if the device is a GPU."""

    def __init__(
        self,
        files: Files,
        preprocess: Preprocess,
        device: "torch.device",
        workers: int,
        buffer: int = 1,
        reduced: bool = False,
    ) -> None:
        self._pictures = Pictures(files, preprocess, reduced)
        self._device, self._workers, self._buffer = device, workers, buffer

    def __len__(self) -> int:
        return len(self._pictures)

    def batches(self, order: "Tensor | None", ranges: Sequence[Range]) -> "Iterator[tuple[Tensor, Tensor]]":
        """See BatchSource; raises E503 or E504 for an unreadable picture, E510 for a misfit, E515 for a dead worker."""
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
        """See BatchSource."""
        files = self._pictures.files
        if isinstance(files, Shards):
            return stream_order(files.shard, seed, epoch, batch, self._buffer)
        return order(len(self), seed, epoch)

    def example(self, index: int) -> "tuple[str, Tensor | None]":
        """See BatchSource."""
        picture = self._pictures[index][0]
        return str(self._pictures.files.paths[index]), None if isinstance(picture, Diagnostic) else picture


class Pictures:
    """The data set that workers read: by index, uint8 (C, H, W) and a target, or the diagnostic of a wrong file."""

    def __init__(self, files: Files, preprocess: Preprocess, reduced: bool = False) -> None:
        self.files, self._preprocess, self._frame, self._reduced = files, preprocess, Frame(preprocess), reduced

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> "tuple[Tensor, Tensor] | tuple[Diagnostic, ...]":
        # returned, not raised: an exception loses its diagnostics on the way out of a worker
        path = self.files.paths[index]
        try:
            picture = picture_of(self.files, index, self._preprocess.resized if self._reduced else None)
            framed = self._frame.picture(picture)
            settled = self._preprocess.settle(framed.permute(1, 2, 0)[None])[0]
            return settled.contiguous(), self._target(index, picture.size)
        except CnncError as error:
            (found,) = error.diagnostics
            whole = found.code is Code.DATA_MISFIT and not self.files.has_masks  # about a whole set, without a path
            return (replace(found, message=f"{path}: {found.message}") if whole else found,)

    def _target(self, index: int, size: tuple[int, int]) -> "Tensor":
        import torch

        if not self.files.has_masks:
            return torch.as_tensor(self.files.labels[index])
        return self._frame.mask(mask_of(self.files, index, size))


def collate(items: Sequence[Any]) -> Any:
    """Stack items of Pictures into a batch in shared memory, or return the diagnostic of a wrong file."""
    import torch

    for item in items:
        if isinstance(item[0], Diagnostic):
            return item
    return shared(torch.stack([image for image, _ in items]), torch.stack([target for _, target in items]))
