"""Keep the pictures of a run in memory once they have been read: `cache` of the recipe.

Each process keeps what it has read, as uint8 of the network's size. A run of one process reads nothing from the second
epoch on.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from cnnc.train.batches import BatchSource
from cnnc.train.epoch_order import Range

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Cached:
    """A source with the examples of another, which reads each of them once."""

    def __init__(self, source: BatchSource, device: "torch.device") -> None:
        import torch

        self._source, self._device = source, device
        self._known = torch.zeros(len(source), dtype=torch.bool)
        self._images: Tensor | None = None
        self._targets: Tensor | None = None

    def __len__(self) -> int:
        return len(self._source)

    def order(self, seed: int, epoch: int, batch: int) -> "Tensor":
        """See BatchSource."""
        return self._source.order(seed, epoch, batch)

    def example(self, index: int) -> "tuple[str, Tensor | None]":
        """See BatchSource."""
        return self._source.example(index)

    def batches(self, order: "Tensor | None", ranges: Sequence[Range]) -> "Iterator[tuple[Tensor, Tensor]]":
        """See BatchSource; reads a whole batch if one of its examples is not known yet."""
        import torch

        places = torch.arange(len(self)) if order is None else order
        chosen = [places[each.start : each.stop] for each in ranges]
        unread = [not bool(self._known[each].all()) for each in chosen]
        found = self._source.batches(order, [each for each, new in zip(ranges, unread, strict=True) if new])
        for indices, new in zip(chosen, unread, strict=True):
            if new:
                yield self._keep(indices, *next(found))
            else:
                assert self._images is not None
                assert self._targets is not None
                yield self._images[indices].to(self._device), self._targets[indices].to(self._device)

    def _keep(self, indices: "Tensor", images: "Tensor", targets: "Tensor") -> "tuple[Tensor, Tensor]":
        import torch

        if self._images is None or self._targets is None:
            self._images = torch.empty((len(self), *images.shape[1:]), dtype=images.dtype)
            self._targets = torch.empty((len(self), *targets.shape[1:]), dtype=targets.dtype)
        self._images[indices], self._targets[indices] = images.cpu(), targets.cpu()
        self._known[indices] = True
        return images, targets
