"""Memory that blocks leave -> used again for the next ones, on workers of dask.distributed, too."""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache
from typing import Final

import numpy as np

__all__ = ["use_memory_again"]

#: What dask.distributed sets for the workers that it starts.
_OF_DISTRIBUTED: Final = "65536"
#: Numbers of glibc's malloc.h, and what it learns at most: blocks of less than 32 MiB are kept, twice as much in all.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _KEPT = -1, -3, 2**25


@cache
def use_memory_again() -> None:
    """Let the allocator keep what a block leaves for the next one, which else waits for new pages of the system.

    glibc learns how much from the largest piece that was freed. But it stops learning where a limit is set, and
    dask.distributed sets one: then passes over blocks take twice as long. Another MALLOC_TRIM_THRESHOLD_ than that is
    somebody's choice, and holds.
    """
    np.empty(_KEPT - 2**20, np.uint8)  # never touched, this piece takes no pages
    if sys.platform == "linux" and os.environ.get("MALLOC_TRIM_THRESHOLD_") == _OF_DISTRIBUTED:
        set_option = getattr(ctypes.CDLL(None), "mallopt", None)  # of glibc only
        if set_option is not None:
            set_option(_MMAP_THRESHOLD, _KEPT)
            set_option(_TRIM_THRESHOLD, 2 * _KEPT)
