"""Find the fields of a protobuf message in a file, without a schema and without reading their contents.

The encoding: https://protobuf.dev/programming-guides/encoding
"""

from collections.abc import Iterator
from typing import IO

VARINT, FIXED64, LENGTH_DELIMITED, FIXED32 = 0, 1, 2, 5
Span = tuple[int, int]


def fields(file: IO[bytes], at: int, end: int) -> Iterator[tuple[int, Span, Span]]:
    """Yield each field of the message from byte `at` to `end`: its number, its span, and the span of its content.

    Raises ValueError for bytes that are no message, and EOFError for a message that is cut off.
    """
    while at < end:
        start = at
        file.seek(at)
        tag = _varint(file)
        size = {FIXED64: 8, FIXED32: 4}.get(tag & 7, 0)
        at = file.tell()
        if tag & 7 == VARINT:
            _varint(file)
            size = file.tell() - at
        elif tag & 7 == LENGTH_DELIMITED:
            size = _varint(file)
            at = file.tell()
        if tag >> 3 == 0 or tag & 7 not in (VARINT, FIXED64, LENGTH_DELIMITED, FIXED32):
            raise ValueError(f"no such field: {tag}")
        if at + size > end:
            raise EOFError(f"expected at least {at + size:,} bytes, got {end:,}")
        yield tag >> 3, (start, at + size), (at, at + size)
        at += size


def part(file: IO[bytes], span: Span) -> bytes:
    """Read the bytes in a span."""
    file.seek(span[0])
    return file.read(span[1] - span[0])


def number(file: IO[bytes], span: Span) -> int:
    """Read the number of a varint field from its span; raises ValueError for a field of another kind."""
    file.seek(span[0])
    value = _varint(file)
    if file.tell() > span[1]:
        raise ValueError("a text where a number must be")
    return value - 2**64 if value >= 2**63 else value


def _varint(file: IO[bytes]) -> int:
    """Read a varint: seven bits per byte, the lowest first, at most ten bytes."""
    value = 0
    for place in range(10):
        byte = file.read(1)
        if not byte:
            raise EOFError("it ends inside a number")
        value |= (byte[0] & 0x7F) << (7 * place)
        if byte[0] < 0x80:
            return value
    raise ValueError("a number of more than ten bytes")
