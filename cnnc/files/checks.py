"""Files from outside: what must hold before anybody opens one.

Opening a pipe waits for a writer for ever, and opening a device can act, so all who read ask here first.
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
    """What a file is instead of a regular one, by its `st_mode`; None for a regular one."""
    return None if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "not a regular file")


def is_utf8(path: str | os.PathLike[str]) -> bool:
    """Whether a path is UTF-8: on Linux the names of files need not be, and Python holds such bytes as surrogates."""
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def require_utf8(path: str | os.PathLike[str], code: Code, doing: str) -> None:
    """Raise CnncError with `code` for a path that onnxruntime, torch and safetensors do not take."""
    if "\0" in os.fspath(path):
        raise CnncError.of(code, f"cannot {doing} {path}: a path cannot contain NUL characters")
    if not is_utf8(path):
        message = f"cannot {doing} {path}: the path is not valid UTF-8, which the libraries need"
        raise CnncError.of(code, message, help="rename the file, and the folders that contain it, to valid UTF-8")


def require_file(path: str | os.PathLike[str], code: Code, what: str) -> int:
    """The size in bytes of the regular, non-empty file at `path`; raises CnncError with `code` where there is none.

    `what` names the thing in the message: `model`, `picture`, `weights`.
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
