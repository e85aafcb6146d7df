"""Tune glibc's memory allocator for training on the CPU.

Every step allocates and frees the same large blocks. By default glibc returns them to the system each time, and the
system clears their pages each time, which takes a third of LeNet's step. With these settings glibc keeps the blocks,
and large ones use huge pages.
"""

import ctypes
import os
import sys
from contextlib import suppress

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3  # of mallopt(3)
LARGEST, PAD = 1 << 30, 64 << 20


def keep_memory() -> None:
    """Apply the settings to this process, before torch's first large allocation; only for Linux with glibc."""
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    if sys.platform == "linux":
        with suppress(AttributeError, OSError):  # another libc has no mallopt
            libc = ctypes.CDLL(None)
            for option, value in ((MMAP_THRESHOLD, LARGEST), (TRIM_THRESHOLD, 2**31 - 1), (TOP_PAD, PAD)):
                libc.mallopt(option, value)
