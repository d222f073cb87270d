"""What becomes of memory that this process frees."""

from __future__ import annotations

import ctypes
import os
import sys

TRIM_THRESHOLD, MMAP_MAX = -1, -4  # of mallopt(3)
NEVER = -1  # as a threshold


def keep_memory() -> bool:
    """Tell the C library to keep what this process frees for what it asks for next; whether it does.

        weft.keep_memory()   # once, before models are loaded

    By itself glibc gives each large tensor back to the system, which then hands out zeroed pages for the next one: a
    fifth of a training step on a processor, and more of a forward pass with a large vocabulary (docs/decisions.md).
    Commands of weft's call it. What a process holds stays at its peak: that of training is as high as before, and what
    grows by being copied may peak higher, as the pieces it leaves behind are not given back. Nothing is changed where
    there is another C library, or the environment says something of its allocator (MALLOC_…, GLIBC_TUNABLES).
    """
    said = any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ)
    if said or not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # musl has none
        return False
    return bool(mallopt(MMAP_MAX, 0) and mallopt(TRIM_THRESHOLD, NEVER))
