"""The order of examples in an epoch, and their split into steps, batches and ranks: the same on every rank.

An epoch is a permutation of the examples, split into optimizer steps, each step into batches, and each batch into one
share per rank. Every example is in exactly one share. The last shares may be smaller or empty.
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
    """The split of `examples` into batches of `batch`, `accumulate` of them per step, for `world` ranks.

    A last batch of fewer than `least` examples joins the one before it, because batch norm cannot use one example.
    A share begins after a multiple of `unit` examples of its batch, so that examples that are mixed stay together.
    """

    examples: int
    batch: int
    accumulate: int = 1
    world: int = 1
    least: int = 1
    unit: int = 1

    @property
    def steps(self) -> int:
        """The number of optimizer steps in an epoch."""
        return -(-self._count // self.accumulate)

    def step(self, index: int) -> list[Range]:
        """Return the batches of a step."""
        return self._batches()[index * self.accumulate : (index + 1) * self.accumulate]

    def from_step(self, first: int) -> Iterator[list[Range]]:
        """Yield the batches of each step from `first` on."""
        batches = self._batches()
        for start in range(first * self.accumulate, len(batches), self.accumulate):
            yield batches[start : start + self.accumulate]

    def share(self, batch: Range, rank: int) -> Range:
        """Return the part of a batch for `rank`; the first ranks get one unit more if the batch does not divide."""
        size, more = divmod(-(-len(batch) // self.unit), self.world)
        start = rank * size + min(rank, more)
        ends = (batch.start + self.unit * each for each in (start, start + size + (rank < more)))
        return Range(*(min(each, batch.stop) for each in ends))

    @property
    def _count(self) -> int:
        """The number of batches."""
        count = -(-self.examples // self.batch)
        last = self.examples - (count - 1) * self.batch
        return count - 1 if count > 1 and last < self.least else count

    def _batches(self) -> list[Range]:
        starts = [self.batch * each for each in range(self._count)]
        return [Range(start, stop) for start, stop in zip(starts, [*starts[1:], self.examples], strict=True)]


def derive(seed: int, *parts: object) -> int:
    """Derive a 63-bit seed for one purpose; similar seeds give unrelated results."""
    return int.from_bytes(sha256(f"{seed} {parts}".encode()).digest()[:8]) >> 1


def order(examples: int, seed: int, epoch: int) -> "Tensor":
    """Return the permutation of an epoch, int64 on the CPU; it depends only on the arguments."""
    import torch

    generator = torch.Generator().manual_seed(derive(seed, "order", epoch))
    return torch.randperm(examples, generator=generator)
