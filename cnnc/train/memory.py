"""The memory of a training process: glibc's allocator, tuned for the CPU, and the peak of a run.

Every step allocates and frees the same large blocks. By default glibc returns them to the system each time, and the
system clears their pages each time, which adds 20 % to the CPU time of LeNet's training.
"""

import ctypes
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3  # of mallopt(3)
LARGEST, PAD = 1 << 30, 64 << 20


def keep_memory() -> None:
    """Keep freed blocks in this process, from before torch's first large allocation; only for Linux with glibc."""
    if sys.platform == "linux":
        with suppress(AttributeError, OSError):  # another libc has no mallopt
            libc = ctypes.CDLL(None)
            for option, value in ((MMAP_THRESHOLD, LARGEST), (TRIM_THRESHOLD, 2**31 - 1), (TOP_PAD, PAD)):
                libc.mallopt(option, value)


def peak_memory(device: "torch.device") -> int:
    """Return the peak in bytes, of GPU memory or of the process on other devices; 0 if the system has no figure."""
    if device.type == "cuda":
        import torch

        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
