"""Giving memory back: how the C library of Linux is told not to keep what large requests have used."""

import ctypes
import sys

#: From glibc's malloc.h. Without these, each thread keeps an arena, and thresholds grow with the largest request.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
LARGE = 256 * 1024
ARENAS = 2


def give_back() -> None:
    """Have buffers of LARGE bytes and more returned to the system when they are freed; elsewhere nothing."""
    if sys.platform == "linux":
        library = ctypes.CDLL(None)
        if hasattr(library, "mallopt"):  # musl has none, and does not need it
            library.mallopt(M_MMAP_THRESHOLD, LARGE)
            library.mallopt(M_TRIM_THRESHOLD, LARGE)
            library.mallopt(M_ARENA_MAX, ARENAS)
