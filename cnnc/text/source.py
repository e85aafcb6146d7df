"""Reads a spec file as text.

Refuses a file that cannot be read (E101), is larger than `LIMIT` (E102) or is not UTF-8 text (E103), without blocking
on a pipe and without reading more than `LIMIT` + 1 bytes. Drops a UTF-8 byte order mark; keeps line endings, so that
columns and offsets match the user's file.
"""

import errno
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from os import scandir
from os.path import isdir, islink
from pathlib import Path

from cnnc.diagnostics import CnncError, Code, Source, Span
from cnnc.files.checks import kind_of

LIMIT = 1 << 20
"""The maximum size of a spec in bytes."""

SUFFIXES = (".yaml", ".yml", ".json")
"""The suffixes of spec files."""

Read = Callable[[Path], Source]
"""Returns the text of a file; raises CnncError like `read`."""

ReadSpec = Callable[[str | Path], Source]
"""Like `Read`, but also takes a path as the user gives it, which messages show unchanged."""

_SIBLINGS = 1000  # names compared for "did you mean", so that a folder of many pictures does not take long
_BOM = b"\xef\xbb\xbf"
_WIDE_BOMS = {  # UTF-32 first: its little-endian mark begins with that of UTF-16
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
_WAYS_OUT = {
    "a folder": "name a spec file; in a folder, cnnc looks for .yaml, .yml and .json files with `cnnc`, "
    "`nodes`, `input` or `blocks` at their top level, and found none",
    "a named pipe": "pipe the text in and give `-` as the file",
}
_FAILURES = {
    errno.EACCES: ("no permission to read {}", "change its permissions, or those of the folders above it"),
    errno.EPERM: ("no permission to read {}", "change its permissions, or those of the folders above it"),
    errno.ELOOP: ("{} is a symbolic link that leads back to itself", "point the link at a file"),
    errno.ENAMETOOLONG: ("the name {} is longer than this system allows", "give a shorter path"),
    errno.ENOTDIR: ("a part of the path {} is a file, not a folder", "check the path"),
}


def read(path: str | Path) -> Source:
    """Read the text at `path`, or standard input for `-` (named `<stdin>`).

    Raises CnncError: E101 if there is no readable regular file, E102 above `LIMIT` bytes, E103 if the bytes are not
    UTF-8 text.
    """
    if str(path) == "-":
        return decode("<stdin>", _read_stdin())
    with _refusing(path):
        return decode(str(path), _read_file(Path(path)))


def decode(name: str, data: bytes) -> Source:
    """Decode `data`, named `name` in messages; raises CnncError like `read`."""
    if len(data) > LIMIT:
        raise CnncError.of(
            Code.TOO_LARGE,
            f"{name} is larger than {LIMIT:,} bytes (1 MiB), the limit of a spec",
            help="a spec describes a network in a few KB: use blocks and `repeat`, and keep weights out of it",
        )
    for mark, encoding in _WIDE_BOMS.items():
        if data.startswith(mark):
            raise _wide(name, data, encoding)
    data = data.removeprefix(_BOM)
    if b"\0" in data:
        raise _with_nul(name, data)
    try:
        return Source(name, data.decode())
    except UnicodeDecodeError as error:
        raise _not_utf8(name, data, error.start) from None


def _read_stdin() -> bytes:
    if sys.stdin is None or sys.stdin.closed:
        raise CnncError.of(Code.UNREADABLE, "there is no standard input to read", help="give the spec's path")
    return sys.stdin.buffer.read(LIMIT + 1)


def _read_file(path: Path) -> bytes:
    kind = kind_of(path.stat().st_mode)
    if kind:
        way_out = _WAYS_OUT.get(kind, "give a regular file, or pipe the text in and give `-`")
        raise CnncError.of(Code.UNREADABLE, f"{path} is {kind}, not a spec file", help=way_out)
    with path.open("rb") as file:
        return file.read(LIMIT + 1)


@contextmanager
def _refusing(path: str | Path) -> Iterator[None]:
    """Turn errors of the system into E101."""
    try:
        yield
    except FileNotFoundError:
        raise _missing(Path(path)) from None
    except OSError as error:
        message, way_out = _FAILURES.get(error.errno or 0, (f"{{}} cannot be read: {error.strerror}", "check the path"))
        raise CnncError.of(Code.UNREADABLE, message.format(path), help=way_out) from None
    except ValueError:  # a path with a NUL
        message = f"{str(path)!r} cannot be the name of a file"
        raise CnncError.of(Code.UNREADABLE, message, help="give a path without NUL characters") from None


def _missing(path: Path) -> CnncError:
    from difflib import get_close_matches  # takes longer to import than most checks have time for

    if islink(path):
        return CnncError.of(
            Code.UNREADABLE,
            f"{path} is a symbolic link to a file that is not there",
            help=f"it points at {path.readlink()}",
        )
    message, way_out = f"there is no file {path}", "check the path and the working directory"
    specs = {Path(name).stem: name for name in _siblings(path) if name.endswith(SUFFIXES)}
    from glob import has_magic  # slow to import; a file that exists does not need it

    if has_magic(path.name):
        message, way_out = f"no file matches {path}", f"the names of specs end in {', '.join(SUFFIXES)}"
    elif not isdir(path.parent):
        message = f"{message}: there is no folder {path.parent}"
    elif near := get_close_matches(path.stem, specs, n=1):
        way_out = f"did you mean {path.with_name(specs[near[0]])}?"
    return CnncError.of(Code.UNREADABLE, message, help=way_out)


def _siblings(path: Path) -> list[str]:
    try:
        with scandir(path.parent) as entries:
            return [entry.name for entry in islice(entries, _SIBLINGS)]
    except OSError:
        return []  # no folder, no proposals


def _not_text(name: str, data: bytes, offset: int, message: str, way_out: str) -> CnncError:
    """E103 at the byte `offset` of `data`, shown in a text with replacement characters."""
    source = Source(name, data.decode(errors="replace"))
    before = (data[:offset].decode(errors="replace") + "x").splitlines()
    line, column = len(before), len(before[-1])
    span = Span(source, line, column, line, column + 1)
    return CnncError.of(Code.NOT_TEXT, message, span, label="here", help=way_out)


def _wide(name: str, data: bytes, encoding: str) -> CnncError:
    source = Source(name, data.decode(encoding, errors="replace").removeprefix("\ufeff"))
    return CnncError.of(
        Code.NOT_TEXT,
        f"{name} is {encoding} text; a spec must be UTF-8",
        Span(source, 1, 1, 1, 2),
        help=f"save it as UTF-8, or convert it: iconv -f {encoding} -t UTF-8",
    )


def _with_nul(name: str, data: bytes) -> CnncError:
    """E103 for data with NULs: UTF-16 or UTF-32 if they alternate with Latin letters, else not text."""
    for encoding, letter in ("UTF-32-LE", 0), ("UTF-32-BE", 3), ("UTF-16-LE", 0), ("UTF-16-BE", 1):
        width = 4 if "32" in encoding else 2
        head = data[: min(256, len(data) // width * width)]
        others = b"".join(head[place::width] for place in range(width) if place != letter)
        if head and not any(others) and all(head[letter::width]):
            return _wide(name, data, encoding)
    offset = data.index(0)
    return _not_text(
        name,
        data,
        offset,
        f"{name} is not text: byte {offset} is a NUL",
        "a spec must be UTF-8 text (YAML or JSON); is this a model or a picture?",
    )


def _not_utf8(name: str, data: bytes, offset: int) -> CnncError:
    line = len((data[:offset].decode() + "x").splitlines())
    controls = sum(byte < 32 and byte not in b"\t\n\r\f" for byte in data[:1024])
    if controls:
        way_out = "this looks like a binary file; a spec must be UTF-8 text (YAML or JSON)"
    else:
        way_out = "save it as UTF-8; if it is Latin-1 (Windows-1252): iconv -f WINDOWS-1252 -t UTF-8"
    message = f"{name} is not UTF-8 text: byte {offset} (0x{data[offset]:02x}), on line {line}, is invalid"
    return _not_text(name, data, offset, message, way_out)
