"""Find the pictures to run a model on: in files, in folders, and in lists of paths.

Takes paths and yields the path of each picture, or a `Failed` for a folder, in an order that depends on names alone.
Nothing is opened, and the names of one folder at a time are in memory, so there may be any number of pictures.
"""

import os
from collections.abc import Iterable, Iterator
from typing import IO

from cnnc.data.pictures import SUFFIXES
from cnnc.diagnostics import CnncError, Code
from cnnc.inference.results import Failed

LONGEST = 1 << 20  # bytes of a path in a list: the system's limit is far lower


def find_pictures(paths: Iterable[str | os.PathLike[str]], *, recursive: bool = False) -> Iterator[str | Failed]:
    """Yield each file of `paths`, and the pictures in its folders, sorted by name, without hidden files.

    Pictures in a folder are the files with a suffix of SUFFIXES. `recursive` searches subfolders too, each after the
    pictures beside it; it does not follow links to folders. A folder that cannot be read or has no pictures is a
    `Failed` (E503).
    """
    for each in paths:
        path = os.fspath(each)
        if os.path.isdir(path):
            yield from _in_folder(path, recursive)
        else:
            yield path


def read_paths(stream: IO[bytes], end: bytes = b"\n") -> Iterator[str]:
    """Yield the paths of a list, in which `end` follows each path; empty ones are left out.

    A list with a path on each line may have the line ends of Windows. Raises CnncError (E503) if it is not a list.
    """
    rest = b""
    while chunk := _read_some(stream):
        *whole, rest = (rest + chunk).split(end)
        yield from filter(None, (_decode(each, end) for each in whole))
        if len(rest) > LONGEST:
            raise CnncError.of(
                Code.PICTURE_UNREADABLE,
                f"standard input is not a list of paths: {len(rest):,} bytes without {_named(end)}",
                help="write one path per line, or use --null if a NUL ends each path, as after `find -print0`",
            )
    if last := _decode(rest, end):
        yield last


def _read_some(stream: IO[bytes]) -> bytes:
    """Return the bytes that are there: a program that writes the list may wait for answers."""
    read1 = getattr(stream, "read1", stream.read)
    return bytes(read1(1 << 16))


def _decode(path: bytes, end: bytes) -> str:
    return os.fsdecode(path.removesuffix(b"\r") if end == b"\n" else path)


def _named(end: bytes) -> str:
    return "a line end" if end == b"\n" else "a NUL"


def _in_folder(folder: str, recursive: bool) -> Iterator[str | Failed]:
    empty = True
    for found in _walk(folder, recursive):
        empty = False
        yield found
    if empty:
        subfolders = "none in its subfolders either" if recursive else "--recursive searches subfolders"
        error = CnncError.of(
            Code.PICTURE_UNREADABLE,
            f"the folder {folder} contains no pictures",
            help=f"pictures are files that end in {', '.join(sorted(SUFFIXES))}; {subfolders}",
        )
        yield Failed(folder, error)


def _walk(folder: str, recursive: bool) -> Iterator[str | Failed]:
    waiting = [folder]  # not recursion: folders may be nested deeper than Python's calls
    while waiting:
        current = waiting.pop()
        try:
            names = sorted(name for name in os.listdir(current) if recursive or _looks_like_picture(name))
        except OSError as error:
            message = f"cannot read the folder {current}: {error.strerror}"
            yield Failed(current, CnncError.of(Code.PICTURE_UNREADABLE, message))
            continue
        folders = []
        for name in names:
            path = os.path.join(current, name)
            if name.startswith("."):
                continue
            if os.path.isdir(path):
                folders += [path] * (recursive and not os.path.islink(path))
            elif _looks_like_picture(name):
                yield path
        waiting += reversed(folders)


def _looks_like_picture(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES
