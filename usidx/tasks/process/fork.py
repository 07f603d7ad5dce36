"""A fork -> a child that computes, instead of waiting for ever for threads and locks that stayed behind.

Only the thread that forks lives on in the child. Dask's pools are still there, but nobody takes what they are given;
and a lock that another thread held at that moment stays locked. So a fork waits for whoever is compiling, as h5py makes
it wait for whoever is in HDF5; and in the child dask is as it was before it had any thread. Those who fork are
`multiprocessing` on Linux up to Python 3.13, servers, and the loaders of PyTorch.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from functools import cached_property
from typing import Any

import dask
import dask.tokenize
from dask import threaded

__all__ = ["hold_over_fork"]

_ours: list[Any] = []
_held: list[Any] = []


def hold_over_fork(lock: Any) -> None:
    """Have a fork wait for a lock, so that the child finds it free and what it protects whole."""
    _ours.append(lock)


def _acquire() -> None:
    """Acquire the locks in the order in which those who compile do."""
    compiler, llvm = sys.modules.get("numba.core.compiler_lock"), sys.modules.get("llvmlite.binding.ffi")
    numbas = [compiler.global_compiler_lock._lock] if compiler is not None else []
    llvms = [llvm.lib._lock._lock] if llvm is not None else []
    found = [*_ours, *numbas, *llvms]
    for lock in found:
        lock.acquire()
    _held.append(found)


def _release() -> None:
    for lock in reversed(_held.pop()):
        lock.release()


def _restart_dask() -> None:
    """Forget the threads, and free the locks."""
    for pool in [threaded.default_pool, *(pool for pools in threaded.pools.values() for pool in pools.values())]:
        if pool is not None:  # would wait for its lock when the child ends
            atexit.unregister(pool.shutdown)
    threaded.default_pool = None
    threaded.pools.clear()
    threaded.pools_lock = threading.Lock()
    threaded.main_thread = threading.current_thread()
    dask.tokenize.tokenize_lock = threading.RLock()
    if dask.config.config_lock.locked():  # a default argument holds it, so it cannot be another one
        dask.config.config_lock.release()


def _free_properties() -> None:
    """Free the lock that each cached property has up to Python 3.11, shared by all objects of its class."""
    modules = [m for name, m in list(sys.modules.items()) if name.partition(".")[0] in {"dask", "usidx", "xarray"}]
    classes = {c for module in modules for c in vars(module).values() if isinstance(c, type)}
    for found in (value for c in classes for value in vars(c).values() if isinstance(value, cached_property)):
        found.lock = threading.RLock()  # type: ignore[attr-defined]


def _begin_anew() -> None:
    _release()
    _restart_dask()
    if sys.version_info < (3, 12):
        _free_properties()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_acquire, after_in_parent=_release, after_in_child=_begin_anew)
