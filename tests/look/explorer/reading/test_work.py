"""Work in threads: one piece a lane, ended when it is cancelled, and what goes wrong is told."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from queue import Queue
from typing import Any
from weakref import WeakSet

import pytest

from usidx.look.explorer.reading import work
from usidx.look.explorer.reading.work import Cancelled, Desk, Task

PATIENCE = 60


class Loop:
    """Stands for the page's own thread: runs what is posted when the test asks for it."""

    def __init__(self) -> None:
        self._posted: Queue[Callable[[], None]] = Queue()
        self.failed: list[Exception] = []
        self.desk = Desk(self._posted.put, lambda _: None, lambda _, err: self.failed.append(err))

    def run_until(self, is_over: Callable[[], object]) -> None:
        while not is_over():
            self._posted.get(timeout=PATIENCE)()


def test_what_was_found_is_handed_on() -> None:
    loop, found = Loop(), list[int]()
    loop.desk.start("map", "Reading", lambda _: 7, found.append)
    loop.run_until(lambda: found)
    assert found == [7]


def test_a_newer_piece_of_work_takes_the_place_of_the_older() -> None:
    loop, found = Loop(), list[int]()
    began, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def read(task: Task) -> int:
        began.set()
        may_end.wait(PATIENCE)
        try:
            task.tell(0.5)
        except Cancelled:
            ended.set()
            raise
        return 1

    loop.desk.start("map", "Reading", read, found.append)
    assert began.wait(PATIENCE)
    loop.desk.start("map", "Reading", lambda _: 2, found.append)
    loop.run_until(lambda: found)
    may_end.set()
    assert ended.wait(PATIENCE)
    assert found == [2]


def test_an_error_is_told() -> None:
    loop = Loop()

    def read(task: Task) -> Any:
        raise OSError("gone")

    loop.desk.start("map", "Reading", read, print)
    loop.run_until(lambda: loop.failed)
    assert str(loop.failed[0]) == "gone"
    assert not loop.desk.is_busy("map")


def test_after_closing_nothing_is_shown() -> None:
    loop, found, began, may_end = Loop(), list[int](), threading.Event(), threading.Event()

    def read(task: Task) -> int:
        began.set()
        may_end.wait(PATIENCE)
        return 1

    task = loop.desk.start("map", "Reading", read, found.append)
    assert began.wait(PATIENCE)
    loop.desk.close()
    may_end.set()
    loop.desk.post(task, lambda: found.append(2))
    loop.run_until(lambda: loop._posted.empty() and task.is_cancelled)
    assert found == []


def test_what_is_quick_is_there_at_once_and_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "_MOMENT", PATIENCE)
    loop, found = Loop(), list[int]()
    loop.desk.start("place", "Reading", lambda _: 7, found.append, is_quick=True)
    assert found == [7]
    loop.run_until(loop._posted.empty)
    assert found == [7]


def test_what_is_quick_does_not_hold_the_page_up_when_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "_MOMENT", 0)
    loop, found, may_end = Loop(), list[int](), threading.Event()
    loop.desk.start("place", "Reading", lambda _: int(may_end.wait(PATIENCE)), found.append, is_quick=True)
    assert found == []
    may_end.set()
    loop.run_until(lambda: found)
    assert found == [1]


def test_what_cannot_be_shown_is_told() -> None:
    loop = Loop()

    def show(_: int) -> None:
        raise ValueError("no such colour")

    loop.desk.start("map", "Reading", lambda _: 1, show)
    loop.run_until(lambda: loop.failed)
    assert str(loop.failed[0]) == "no such colour"


def test_work_that_stands_back_can_be_cancelled() -> None:
    task = Task("map", "Reading", lambda _: None, aside=lambda: math.inf)
    task.cancel()
    with pytest.raises(Cancelled):
        task.give_way()


def test_all_work_ends_with_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "_OPEN", WeakSet[Desk]())
    loop, began, ended = Loop(), threading.Event(), threading.Event()

    def read(task: Task) -> None:
        began.set()
        task._wanted.wait(PATIENCE)
        ended.set()

    loop.desk.start("map", "Reading", read, print)
    assert began.wait(PATIENCE)
    work.close_all()
    assert ended.wait(PATIENCE)
