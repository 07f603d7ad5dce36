"""Pieces of work of one block -> the threads that all blocks of this process share.

As many threads as cores, for the whole process: a block that is read alone keeps all cores busy, and dask's own
threads, each waiting for its block, do not make the cores compete.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

from dask.system import CPU_COUNT

__all__ = ["THREADS", "for_each"]

Work = TypeVar("Work")

#: Threads that decode; what the container or the scheduler leaves this process.
THREADS = max(1, int(CPU_COUNT))

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None


def for_each(do: Callable[[Work], None], work: Sequence[Work]) -> None:
    """Do several pieces of work, at once where there are cores; the first error is raised when none runs any more.

    Parameters
    ----------
    do : callable
        Called with each piece; it must not call `for_each` again.
    work : sequence
        The pieces.
    """
    if len(work) < 2 or THREADS < 2:
        for piece in work:
            do(piece)
        return
    futures = [_shared_pool().submit(do, piece) for piece in work]
    try:
        for future in futures:
            future.result()
    finally:
        # What they write to, and the file they read, must outlive them.
        for future in futures:
            future.cancel()
        wait(futures)


def _shared_pool() -> ThreadPoolExecutor:
    global _pool
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(THREADS, thread_name_prefix="usidx-read")
        return _pool


def _forget() -> None:
    """Start afresh in a forked child, which has none of the threads."""
    global _pool, _lock
    _pool, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
