"""Report an internal error: an unexpected exception in cnnc itself.

Takes the exception and the file that cnnc was working on. Prints a message to standard error and writes the traceback
to a file in the temporary folder, which the message names; with CNNC_DEBUG=1 it prints the traceback instead. The exit
code is 3.
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
    """Tell the user that cnnc failed, on the file `about` or in general, and what to report."""
    what = visible("".join(traceback.format_exception_only(error)).strip())
    where = f" on {visible(about)}" if about else ""
    print(f"internal error: cnnc failed{where}: {what[:500]}", file=sys.stderr)
    trace = traceback.format_exception(error)
    if os.environ.get("CNNC_DEBUG") == "1":
        print("".join(trace), file=sys.stderr)
        return
    attachments = "that file and the spec" if about else "that file"
    try:
        file = _file()
        file.writelines([_heading(about), *trace, "\n"])
        file.flush()
    except OSError as unwritten:
        print(f"  = note: cannot write a traceback file ({unwritten.strerror}):\n{''.join(trace)}", file=sys.stderr)
    else:
        print(f"  = note: this is a bug in cnnc; the traceback is in {file.name}", file=sys.stderr)
        print(f"  = help: please report it to cnnc's developers, with {attachments}\n", file=sys.stderr)


@cache
def _file() -> IO[str]:
    """Return the file for all internal errors of this process; it stays open to the end."""
    return tempfile.NamedTemporaryFile(
        "w", prefix="cnnc-internal-error-", suffix=".txt", delete=False, encoding="utf-8", errors="backslashreplace"
    )


def _heading(about: str | None) -> str:
    """Return what the developers need to know besides the traceback: versions, the command line, the file."""
    from cnnc.version import __version__

    python = f"Python {platform.python_version()} on {platform.platform()}"
    return f"cnnc {__version__}, {python}\n$ cnnc {' '.join(sys.argv[1:])}\n{about or ''}\n\n"
