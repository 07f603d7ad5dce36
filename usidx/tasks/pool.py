"""Pieces of work -> the thread that asked, and helpers for as long as cores are idle.

Whoever asks works itself. Where dask's own threads keep all cores busy nobody helps them: each decodes its block on
the core that will work on it, without waiting for another. A block that is read alone keeps all cores busy.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from queue import SimpleQueue
from typing import Any, Final, TypeVar

from usidx.tasks.threads import Room, find_room, lend_room, work_alone

__all__ = ["Ask", "do_each", "meet", "share_slices"]

#: Takes what is asked for, and returns the answer once all others ask, too, or are done.
Ask = Callable[[Any], Any]

Work = TypeVar("Work")

_SLICE: Final = 2048  # spectra that one thread takes at a time: their copies stay small


class _Busy:
    """Counts the threads that work here."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.asking = 0
        self.helping = 0
        self.pool: ThreadPoolExecutor | None = None
        self.size = 0

    def take_helper(self) -> bool:
        """Count one more helper; False where all cores are busy.

        Those who ask are tasks of dask for the most part, but not all tasks ask, nor is all that asks a task.
        """
        room = find_room()
        with self.lock:
            is_free = max(self.asking, room.tasks) + self.helping < room.threads
            self.helping += is_free
        return is_free

    def drop_helper(self) -> None:
        with self.lock:
            self.helping -= 1

    @contextmanager
    def ask(self) -> Iterator[None]:
        """Count the thread that asks; it works in any case."""
        with self.lock:
            self.asking += 1
        try:
            yield
        finally:
            with self.lock:
                self.asking -= 1

    def open_pool(self) -> ThreadPoolExecutor:
        """Return the threads that help; a larger pool takes the place of one too small, which ends when it is idle."""
        size = max(1, find_room().threads - 1)
        with self.lock:
            if self.pool is None or self.size < size:
                self.pool, self.size = ThreadPoolExecutor(size, thread_name_prefix="usidx-read"), size
            return self.pool


_busy = _Busy()


def do_each(do: Callable[[Work], None], work: Sequence[Work], most: int | None = None) -> None:
    """Do several pieces of work, at once where cores are idle; the first error is raised when none runs any more.

    Parameters
    ----------
    do : callable
        Called with each piece. What it hands on to `do_each` in turn is done in the same thread.
    work : sequence
        The pieces.
    most : int, optional
        So many threads at most, the one that asks among them.
    """
    if len(work) < 2 or most == 1 or find_room().threads < 2:
        for piece in work:
            do(piece)
        return
    left = deque(work)
    helpers: list[Future[None]] = []
    with _busy.ask():
        try:
            while left:
                while len(left) > 1 and len(helpers) + 1 != most and (helper := _start_helper(do, left)) is not None:
                    helpers.append(helper)
                _do_one(do, left)
        finally:
            left.clear()
            for helper in helpers:
                if helper.cancel():  # it has not begun
                    _busy.drop_helper()
            # What they write to, and the file they read, must outlive them.
            wait(helpers)
    for helper in helpers:
        if not helper.cancelled():
            helper.result()


def share_slices(run: Callable[[slice], None], size: int, threads: int | None = None, at_once: int = _SLICE) -> None:
    """Run over slices of so many spectra each, at once where cores are idle, on so many threads at most."""
    do_each(run, [slice(begin, min(begin + at_once, size)) for begin in range(0, size, at_once)], threads)


def _start_helper(do: Callable[[Work], None], left: deque[Work]) -> Future[None] | None:
    """Start another thread on the same work; None where all cores are busy."""
    busy = _busy
    if not busy.take_helper():
        return None
    try:
        return busy.open_pool().submit(_help, do, left, busy)
    except RuntimeError:  # no thread can be started any more, as when Python ends
        busy.drop_helper()
        return None


def _help(do: Callable[[Work], None], left: deque[Work], busy: _Busy) -> None:
    try:
        while left:
            _do_one(do, left)
    except BaseException:
        left.clear()
        raise
    finally:
        busy.drop_helper()


def _do_one(do: Callable[[Work], None], left: deque[Work]) -> None:
    try:
        piece = left.popleft()
    except IndexError:  # another thread took the last one
        return
    with work_alone():
        do(piece)


def _forget() -> None:
    """Start afresh in a forked child, which has none of the threads."""
    global _busy
    _busy = _Busy()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


class _Member(threading.Thread):
    """One of several whose questions are answered together; it works only while the others wait."""

    def __init__(self, call: Callable[[Ask], Any], room: Room) -> None:
        super().__init__(daemon=True, name="usidx-member")
        self._call = call
        self._room = room
        self._replies: SimpleQueue[Callable[[], Any]] = SimpleQueue()
        self._said: SimpleQueue[tuple[str, Any]] = SimpleQueue()

    def run(self) -> None:
        try:
            self._replies.get()()
            with lend_room(self._room):
                found = self._call(self._ask)
        except BaseException as err:
            self._said.put(("error", err))
        else:
            self._said.put(("found", found))

    def _ask(self, question: Any) -> Any:
        self._said.put(("asked", question))
        return self._replies.get()()

    def go_on(self, reply: Callable[[], Any]) -> tuple[str, Any]:
        """Hand over a reply, and wait for the next question, or for what is found."""
        self._replies.put(reply)
        return self._said.get()

    def end(self) -> None:
        """Let it fail where it asks, if it has not ended yet."""
        self._replies.put(_fail)
        self.join()


class _EndedError(Exception):
    """Another one has failed."""


def meet(calls: Sequence[Callable[[Ask], Any]], answer: Callable[[list[Any]], list[Any]]) -> list[Any]:
    """Return what several calls find whose questions are answered together, once each of them has asked or is done.

    Each call has a thread, since it may ask from any depth; they work in turn, as if they were one.

    Parameters
    ----------
    calls : sequence of callable
        Each takes a function, which it may call with a question.
    answer : callable
        Returns the answers to some questions.
    """
    room = find_room()
    members = [_Member(call, room) for call in calls]
    replies: dict[int, Any] = dict.fromkeys(range(len(members)))
    found: dict[int, Any] = {}
    for member in members:
        member.start()
    try:
        while replies:
            asked: dict[int, Any] = {}
            for number in list(replies):
                said, value = members[number].go_on(partial(_return, replies.pop(number)))
                if said == "error":
                    raise value
                (asked if said == "asked" else found)[number] = value
            replies = dict(zip(asked, answer(list(asked.values())), strict=True)) if asked else {}
    finally:
        for member in members:
            member.end()
    return [found[number] for number in range(len(members))]


def _return(value: Any) -> Any:
    return value


def _fail() -> None:
    raise _EndedError("Another one who iterates over the same blocks has failed.")
