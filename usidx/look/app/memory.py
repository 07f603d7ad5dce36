"""Less memory: what need not be loaded is not, and what was freed goes back to the system."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["do_without_sparse", "give_back_memory"]


def give_back_memory() -> None:
    """Let the system have what was freed: glibc keeps it for the thread that had it, 100 MB after a large file."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def do_without_sparse() -> None:
    """Let dask not load ``sparse``, where it is installed, and with it numba: 60 MB and a third of a second.

    For a process that only shows files; it must be said before dask is loaded.
    """
    if "dask.array" not in sys.modules:
        sys.modules.setdefault("sparse", None)  # type: ignore[arg-type]  # so Python notes that there is none
