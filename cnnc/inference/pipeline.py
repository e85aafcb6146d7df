"""Work on many items on several threads, with the results in the order of the items and in bounded memory.

Takes items, one at a time, and a function from a batch of items to their results. Only a few batches per thread are
taken ahead of the results, so neither a slow item nor a slow reader of the results fills the memory.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from itertools import chain, islice
from typing import TypeVar

from cnnc.data.pictures import decoders

AHEAD = 4  # batches per thread: enough that no thread waits for one slow picture

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def cores() -> int:
    """Return the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_order(
    items: Iterable[Item], work: Callable[[Sequence[Item]], Iterable[Answer]], *, batch: int = 1, workers: int = 1
) -> Iterator[Answer]:
    """Yield the results of `work` for each batch of `items`, in order; `work` runs on `workers` threads.

    With one worker it runs in the caller's thread, and takes a batch only after the results before it were yielded.
    """
    batches = _batches(items, batch)
    if workers == 1:
        yield from chain.from_iterable(map(work, batches))
        return
    waiting: deque[Future[Iterable[Answer]]] = deque()
    with decoders(workers) as threads:
        try:
            for each in batches:
                waiting.append(threads.submit(work, each))
                if len(waiting) >= AHEAD * workers:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:  # if the caller stops early, batches that no thread has begun are not worked on
            for future in waiting:
                future.cancel()


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
