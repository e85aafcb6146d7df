"""The seal of an ONNX file that cnnc wrote: its first bytes hold the SHA-256 of the rest.

protobuf allows the fields of a message in any order. So the seal is an entry of `metadata_props` of fixed length and
comes first, and a reader can hash the rest without parsing it. Other tools that rewrite a file move or drop the entry,
which distinguishes a rewritten file from a damaged one. Files of other tools, and of earlier versions of cnnc, have no
seal. Imports nothing heavy, because `infer` reads seals.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from hashlib import sha256
from pathlib import Path

KEY = "cnnc.file_sha256"
DATA = "cnnc.data"  # JSON with the name and the SHA-256 of the external file with the weights
SAYS = "SHA-256 of the bytes behind this entry: "
PIECE = 2**22
_METADATA, _KEY, _VALUE = 14, 1, 2  # field numbers of ModelProto and StringStringEntryProto


class Changed(Exception):
    """The file differs from what cnnc wrote."""


def seal(digest: str) -> bytes:
    """The seal for a file whose remaining bytes have this SHA-256, in hexadecimal."""
    return _field(_METADATA, _field(_KEY, KEY.encode()) + _field(_VALUE, f"{SAYS}{digest}".encode()))


def _field(number: int, content: bytes) -> bytes:
    """A protobuf field of fewer than 128 bytes."""
    return bytes([number << 3 | 2, len(content)]) + content


SIZE = len(seal("0" * 64))


def sealed(pieces: Iterable[bytes | memoryview]) -> list[bytes | memoryview]:
    """The pieces of a file, preceded by their seal."""
    pieces, digest = list(pieces), sha256()
    for each in pieces:
        digest.update(each)
    return [seal(digest.hexdigest()), *pieces]


def is_sealed(head: bytes) -> bool:
    """Whether a file with these first bytes was sealed; it may be damaged, so the key or the text is enough."""
    return any(trace.encode() in head[:SIZE] for trace in (KEY, SAYS))


def sealed_digest(head: bytes, keys: Collection[str]) -> str | None:
    """The expected SHA-256 of the bytes after the seal, from the first bytes of a file and the keys of its metadata.

    None for a file without a seal. Raises Changed if the seal is damaged, or is no longer at the beginning.
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
    """Raise Changed if a SHA-256 is not the expected one."""
    if found != expected:
        raise Changed(
            "damaged, or was edited in place: its SHA-256 is not the one that cnnc wrote "
            f"(expected {expected[:12]}…, got {found[:12]}…)"
        )


def digest_from(path: str | Path, start: int) -> str:
    """The SHA-256 of the file's bytes from `start` on.

    The file is read in large pieces, because a thread may have to wait for the GIL after each one.
    """
    result, piece = sha256(), memoryview(bytearray(PIECE))
    with open(path, "rb", buffering=0) as file:
        file.seek(start)
        while count := file.readinto(piece):
            result.update(piece[:count])
    return result.hexdigest()


def require_intact(path: Path, metadata: Mapping[str, str]) -> None:
    """Raise Changed if a sealed file, or its external file with the weights, differs from what cnnc wrote.

    A file that another tool has rewritten has no seal and is accepted.
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
        data = json.loads(metadata[DATA])
        try:
            require_digest(digest_from(path.with_name(data["name"]), 0), data["sha256"])
        except Changed as error:
            raise Changed(f"{data['name']} is {error}") from error
