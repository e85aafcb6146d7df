"""Which of onnxruntime's execution providers really work here.

In: what was asked for. Out: a `Choice`. onnxruntime lists CUDA wherever its wheel was built with it, prints pages of
red where the driver is missing, and goes on with the CPU; so the driver is asked first, and `cnnc.inference.session`
looks at what a session got in the end.
"""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from io import StringIO

from cnnc.diagnostics import CnncError, Code

WANTED = ("auto", "cuda", "cpu", "tensorrt")
TIMEOUT = 60.0
"""The seconds that a model of other makers may take to be loaded, and to run."""

_CPU, _CUDA, _TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
_PROVIDERS = {"cpu": (_CPU,), "cuda": (_CUDA, _CPU), "tensorrt": (_TENSORRT, _CUDA, _CPU)}


@dataclass(frozen=True, slots=True)
class Choice:
    """A provider by name (`cpu`, `cuda`, `tensorrt`), onnxruntime's list for it, and in one line why it was taken."""

    name: str
    providers: tuple[str, ...]
    reason: str
    asked: bool = True


def choose(wanted: str = "auto") -> Choice:
    """The provider for `wanted`, one of WANTED; raises CnncError (E506) where what was asked for cannot run here."""
    if wanted not in WANTED:
        raise CnncError.of(
            Code.NO_PROVIDER, f"there is no provider {wanted!r}", help=f"the providers are {', '.join(WANTED)}"
        )
    if wanted == "cpu":
        return Choice("cpu", _PROVIDERS["cpu"], "asked for")
    name = "cuda" if wanted == "auto" else wanted
    fault = _fault(name)
    if fault is None:
        asked = wanted == name
        return Choice(name, _PROVIDERS[name], "asked for" if asked else "a CUDA device is there", asked)
    if wanted == "auto":
        return fall_back(fault)
    raise cannot_run(wanted, fault)


def fall_back(reason: str) -> Choice:
    """The CPU, taken because of `reason`."""
    return Choice("cpu", _PROVIDERS["cpu"], reason, asked=False)


def cannot_run(name: str, reason: str) -> CnncError:
    """The error (E506) that provider `name`, which the user asked for, cannot run."""
    return CnncError.of(
        Code.NO_PROVIDER,
        f"the provider {name} cannot run here: {reason}",
        help="take --provider cpu, or --provider auto to use a GPU only where one works",
    )


@contextmanager
def hushed() -> Iterator[None]:
    """Keep what C code writes to stderr, and onnxruntime's Python to stdout, off the terminal for a while."""
    try:
        terminal = os.dup(2)
    except OSError:  # stderr is closed: there is nothing to keep quiet
        yield
        return
    sink = os.open(os.devnull, os.O_WRONLY)
    with redirect_stdout(StringIO()):
        sys.stderr.flush()
        try:
            os.dup2(sink, 2)
            yield
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
            os.close(sink)


def _fault(name: str) -> str | None:
    """Why provider `name` cannot run here; None where nothing speaks against it."""
    import onnxruntime

    listed = onnxruntime.get_available_providers()
    missing = next((provider for provider in _PROVIDERS[name] if provider not in listed), None)
    if missing:
        return f"this onnxruntime has no {missing}"
    fault = _driver_fault()
    if fault is None:
        with hushed(), suppress(Exception):  # best effort: whether the libraries are there the session will tell
            onnxruntime.preload_dlls()
    return fault


def _driver_fault() -> str | None:
    """Ask NVIDIA's driver itself, as nothing else tells whether a GPU can be used."""
    library = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(library)
    except OSError:
        return f"no NVIDIA driver: {library} cannot be loaded"
    status, count = driver.cuInit(0), ctypes.c_int(0)
    if status == 0:
        status = driver.cuDeviceGetCount(ctypes.byref(count))
    if status != 0:
        return f"the NVIDIA driver finds no GPU it can use (CUDA error {status})"
    return None if count.value > 0 else "the NVIDIA driver finds no GPU"
