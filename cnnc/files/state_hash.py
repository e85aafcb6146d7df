"""Write and check the last line of `state.pt`: the SHA-256 of all bytes before it.

torch does not check the checksums in its archives, and most flipped bits only change numbers. Readers of such archives
ignore data after the end, so torch can still load a file with this line.
"""

from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from cnnc.files.weights_stamp import Damaged

PREFIX = b"\nSHA-256 of the bytes before this line: "
SIZE = len(PREFIX) + 64 + 1
PIECE = 2**20


class Hashing:
    """A file wrapper that hashes the bytes written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._hash = file, sha256()

    def write(self, data: bytes) -> int:
        """Write to the file."""
        self._hash.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        """Flush the file."""
        self._file.flush()

    def end(self) -> None:
        """Write the last line."""
        self._file.write(_trailer(self._hash.hexdigest()))


def _trailer(digest: str) -> bytes:
    return PREFIX + digest.encode() + b"\n"


def require_intact(path: Path) -> bool:
    """Return whether the file has a hash line; raises Damaged if its hash is not that of the other bytes."""
    hash, rest = sha256(), max(0, path.stat().st_size - SIZE)
    with path.open("rb") as file:
        file.seek(rest)
        trailer = file.read()
        if not trailer.startswith(PREFIX):
            return False
        file.seek(0)
        while piece := file.read(min(PIECE, rest)):
            hash.update(piece)
            rest -= len(piece)
    if trailer != _trailer(hash.hexdigest()):
        raise Damaged("it is damaged: its bytes are not those that cnnc wrote (the SHA-256 in its last line differs)")
    return True
