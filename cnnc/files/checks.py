"""Checks of a file before it is opened: that it exists, is a regular file, and has a valid path.

Opening a pipe can block forever, and opening a device can have effects, so all readers check here first.
"""

import os
import stat

from cnnc.diagnostics import CnncError, Code

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def kind_of(mode: int) -> str | None:
    """The kind of a file that is not a regular one, from its `st_mode`; None for a regular file."""
    return None if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "not a regular file")


def is_utf8(path: str | os.PathLike[str]) -> bool:
    """Whether a path is UTF-8. File names on Linux need not be; Python stores other bytes as surrogates."""
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def require_utf8(path: str | os.PathLike[str], code: Code, doing: str) -> None:
    """Raise CnncError with `code` for a path that onnxruntime, torch and safetensors do not accept."""
    if "\0" in os.fspath(path):
        raise CnncError.of(code, f"cannot {doing} {path}: a path cannot contain NUL characters")
    if not is_utf8(path):
        message = f"cannot {doing} {path}: the path is not valid UTF-8, which the libraries need"
        raise CnncError.of(code, message, help="rename the file, and the folders that contain it, to valid UTF-8")


def require_file(path: str | os.PathLike[str], code: Code, what: str) -> int:
    """The size in bytes of the regular, non-empty file at `path`; raises CnncError with `code` if there is none.

    `what` is the word for the file in messages: `model`, `picture`, `weights`.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:  # ValueError: a NUL inside the path
        reason = getattr(error, "strerror", None) or str(error)
        raise CnncError.of(code, f"cannot read the {what} {path}: {reason.lower()}") from error
    if kind := kind_of(status.st_mode):
        raise CnncError.of(code, f"cannot read the {what} {path}: it is {kind}, not a file")
    if status.st_size == 0:
        raise CnncError.of(code, f"cannot read the {what} {path}: the file is empty")
    return status.st_size
