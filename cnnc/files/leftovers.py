"""Removes files of earlier builds that a new build does not write and that would seem to belong to it.

A manifest lists the files of its build with their hashes. A file in the manifest of an earlier build that the new build
does not write is removed if its hash still matches; a file that has changed, or comes from elsewhere, stays. While
files are moved, the folder contains a note that lists all of them, so that the next build can clean up after one that
was killed. The note has the format of sha256sum.
"""

import json
from collections.abc import Collection
from contextlib import suppress
from hashlib import file_digest
from os.path import isfile, islink
from pathlib import Path

NOTE = ".cnnc-written"

Written = frozenset[tuple[str, str]]
"""Hashes and names of files."""


def named(manifest: Path) -> Written:
    """The files in a manifest; none if there is no manifest of cnnc."""
    try:
        files = json.loads(manifest.read_bytes())["files"]
        return frozenset((str(each["sha256"]), name) for name, each in files.items() if _is_plain(name))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return frozenset()


def noted(folder: Path) -> Written:
    """The files in the folder's note; none if no build was killed."""
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
    """Remove the `written` files that are unchanged and not in `keep`; raises OSError."""
    for name in sorted({name for _, name in written} - set(keep)):
        path = folder / name
        inside = [each for each in path.parents if folder in each.parents]  # the innermost first
        if isfile(path) and not any(map(islink, [path, *inside])) and (_hash(path), name) in written:
            path.unlink()
            with suppress(OSError):  # of a folder that is not empty
                for each in inside:
                    each.rmdir()


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _is_plain(name: str) -> bool:
    """Whether a name is that of a file in the folder, or in a subfolder, that a build could have written."""
    parts = name.split("/")
    return all(each and each == Path(each).name and not each.startswith(".") and each.isprintable() for each in parts)
