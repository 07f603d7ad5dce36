"""What was used lately, in as much memory as is allowed; the least recently used goes first."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar
from weakref import WeakSet

__all__ = ["LruCache"]

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

_caches: WeakSet[LruCache[Any, Any]] = WeakSet()


class LruCache(Generic[Key, Value]):
    """A cache that any number of threads may use, and forked children of the process.

    Parameters
    ----------
    most : int
        Bytes that the values may take together; one alone may take more.
    size : callable
        Returns the bytes that a value takes, always the same.
    """

    def __init__(self, most: int, size: Callable[[Value], int]) -> None:
        self.most, self._size = most, size
        self._lock = threading.Lock()
        self._kept: OrderedDict[Key, Value] = OrderedDict()
        self.nbytes = 0
        _caches.add(self)

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: Key) -> Value | None:
        """Return what is kept under a key, None where that is nothing."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: Key, value: Value) -> None:
        """Keep a value, and drop others where there is no room for it."""
        with self._lock:
            self._drop(key)
            self._kept[key] = value
            self.nbytes += self._size(value)
            while self.nbytes > self.most and len(self._kept) > 1:
                self._drop(next(iter(self._kept)))

    def drop(self, is_outdated: Callable[[Key, Value], bool]) -> None:
        """Drop all that is outdated."""
        with self._lock:
            for key in [key for key, value in self._kept.items() if is_outdated(key, value)]:
                self._drop(key)

    def _drop(self, key: Key) -> None:
        if key in self._kept:
            self.nbytes -= self._size(self._kept.pop(key))

    def renew_lock(self) -> None:
        """Make a new lock: another thread of the parent may have held the old one."""
        self._lock = threading.Lock()


def _renew_locks() -> None:
    for cache in _caches:
        cache.renew_lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)
