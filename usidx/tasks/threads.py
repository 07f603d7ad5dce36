"""Threads for kernels that call BLAS: one BLAS thread per worker, restored by the last one out."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from typing import Any

import dask
from dask.system import CPU_COUNT

__all__ = ["executor", "single_blas", "worker_count"]

_lock = threading.Lock()
_inside = 0
_limit: Any = nullcontext()


def worker_count() -> int:
    """Return how many blocks are worked on at once, as dask's configuration says."""
    return max(1, int(dask.config.get("num_workers", None) or CPU_COUNT))


@contextmanager
def executor() -> Iterator[Executor]:
    """Open a pool of its own: a shared pool could wait for itself when a graph node asks for more work."""
    with ThreadPoolExecutor(worker_count(), thread_name_prefix="usidx") as pool:
        yield pool


@contextmanager
def single_blas() -> Iterator[None]:
    """Hold BLAS at one thread while any caller is inside.

    The limit is one number for the whole process, so overlapping callers are counted: were each to restore what it
    found, the last one out would leave the limit of another behind.
    """
    _enter()
    try:
        yield
    finally:
        _leave()


@lru_cache(maxsize=1)
def _controller() -> Any:
    # Finding the loaded libraries takes milliseconds: once per process.
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _enter() -> None:
    global _inside, _limit
    with _lock:
        if _inside == 0:
            _limit = _controller().limit(limits=1, user_api="blas")
            _limit.__enter__()
        _inside += 1


def _leave() -> None:
    global _inside
    with _lock:
        _inside -= 1
        if _inside == 0:
            _limit.__exit__(None, None, None)
