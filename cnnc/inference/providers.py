"""Choose an execution provider of onnxruntime that works on this machine.

Takes the requested provider and returns a `Choice`. onnxruntime lists CUDA if its wheel was built with it. Without a
driver it prints pages of red errors and continues on the CPU. So this module queries the driver first, and
`cnnc.inference.session` checks which provider a session really uses.
"""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from cnnc.diagnostics import CnncError, Code

WANTED = ("auto", "cuda", "cpu", "tensorrt")
TIMEOUT = 60.0
"""The limit in seconds for loading, and for each run, of a model that cnnc did not make."""

DRIVER = ("/dev/nvidiactl", r"C:\Windows\System32\nvcuda.dll")
PCI, NVIDIA = Path("/sys/bus/pci/devices"), "0x10de"
_CPU, _CUDA, _TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
_PROVIDERS = {"cpu": (_CPU,), "cuda": (_CUDA, _CPU), "tensorrt": (_TENSORRT, _CUDA, _CPU)}


@dataclass(frozen=True, slots=True)
class Choice:
    """A provider by name (`cpu`, `cuda`, `tensorrt`), its list for onnxruntime, and the reason for the choice.

    `asked` is True if the user named this provider. The reason is empty if there is none to tell.
    """

    name: str
    providers: tuple[str, ...]
    reason: str
    asked: bool = True


def choose(wanted: str = "auto") -> Choice:
    """Return the provider for `wanted`, one of WANTED; raises CnncError (E506) if it cannot run here."""
    if wanted not in WANTED:
        raise CnncError.of(
            Code.NO_PROVIDER, f"there is no provider {wanted!r}", help=f"the providers are {', '.join(WANTED)}"
        )
    if wanted == "cpu":
        return Choice("cpu", _PROVIDERS["cpu"], "requested")
    name = "cuda" if wanted == "auto" else wanted
    fault = _fault(name)
    if fault is None:
        asked = wanted == name
        return Choice(name, _PROVIDERS[name], "requested" if asked else "a CUDA device is available", asked)
    if wanted == "auto":
        return fall_back(fault if _has_gpu() else "")
    raise cannot_run(wanted, fault)


def fall_back(reason: str) -> Choice:
    """Return the CPU, chosen because of `reason`."""
    return Choice("cpu", _PROVIDERS["cpu"], reason, asked=False)


def cannot_run(name: str, reason: str) -> CnncError:
    """Return the error E506: the provider `name`, which the user requested, cannot run."""
    return CnncError.of(
        Code.NO_PROVIDER,
        f"the provider {name} cannot run here: {reason}",
        help="use --provider cpu, or --provider auto, which uses a GPU only if one works",
    )


@contextmanager
def output_suppressed() -> Iterator[None]:
    """Suppress output of C code to stderr, and of onnxruntime's Python code to stdout."""
    try:
        terminal = os.dup(2)
    except OSError:  # stderr is closed: nothing to suppress
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
    """Return why provider `name` cannot run here, or None."""
    import onnxruntime

    listed = onnxruntime.get_available_providers()
    missing = next((provider for provider in _PROVIDERS[name] if provider not in listed), None)
    if missing:
        return f"this onnxruntime has no {missing}"
    fault = _driver_fault()
    if fault is None:
        with output_suppressed(), suppress(Exception):  # best effort: the session reports missing libraries
            onnxruntime.preload_dlls()
    return fault


def _has_gpu() -> bool:
    """Return whether there is a sign of an NVIDIA GPU: its driver, or on Linux a display device on the bus."""
    if any(map(os.path.exists, DRIVER)):
        return True
    for device in PCI.glob("*"):
        with suppress(OSError):
            is_display = (device / "class").read_text().startswith("0x03")
            if is_display and (device / "vendor").read_text().strip() == NVIDIA:
                return True
    return False


def _driver_fault() -> str | None:
    """Return why NVIDIA's driver has no usable GPU, or None; only the driver itself knows reliably."""
    library = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(library)
    except OSError:
        return f"no NVIDIA driver: {library} cannot be loaded"
    status, count = driver.cuInit(0), ctypes.c_int(0)
    if status == 0:
        status = driver.cuDeviceGetCount(ctypes.byref(count))
    if status != 0:
        return f"the NVIDIA driver finds no usable GPU (CUDA error {status})"
    return None if count.value > 0 else "the NVIDIA driver finds no GPU"
