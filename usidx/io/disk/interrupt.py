"""Ctrl-C while HDF5 is at work -> the same, as soon as HDF5 has returned.

Python runs its signal handlers inside the file object that HDF5 calls back into, and an exception must not be raised
through HDF5 (see `usidx.io.write.staged`). A commit is likewise carried to its end before it is interrupted. Raising a
little later would not do: a loop of writes is inside HDF5 nearly always. So the handler asks the interpreter, by the
trace function that debuggers use, to be called at the next line of the Python code around HDF5, and raises there.

Python itself loses what is raised where nobody can catch it, in a `__del__` or while a weak reference is cleared. The
command, which must end, therefore keeps in mind that Ctrl-C was pressed.
"""

from __future__ import annotations

import _thread
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any, TypeVar

__all__ = ["defer_interrupts", "insist_on_interrupts", "interrupt_again", "shield_from_interrupts"]

_DELAY = 0.05
_guarded: set[CodeType] = set()
#: Empty, or holding a mark while an interrupt is on its way; no lock, since a handler may interrupt another.
_coming: set[str] = set()

F = TypeVar("F", bound=Callable[..., Any])


def shield_from_interrupts(function: F) -> F:
    """Mark a function that Ctrl-C must not break off inside a `defer_interrupts` block."""
    _guarded.add(function.__code__)
    return function


def interrupt_again() -> None:
    """Raise KeyboardInterrupt in the main thread a moment later."""
    # A bare thread: the locks of the threading module may be held by the code that was interrupted.
    _thread.start_new_thread(_press, ())


def _press() -> None:
    time.sleep(_DELAY)
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None and callable(signal.getsignal(signal.SIGINT)):
        signal.pthread_kill(main, signal.SIGINT)  # also wakes a thread that waits, which interrupt_main does not
    else:
        _thread.interrupt_main()


@contextmanager
def defer_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back while a marked function runs; does nothing outside the main thread, where no signal arrives."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        around = _find_caller(frame)
        if around is None:
            before(number, frame)
        elif not _coming:
            _call_at_next_line(around, lambda: before(number, around))

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        _coming.clear()


@contextmanager
def insist_on_interrupts() -> Iterator[None]:
    """Leave by KeyboardInterrupt if Ctrl-C was pressed, whatever became of the first one.

    One that Python lost is raised again; a block that ends otherwise, by itself or by another error, ends as
    interrupted. Does nothing outside the main thread, nor where Ctrl-C is ignored.
    """
    before, say = signal.getsignal(signal.SIGINT), sys.unraisablehook
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    pressed: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        pressed.append(number)
        signal.default_int_handler(number, frame)

    def notice(lost: sys.UnraisableHookArgs) -> None:
        if pressed and issubclass(lost.exc_type, KeyboardInterrupt):
            interrupt_again()
        else:
            say(lost)

    signal.signal(signal.SIGINT, handle)
    sys.unraisablehook = notice
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        sys.unraisablehook = say
        if pressed:
            raise KeyboardInterrupt


def _find_caller(frame: FrameType | None) -> FrameType | None:
    """Find the code that called a marked function; None where none runs.

    A weak reference that is being cleared counts as one: Python prints what is raised there, and loses it.
    """
    around = frame.f_back if frame is not None and frame.f_code.co_filename == weakref.__file__ else None
    while frame is not None:
        if frame.f_code in _guarded:
            around = frame.f_back
        frame = frame.f_back
    return around


def _call_at_next_line(frame: FrameType, action: Callable[[], None]) -> None:
    """Have `action` called when `frame` goes on."""
    everywhere, here = sys.gettrace(), frame.f_trace

    def trace(reached: FrameType, event: str, argument: object) -> Any:
        if reached is not frame:
            return None
        _coming.clear()
        sys.settrace(everywhere)
        frame.f_trace = here
        action()
        return here

    _coming.add("interrupt")
    frame.f_trace = trace
    sys.settrace(trace)
