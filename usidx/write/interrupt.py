"""Ctrl-C while HDF5 is at work -> the same, a moment later.

Python runs its signal handlers inside the file object that HDF5 calls back into, and an exception must not be raised
through HDF5 (see `usidx.write.staged`). A commit is likewise carried to its end before it is interrupted.
"""

from __future__ import annotations

import _thread
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any, TypeVar

__all__ = ["again", "deferred", "uninterrupted"]

_DELAY = 0.05
_guarded: set[CodeType] = set()

F = TypeVar("F", bound=Callable[..., Any])


def uninterrupted(function: F) -> F:
    """Mark a function that Ctrl-C must not break off inside a `deferred` block."""
    _guarded.add(function.__code__)
    return function


def again() -> None:
    """Raise KeyboardInterrupt in the main thread a moment later."""
    timer = threading.Timer(_DELAY, _thread.interrupt_main)
    timer.daemon = True
    timer.start()


@contextmanager
def deferred() -> Iterator[None]:
    """Hold Ctrl-C back while a marked function runs; does nothing outside the main thread, where no signal arrives."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if _is_guarded(frame):
            again()
        else:
            before(number, frame)

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _is_guarded(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code in _guarded:
            return True
        frame = frame.f_back
    return False
