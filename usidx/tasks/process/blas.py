"""Threads of BLAS -> as few as its callers ask for, and what was there before when the last of them is done."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

from usidx.tasks.process.memory import use_memory_again

__all__ = ["limit_blas"]

_lock = threading.Lock()
_limits: list[int] = []
# Each library by its file, and the threads that it had before the first limit.
_before: dict[str, tuple[Any, int]] = {}


@contextmanager
def limit_blas(threads: int = 1) -> Iterator[None]:
    """Hold BLAS at so many threads, or fewer where another caller asks for fewer.

    The limit is one number for the whole process, so overlapping callers are counted: were each to restore what it
    found, the last one out would leave the limit of another behind.
    """
    use_memory_again()  # its products are large arrays
    _enter(threads)
    try:
        yield
    finally:
        _leave(threads)


@dataclass(frozen=True, slots=True)
class _Library:
    """An OpenBLAS with threads of its own, asked without letting go of the interpreter.

    threadpoolctl lets go of it in each call and then waits for its turn again, for milliseconds where many threads are
    busy, and all who want a limit wait with it. From 3.8 on it also heeds only the first thread that sets a number.
    """

    filepath: str
    read: Callable[[], int]
    set_num_threads: Callable[[int], Any]

    @property
    def num_threads(self) -> int:
        """How many threads it may use."""
        return self.read()


@lru_cache(maxsize=2)
def _find_libraries(has_scipy: bool) -> list[Any]:
    # Finding the loaded libraries takes milliseconds: once, and again where SciPy has brought its own since then.
    from threadpoolctl import ThreadpoolController

    return [_open_library(lib) or lib for lib in ThreadpoolController().select(user_api="blas").lib_controllers]


def _open_library(lib: Any) -> _Library | None:
    """Return the library of a controller, if it is one that can be asked here."""
    if lib.internal_api != "openblas" or getattr(lib, "threading_layer", "") != "pthreads":
        return None
    opened = ctypes.PyDLL(lib.filepath, mode=getattr(os, "RTLD_NOLOAD", ctypes.DEFAULT_MODE))
    for prefix, suffix in product(("", "scipy_"), ("", "64_", "_64")):
        read = getattr(opened, f"{prefix}openblas_get_num_threads{suffix}", None)
        if read is not None:
            return _Library(lib.filepath, read, getattr(opened, f"{prefix}openblas_set_num_threads{suffix}"))
    return None


def _enter(threads: int) -> None:
    with _lock:
        found = _find_libraries("scipy.linalg" in sys.modules)
        new = {lib.filepath: (lib, lib.num_threads) for lib in found if lib.num_threads and lib.filepath not in _before}
        _before.update(new)
        _limits.append(threads)
        _set_threads()  # also where that is so already: others, which put back what they found, may have done so since


def _leave(threads: int) -> None:
    with _lock:
        _limits.remove(threads)
        if threads < min(_limits, default=threads + 1):
            _set_threads()
        if not _limits:
            _before.clear()


def _set_threads() -> None:
    for library, before in _before.values():
        wanted = min([before, *_limits])
        if library.num_threads != wanted:
            library.set_num_threads(wanted)


def _forget() -> None:
    """Undo the limits in a forked child, which has none of the threads that asked for them."""
    global _lock
    _lock = threading.Lock()
    _limits.clear()
    _set_threads()
    _before.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
