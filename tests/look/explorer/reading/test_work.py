"""Work in threads: one piece a lane, ended when it is cancelled, and what goes wrong is told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Queue
from typing import Any

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

    def work(task: Task) -> int:
        began.set()
        may_end.wait(PATIENCE)
        try:
            task.tell(0.5)
        except Cancelled:
            ended.set()
            raise
        return 1

    loop.desk.start("map", "Reading", work, found.append)
    assert began.wait(PATIENCE)
    loop.desk.start("map", "Reading", lambda _: 2, found.append)
    loop.run_until(lambda: found)
    may_end.set()
    assert ended.wait(PATIENCE)
    assert found == [2]


def test_an_error_is_told() -> None:
    loop = Loop()

    def work(task: Task) -> Any:
        raise OSError("gone")

    loop.desk.start("map", "Reading", work, print)
    loop.run_until(lambda: loop.failed)
    assert str(loop.failed[0]) == "gone"
    assert not loop.desk.is_busy("map")


def test_after_closing_nothing_is_shown() -> None:
    loop, found, began, may_end = Loop(), list[int](), threading.Event(), threading.Event()

    def work(task: Task) -> int:
        began.set()
        may_end.wait(PATIENCE)
        return 1

    task = loop.desk.start("map", "Reading", work, found.append)
    assert began.wait(PATIENCE)
    loop.desk.close()
    may_end.set()
    loop.desk.post(task, lambda: found.append(2))
    loop.run_until(lambda: loop._posted.empty() and task.is_cancelled)
    assert found == []
