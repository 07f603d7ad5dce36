"""Pieces of work of one block -> the thread that asked, and helpers for as long as cores are idle.

Whoever reads works itself. Where dask's own threads keep all cores busy nobody helps them: each decodes its block on
the core that will work on it, without waiting for another. A block that is read alone keeps all cores busy.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

from dask.system import CPU_COUNT

__all__ = ["THREADS", "for_each"]

Work = TypeVar("Work")

#: Threads that read at once; what the container or the scheduler leaves this process.
THREADS = max(1, int(CPU_COUNT))

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_idle = threading.Semaphore(THREADS)


def for_each(do: Callable[[Work], None], work: Sequence[Work]) -> None:
    """Do several pieces of work, at once where cores are idle; the first error is raised when none runs any more.

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
    left = deque(work)
    helpers: list[Future[None]] = []
    idle = _idle
    with _on_a_core(idle):
        try:
            while left:
                if len(left) > 1 and (helper := _helper(do, left, idle)) is not None:
                    helpers.append(helper)
                _do_one(do, left)
        finally:
            left.clear()
            for helper in helpers:
                if helper.cancel():  # it has not begun
                    idle.release()
            # What they write to, and the file they read, must outlive them.
            wait(helpers)
    for helper in helpers:
        if not helper.cancelled():
            helper.result()


@contextmanager
def _on_a_core(idle: threading.Semaphore) -> Iterator[None]:
    """Count the thread that asks among those that are busy; it works in any case."""
    is_counted = idle.acquire(blocking=False)
    try:
        yield
    finally:
        if is_counted:
            idle.release()


def _helper(do: Callable[[Work], None], left: deque[Work], idle: threading.Semaphore) -> Future[None] | None:
    """Start another thread on the same work; None where all cores are busy."""
    if not idle.acquire(blocking=False):
        return None
    try:
        return _shared_pool().submit(_help, do, left, idle)
    except RuntimeError:  # no thread can be started any more, as when Python ends
        idle.release()
        return None


def _help(do: Callable[[Work], None], left: deque[Work], idle: threading.Semaphore) -> None:
    try:
        while left:
            _do_one(do, left)
    except BaseException:
        left.clear()
        raise
    finally:
        idle.release()


def _do_one(do: Callable[[Work], None], left: deque[Work]) -> None:
    try:
        piece = left.popleft()
    except IndexError:  # another thread took the last one
        return
    do(piece)


def _shared_pool() -> ThreadPoolExecutor:
    global _pool
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(THREADS, thread_name_prefix="usidx-read")
        return _pool


def _forget() -> None:
    """Start afresh in a forked child, which has none of the threads."""
    global _pool, _lock, _idle
    _pool, _lock, _idle = None, threading.Lock(), threading.Semaphore(THREADS)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
