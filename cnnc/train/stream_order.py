"""The order of examples in an epoch of tar shards: nearly that of the archives, so that reading them is sequential.

Each epoch puts the shards in a random order and divides them into LANES of equal length. Within a lane, an example
moves by less than `buffer` places, as in a shuffling buffer. Each batch takes equal parts of all lanes, one after the
other, so a process, whose share of a batch is contiguous, reads the shards of its own lanes: with 2, 4 or 8 processes,
and a batch that LANES divides, these are other shards than those of the other processes, except where a shard lies on
the border of two lanes. The order is the same for any number of processes.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cnnc.train.epoch_order import derive

if TYPE_CHECKING:
    from torch import Tensor

LANES = 8


def stream_order(shard: NDArray[np.int32], seed: int, epoch: int, batch: int, buffer: int) -> "Tensor":
    """Return the permutation of an epoch, int64; `shard` is the archive of each example, in ascending order."""
    import torch

    generator = np.random.default_rng(derive(seed, "order", epoch))
    places = generator.permutation(int(shard.max()) + 1)[shard]
    sequence = np.argsort(places, kind="stable")
    lanes = []
    for lane in np.array_split(sequence, LANES):
        moved = np.arange(len(lane)) + generator.random(len(lane)) * buffer
        lanes.append(lane[np.argsort(moved, kind="stable")])
    return torch.from_numpy(np.concatenate(_batches(lanes, batch)))


def _batches(lanes: list[NDArray[np.intp]], batch: int) -> list[NDArray[np.intp]]:
    """Return the parts of all batches: of each lane in turn, as much as there is, and the rest of the longest lanes."""
    parts = []
    taken = [0] * LANES
    for start in range(0, sum(map(len, lanes)), batch):
        size = min(batch, sum(map(len, lanes)) - start)
        left = [len(lane) - done for lane, done in zip(lanes, taken, strict=True)]
        share, more = divmod(size, LANES)
        counts = [min(share + (index < more), left[index]) for index in range(LANES)]
        for index in sorted(range(LANES), key=lambda each: counts[each] - left[each]):
            counts[index] += min(size - sum(counts), left[index] - counts[index])
        for index, count in enumerate(counts):
            parts.append(lanes[index][taken[index] : taken[index] + count])
            taken[index] += count
    return parts
