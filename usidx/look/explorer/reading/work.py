"""Work of a page in threads: told how far it is, cancelled when it is not wanted any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

__all__ = ["Cancelled", "Desk", "Task"]

T = TypeVar("T")

# Reading for pictures; the analyses wait in a line of their own, for each may take all cores.
_READERS = ThreadPoolExecutor(3, thread_name_prefix="usidx-read")
_ANALYSTS = ThreadPoolExecutor(1, thread_name_prefix="usidx-analyse")
# Seconds between two messages, of which nobody sees more; and before work is shown that may be over in a moment.
_BETWEEN, _PATIENCE = 0.1, 0.3


class Cancelled(Exception):
    """The work is not wanted any more."""


@dataclass
class Task:
    """A piece of work, in words, and how much of it is done.

    Attributes
    ----------
    lane : str
        What it is for; a newer one of the same lane replaces it.
    said : str
        What is done.
    told : str
        The last message of the work itself.
    """

    lane: str
    said: str
    listen: Callable[[Task], None]
    done: float = 0.0
    told: str = ""
    begun: float = field(default_factory=time.monotonic)
    _wanted: threading.Event = field(default_factory=threading.Event)
    _last: float = 0.0

    @property
    def is_cancelled(self) -> bool:
        """Whether nobody wants it any more."""
        return self._wanted.is_set()

    def cancel(self) -> None:
        """Ask the work to end; it does so at the next place where it tells."""
        self._wanted.set()

    def tell(self, done: float, text: str | None = None) -> None:
        """Say which part is done, and end here if nobody wants it any more."""
        if self.is_cancelled:
            raise Cancelled
        self.done, self.told = done, self.told if text is None else text
        now = time.monotonic()
        if now - self._last > _BETWEEN:
            self._last = now
            self.listen(self)


class Desk:
    """What a page has going on, at most one piece of work per lane.

    Parameters
    ----------
    post : callable
        Runs a function in the page's own thread.
    show : callable
        Takes the tasks that run now, whenever they change.
    fail : callable
        Takes the error of a task.
    """

    def __init__(
        self,
        post: Callable[[Callable[[], None]], None],
        show: Callable[[list[Task]], None],
        fail: Callable[[Task, Exception], None],
    ) -> None:
        self._post, self._show, self._fail = post, show, fail
        self._running: dict[str, Task] = {}
        self._is_open = True

    @property
    def running(self) -> list[Task]:
        """The tasks that run."""
        return list(self._running.values())

    def is_busy(self, lane: str) -> bool:
        """Say whether something runs in a lane."""
        return lane in self._running

    def start(
        self,
        lane: str,
        said: str,
        work: Callable[[Task], T],
        then: Callable[[T], None],
        *,
        is_analysis: bool = False,
    ) -> Task:
        """Do some work in a thread, then something with what it found in the page's own."""
        self.cancel(lane)
        task = Task(lane, said, lambda _: self._post(self._refresh))
        self._running[lane] = task
        (_ANALYSTS if is_analysis else _READERS).submit(self._run, task, work, then)
        return task

    def post(self, task: Task, func: Callable[[], None]) -> None:
        """Do something in the page's own thread, if the task is still wanted by then."""
        self._post(lambda: None if task.is_cancelled else func())

    def _run(self, task: Task, work: Callable[[Task], Any], then: Callable[[Any], None]) -> None:
        try:
            task.tell(0.0)
            found = work(task)
        except Cancelled:
            self._post(lambda: self._end(task))
        except Exception as err:
            raised = err
            self._post(lambda: self._end(task, lambda: self._fail(task, raised)))
        else:
            self._post(lambda: self._end(task, lambda: then(found)))

    def _end(self, task: Task, after: Callable[[], None] | None = None) -> None:
        if self._running.get(task.lane) is task:
            del self._running[task.lane]
        if after is not None and self._is_open and not task.is_cancelled:
            after()
        self._refresh()

    def _refresh(self) -> None:
        if self._is_open:
            now = time.monotonic()
            self._show([task for task in self.running if now - task.begun > _PATIENCE])

    def cancel(self, lane: str) -> None:
        """Cancel what runs in a lane."""
        task = self._running.pop(lane, None)
        if task is not None:
            task.cancel()

    def close(self) -> None:
        """Cancel everything; nothing is shown any more."""
        self._is_open = False
        for lane in list(self._running):
            self.cancel(lane)
