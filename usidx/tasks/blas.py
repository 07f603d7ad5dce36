"""Threads of BLAS -> as few as its callers ask for, and what was there before when the last of them is done."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

__all__ = ["limit_blas"]

_lock = threading.Lock()
_limits: list[int] = []
# Each library, and the threads that it had before the first limit.
_before: list[tuple[Any, int]] = []


@contextmanager
def limit_blas(threads: int = 1) -> Iterator[None]:
    """Hold BLAS at so many threads, or fewer where another caller asks for fewer.

    The limit is one number for the whole process, so overlapping callers are counted: were each to restore what it
    found, the last one out would leave the limit of another behind.
    """
    _enter(threads)
    try:
        yield
    finally:
        _leave(threads)


@lru_cache(maxsize=1)
def _libraries() -> list[Any]:
    # Finding the loaded libraries takes milliseconds: once per process.
    from threadpoolctl import ThreadpoolController

    found: list[Any] = ThreadpoolController().select(user_api="blas").lib_controllers
    return found


def _enter(threads: int) -> None:
    with _lock:
        if not _limits:
            _before[:] = [(library, library.num_threads) for library in _libraries() if library.num_threads]
        _limits.append(threads)
        if min(_limits) not in _limits[:-1]:  # none was as low
            _set_threads()


def _leave(threads: int) -> None:
    with _lock:
        _limits.remove(threads)
        if threads < min(_limits, default=threads + 1):
            _set_threads()


def _set_threads() -> None:
    for library, before in _before:
        library.set_num_threads(min([before, *_limits]))


def _forget() -> None:
    """Undo the limits in a forked child, which has none of the threads that asked for them."""
    global _lock
    _lock = threading.Lock()
    _limits.clear()
    _set_threads()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
