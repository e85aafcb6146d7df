"""Call onnxruntime's quantizer: its output is suppressed, its temporary files stay in one folder.

Its calibrators print, its logger warns about steps that do not apply here, and its files go to `tempfile`'s folder.
"""

import logging
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnc.diagnostics import CnncError, Code

if TYPE_CHECKING:
    import numpy as np
    import onnx
    import onnxruntime

    Array = np.ndarray[Any, np.dtype[Any]]
    Feed = Mapping[str, Array]
    Run = Callable[[Feed], Sequence[Array]]

FATAL = 4


@contextmanager
def quantizing(folder: Path) -> Iterator[None]:
    """Suppress what onnxruntime and its tools print and log, and let them write temporary files to `folder`."""
    import onnxruntime

    from cnnc.inference.providers import output_suppressed

    _import_tools()
    disabled, before = logging.root.manager.disable, tempfile.tempdir
    logging.disable(logging.ERROR)
    onnxruntime.set_default_logger_severity(FATAL)
    tempfile.tempdir = str(folder)
    try:
        with output_suppressed():
            yield
    finally:
        tempfile.tempdir = before
        logging.disable(disabled)


def _import_tools() -> None:
    """Import the quantizer and the converter. One of their packages adds itself to sys.path, which is undone."""
    before = [*sys.path]
    try:
        import onnxruntime.quantization
        import onnxruntime.transformers.float16  # noqa: F401
    finally:
        sys.path[:] = before


def open_session(model: "Path | onnx.ModelProto", threads: int = 0) -> "onnxruntime.InferenceSession":
    """Return a session on the CPU; `threads` of 0 are as many as there are cores. Raises E502."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = FATAL
    options.intra_op_num_threads = threads
    given = str(model) if isinstance(model, Path) else model.SerializeToString()
    try:
        return onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no common base class
        named = f" {model.name}" if isinstance(model, Path) else ""
        message = f"onnxruntime cannot load the model{named}: {_first(error)}"
        raise CnncError.of(Code.MODEL_UNSUITED, message) from error


def _first(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:300]


def runner(model: "Path | onnx.ModelProto") -> "Run":
    """Return a function that runs a model on a batch and returns all outputs; raises E502 and E507."""
    from cnnc.targets.loaded_module import threads

    session = open_session(model, threads())

    def run(feed: "Feed") -> "list[Array]":
        try:
            found: list[Array] = session.run(None, dict(feed))
        except Exception as error:  # onnxruntime's exceptions have no common base class
            raise CnncError.of(Code.MODEL_FAILED, f"onnxruntime could not run the model: {_first(error)}") from error
        return found

    return run
