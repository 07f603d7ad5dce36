"""Less memory: what need not be loaded is not, and what was freed goes back to the system."""

from __future__ import annotations

import ctypes
import sys
import warnings

__all__ = ["do_without_others", "give_back_at_once", "give_back_memory"]

# Numbers of settings in malloc.h of glibc: from which size on a block goes back as soon as it is freed, and how many
# pools threads may have, each of which keeps what was freed.
_MMAP_THRESHOLD, _ARENA_MAX = -3, -8
_LEAST_OWN_BLOCK, _ARENAS = 256 << 10, 2


def _find_c_function(name: str) -> object:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None


def give_back_at_once() -> None:
    """Let the system have large blocks as soon as they are freed, for the whole process.

    glibc keeps up to 32 MB of them for each thread, which is faster where one works through a file, and twice the
    memory where one looks at a place of it now and then.
    """
    set_option = _find_c_function("mallopt")
    if callable(set_option):
        set_option(_MMAP_THRESHOLD, _LEAST_OWN_BLOCK)
        set_option(_ARENA_MAX, _ARENAS)


def give_back_memory() -> None:
    """Let the system have what was freed: glibc keeps it for the thread that had it, 100 MB after a large file."""
    trim = _find_c_function("malloc_trim")
    if callable(trim):
        trim(0)


def do_without_others() -> None:
    """Let dask and xarray not load ``sparse`` and ``pint`` where they are installed: 70 MB and half a second.

    For a process that only shows files, in which no array of theirs is; it must be said before dask is loaded.
    """
    for name, loader in (("sparse", "dask.array"), ("pint", "pint")):
        if loader not in sys.modules:
            sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # so Python notes that there is none
    # numba asks for its part of sparse, when a fit is drawn.
    warnings.filterwarnings("ignore", message="Numba extension module 'sparse")
