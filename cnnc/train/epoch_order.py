"""Which examples go through the network when: pure arithmetic, the same on every rank.

An epoch is a permutation of the examples, cut into steps of the optimizer, each into batches, and each batch into one
share for every rank. Every example is in exactly one share. The last of them may be smaller, and empty.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Range:
    """Positions `start` to `stop` in an epoch's order."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class Plan:
    """How `examples` are gone through in batches of `batch`, `accumulate` of them to a step, by `world` ranks.

    A last batch of fewer than `least` examples joins the one before it: what batch norm makes of one example is
    nothing, or an error.
    """

    examples: int
    batch: int
    accumulate: int = 1
    world: int = 1
    least: int = 1

    @property
    def steps(self) -> int:
        """The optimizer's steps in an epoch."""
        return -(-len(self._starts()) // self.accumulate)

    def step(self, index: int) -> list[Range]:
        """The batches of a step."""
        return self._batches()[index * self.accumulate : (index + 1) * self.accumulate]

    def from_step(self, first: int) -> Iterator[list[Range]]:
        """The batches of every step from `first` on."""
        batches = self._batches()
        for start in range(first * self.accumulate, len(batches), self.accumulate):
            yield batches[start : start + self.accumulate]

    def share(self, batch: Range, rank: int) -> Range:
        """The part of a batch that is `rank`'s; the first ranks' are larger by one where it does not divide."""
        size, more = divmod(len(batch), self.world)
        start = batch.start + rank * size + min(rank, more)
        return Range(start, start + size + (rank < more))

    def _starts(self) -> list[int]:
        starts = list(range(0, self.examples, self.batch))
        if len(starts) > 1 and self.examples - starts[-1] < self.least:
            starts.pop()
        return starts

    def _batches(self) -> list[Range]:
        starts = self._starts()
        return [Range(start, stop) for start, stop in zip(starts, [*starts[1:], self.examples], strict=True)]


def derive(seed: int, *parts: object) -> int:
    """A seed for one purpose, of 63 bits; seeds that differ little give numbers that have nothing in common."""
    return int.from_bytes(sha256(f"{seed} {parts}".encode()).digest()[:8]) >> 1


def order(examples: int, seed: int, epoch: int) -> "Tensor":
    """The permutation of an epoch, int64 on the CPU; it depends on the arguments alone."""
    import torch

    generator = torch.Generator().manual_seed(derive(seed, "order", epoch))
    return torch.randperm(examples, generator=generator)
