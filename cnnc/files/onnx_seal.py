"""The seal of an ONNX file of ours: the SHA-256 of all that follows, in the file's first bytes.

protobuf takes a message's fields in any order. So the first is an entry of `metadata_props` of a fixed length, and who
reads the file can hash the rest without parsing it. Other tools that rewrite a file put the entry elsewhere or lose it:
a file that is damaged can be told from one that was rewritten. Files of other makers, and of earlier versions of cnnc,
have no seal. Imports nothing heavy, for `infer` reads seals.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from hashlib import sha256
from pathlib import Path

KEY = "cnnc.file_sha256"
DATA = "cnnc.data"  # as JSON, the name and the SHA-256 of the file beside the model that holds its weights
SAYS = "SHA-256 of the bytes behind this entry: "
PIECE = 2**22
_METADATA, _KEY, _VALUE = 14, 1, 2  # field numbers of ModelProto and StringStringEntryProto


class Changed(Exception):
    """The bytes are not those that cnnc wrote."""


def seal(digest: str) -> bytes:
    """The first bytes of a file, the rest of which has this SHA-256, in hexadecimal."""
    return _field(_METADATA, _field(_KEY, KEY.encode()) + _field(_VALUE, f"{SAYS}{digest}".encode()))


def _field(number: int, content: bytes) -> bytes:
    """A field of bytes, fewer than 128."""
    return bytes([number << 3 | 2, len(content)]) + content


SIZE = len(seal("0" * 64))


def sealed(pieces: Iterable[bytes | memoryview]) -> list[bytes | memoryview]:
    """The pieces of a file with its seal before them."""
    pieces, digest = list(pieces), sha256()
    for each in pieces:
        digest.update(each)
    return [seal(digest.hexdigest()), *pieces]


def is_sealed(head: bytes) -> bool:
    """Whether a file that begins so was sealed, and may be damaged: the key and what it says are two traces of that."""
    return any(trace.encode() in head[:SIZE] for trace in (KEY, SAYS))


def sealed_digest(head: bytes, keys: Collection[str]) -> str | None:
    """What the SHA-256 of the bytes behind the seal must be, by the first bytes of a file and the keys of its metadata.

    None for a file without a seal. Raises Changed for one that has lost its own.
    """
    head = head[:SIZE]
    if is_sealed(head):
        digest = head[-64:].decode(errors="replace")
        if head != seal(digest) or not set(digest) <= set("0123456789abcdef"):
            raise Changed("damaged: its first bytes, which hold its SHA-256, have changed")
        return digest
    if KEY in keys:
        raise Changed("not the file that cnnc wrote: another tool has rewritten it")
    return None


def require_digest(found: str, expected: str) -> None:
    """Raise Changed where bytes have another SHA-256 than was written down."""
    if found != expected:
        raise Changed(
            "damaged, or was edited in place: its SHA-256 is not the one that cnnc wrote "
            f"(expected {expected[:12]}…, got {found[:12]}…)"
        )


def digest_from(path: str | Path, start: int) -> str:
    """The SHA-256 of the file's bytes from `start` on.

    They are read in pieces that are large, for behind each a thread may have to wait until another lets go of Python.
    """
    result, piece = sha256(), memoryview(bytearray(PIECE))
    with open(path, "rb", buffering=0) as file:
        file.seek(start)
        while count := file.readinto(piece):
            result.update(piece[:count])
    return result.hexdigest()


def require_whole(path: Path, metadata: Mapping[str, str]) -> None:
    """Raise Changed where a sealed file, or that of its weights beside it, is not as cnnc wrote it.

    A file that another tool has rewritten has no seal any more, and is as good as any other.
    """
    with path.open("rb") as file:
        head = file.read(SIZE)
    try:
        expected = sealed_digest(head, ())
        if expected is None:
            return
        require_digest(digest_from(path, SIZE), expected)
    except Changed as error:
        raise Changed(f"it is {error}") from error
    if DATA in metadata:
        said = json.loads(metadata[DATA])
        try:
            require_digest(digest_from(path.with_name(said["name"]), 0), said["sha256"])
        except Changed as error:
            raise Changed(f"{said['name']} is {error}") from error
