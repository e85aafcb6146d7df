"""The last line of `state.pt`: the SHA-256 of all before it.

torch does not look at the checksums of its own archives, and most flipped bits in one only make other numbers. What
stands behind an archive is of no matter to the readers of such files, so that torch loads one with this line too.
"""

from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from cnnc.files.weights_stamp import Damaged

SAYS = b"\nSHA-256 of the bytes before this line: "
SIZE = len(SAYS) + 64 + 1
PIECE = 2**20


class Hashing:
    """An open file that hashes what is written to it."""

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
    return SAYS + digest.encode() + b"\n"


def require_whole(path: Path) -> bool:
    """Raise Damaged where the file's last line is not that of its other bytes; False where it has none."""
    hash, rest = sha256(), max(0, path.stat().st_size - SIZE)
    with path.open("rb") as file:
        file.seek(rest)
        trailer = file.read()
        if not trailer.startswith(SAYS):
            return False
        file.seek(0)
        while piece := file.read(min(PIECE, rest)):
            hash.update(piece)
            rest -= len(piece)
    if trailer != _trailer(hash.hexdigest()):
        raise Damaged("it is damaged: its bytes are not those that cnnc wrote (the SHA-256 in its last line differs)")
    return True
