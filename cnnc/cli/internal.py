"""An internal error: cnnc itself failed, by an exception that nobody expected.

In: the exception, and what was being looked at. Out: a message on standard error that says so, and the traceback in a
file of the temporary folder, which the message names; with CNNC_DEBUG=1 it is printed instead. The exit code is 3.
"""

import os
import platform
import sys
import tempfile
import traceback
from functools import cache
from typing import IO

from cnnc.diagnostics.render import visible

EXIT_CODE = 3


def report_internal(error: Exception, about: str | None = None) -> None:
    """Tell the user that cnnc failed, `about` a file or in general, and what to report."""
    what = visible("".join(traceback.format_exception_only(error)).strip())
    where = f" on {visible(about)}" if about else ""
    print(f"internal error: cnnc failed{where}: {what[:500]}", file=sys.stderr)
    told = traceback.format_exception(error)
    if os.environ.get("CNNC_DEBUG") == "1":
        print("".join(told), file=sys.stderr)
        return
    with_it = "that file and the spec" if about else "that file"
    try:
        file = _file()
        file.writelines([_heading(about), *told, "\n"])
        file.flush()
    except OSError as unwritten:
        print(f"  = note: no file for the traceback ({unwritten.strerror}):\n{''.join(told)}", file=sys.stderr)
    else:
        print(f"  = note: this is a fault of cnnc; the traceback is in {file.name}", file=sys.stderr)
        print(f"  = help: please report it to cnnc's developers, with {with_it}\n", file=sys.stderr)


@cache
def _file() -> IO[str]:
    """The file of this process, which takes all its internal errors; it stays open to the end."""
    return tempfile.NamedTemporaryFile(
        "w", prefix="cnnc-internal-error-", suffix=".txt", delete=False, encoding="utf-8", errors="backslashreplace"
    )


def _heading(about: str | None) -> str:
    """What the developers want to know beside the traceback."""
    from cnnc.version import cnnc_version

    python = f"Python {platform.python_version()} on {platform.platform()}"
    return f"cnnc {cnnc_version()}, {python}\n$ cnnc {' '.join(sys.argv[1:])}\n{about or ''}\n\n"
