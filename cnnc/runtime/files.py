"""Files from outside: what must hold before anybody opens one."""

import os
import stat

from cnnc.diagnostics import CnncError, Code

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def require_file(path: str, code: Code, what: str) -> int:
    """The size in bytes of the regular, non-empty file at `path`; raises CnncError with `code` where there is none.

    Opening a pipe would wait for a writer for ever, so this looks before anybody opens. `what` names the thing in the
    message: `model`, `picture`.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:  # ValueError: a NUL inside the path
        reason = getattr(error, "strerror", None) or str(error)
        raise CnncError.of(code, f"cannot read the {what} {path}: {reason.lower()}") from error
    for is_kind, kind in _KINDS:
        if is_kind(status.st_mode):
            raise CnncError.of(code, f"cannot read the {what} {path}: it is {kind}, not a file")
    if status.st_size == 0:
        raise CnncError.of(code, f"cannot read the {what} {path}: the file is empty")
    return status.st_size
