"""The memory allocator of a process that trains on the CPU.

Every step takes and gives back the same large blocks. glibc returns them to the system each time, and each time the
system clears their pages anew: of LeNet's step that is a third. Here blocks are kept, and large ones use large pages.
"""

import ctypes
import os
import sys
from contextlib import suppress

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3  # of mallopt(3)
LARGEST, PAD = 1 << 30, 64 << 20


def keep_memory() -> None:
    """Set this process up so, before torch takes its first large block; only Linux with glibc can be."""
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    if sys.platform == "linux":
        with suppress(AttributeError, OSError):  # another libc has no mallopt
            libc = ctypes.CDLL(None)
            for option, value in ((MMAP_THRESHOLD, LARGEST), (TRIM_THRESHOLD, 2**31 - 1), (TOP_PAD, PAD)):
                libc.mallopt(option, value)
