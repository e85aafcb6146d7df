"""Files of earlier builds that a new one does not write: beside its manifest they would be taken for its own.

A manifest names the files of its build and their hashes. What some build here has named and the new one does not write
is removed where it still is what was written then: a file that somebody else has put there, or has changed, stays.
While files are being moved the folder holds a note of all of them, so that the next build cleans up behind one that was
killed. The note's lines are those of sha256sum.
"""

import json
from collections.abc import Collection
from hashlib import file_digest
from os.path import isfile, islink
from pathlib import Path

NOTE = ".cnnc-written"

Written = frozenset[tuple[str, str]]
"""Hashes and names."""


def named(manifest: Path) -> Written:
    """What a manifest names; nothing, where there is none, or one of somebody else's."""
    try:
        files = json.loads(manifest.read_bytes())["files"]
        return frozenset((str(each["sha256"]), name) for name, each in files.items() if _is_plain(name))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return frozenset()


def noted(folder: Path) -> Written:
    """What the note in the folder names; nothing, where no build was killed."""
    try:
        lines = (folder / NOTE).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return frozenset()
    pairs = (line.partition("  ") for line in lines)
    return frozenset((hash, name) for hash, _, name in pairs if _is_plain(name))


def as_note(written: Written) -> bytes:
    """The text of a note."""
    return "".join(f"{hash}  {name}\n" for hash, name in sorted(written)).encode()


def remove(folder: Path, written: Written, keep: Collection[str]) -> None:
    """Remove what was written and is not kept; raises OSError."""
    for name in sorted({name for _, name in written} - set(keep)):
        path = folder / name
        if isfile(path) and not islink(path) and (_hash(path), name) in written:
            path.unlink()


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _is_plain(name: str) -> bool:
    """Whether a name is that of a file right in the folder, which a build could have written."""
    return name == Path(name).name and not name.startswith(".") and name.isprintable()
