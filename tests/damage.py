"""Damage as disks and copies do it, to files of whatever kind: flipped bits, runs of zeros, ends cut off."""

import random
from collections.abc import Iterator


def flipped(data: bytes, places: "range | list[int] | None" = None, count: int = 30, seed: int = 0) -> Iterator[bytes]:
    """The data with one bit flipped, at each of `places`, or at so many drawn ones."""
    draw = random.Random(seed)
    for place in draw.choices(range(len(data)), k=count) if places is None else places:
        yield data[:place] + bytes([data[place] ^ 1 << draw.randrange(8)]) + data[place + 1 :]


def zeroed(data: bytes, count: int = 30, seed: int = 0) -> Iterator[bytes]:
    """The data with a run of it zeroed, of 1 byte to a quarter of the file; never as it was."""
    draw = random.Random(seed)
    made = 0
    while made < count:
        start, length = draw.randrange(len(data)), 2 ** draw.randrange(max(1, (len(data) // 4).bit_length()))
        result = data[:start] + bytes(len(data[start : start + length])) + data[start + length :]
        if result != data:
            made += 1
            yield result


def cut(data: bytes, count: int = 10, seed: int = 0) -> Iterator[bytes]:
    """The data without its end; at least a byte of it stays."""
    draw = random.Random(seed)
    yield from (data[: draw.randrange(1, len(data))] for _ in range(count))
    yield data[:-1]


def damaged(data: bytes, count: int = 30, seed: int = 0) -> Iterator[bytes]:
    """All of these."""
    yield from flipped(data, None, count, seed)
    yield from zeroed(data, count, seed)
    yield from cut(data, count // 3, seed)
