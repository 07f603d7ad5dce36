"""Work of a page in threads: told how far it is, cancelled when it is not wanted any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar
from weakref import WeakSet

__all__ = ["Cancelled", "Desk", "Task", "close_all"]

T = TypeVar("T")

# Reading for pictures; the analyses wait in a line of their own, for each may take all cores.
_READERS = ThreadPoolExecutor(3, thread_name_prefix="usidx-read")
_ANALYSTS = ThreadPoolExecutor(1, thread_name_prefix="usidx-analyse")
# Seconds between two messages, of which nobody sees more; and before work is shown that may be over in a moment.
_BETWEEN, _PATIENCE = 0.1, 0.3
# Seconds for which a page waits for what is read in a moment, so that all of it is drawn at once; and for which long
# reading stands back after it was asked for something, or has shown something: the browser needs the cores, too.
_MOMENT, _ASIDE = 0.05, 0.4
# What is still open when the program is to end.
_OPEN: WeakSet[Desk] = WeakSet()


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
    is_alone : bool
        Whether whoever asked waits for it, and sees nothing before it ends.
    patience : float
        Seconds for which such a one should wait for what can be cut short.
    """

    lane: str
    said: str
    listen: Callable[[Task], None]
    done: float = 0.0
    told: str = ""
    begun: float = field(default_factory=time.monotonic)
    is_alone: bool = False
    patience: float = 2.0
    aside: Callable[[], float] = lambda: 0.0
    _ended: bool = False
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

    def give_way(self) -> None:
        """Wait while the page does what its user waits for, and end here if the work is not wanted any more."""
        while (left := self.aside() - time.monotonic()) > 0:
            if self._wanted.wait(left):
                raise Cancelled

    def end_once(self) -> bool:
        """Say whether its end is still to be told, and note that it is."""
        was, self._ended = self._ended, True
        return not was


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
        self._aside = 0.0
        _OPEN.add(self)

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
        is_quick: bool = False,
    ) -> Task:
        """Do some work in a thread, then something with what it found in the page's own.

        What is quick is waited for a moment, and handed on before this returns; what takes long stands back for it.
        """
        self.cancel(lane)
        task = Task(lane, said, lambda _: self._post(self._refresh), aside=lambda: self._aside)
        self._running[lane] = task
        future = (_ANALYSTS if is_analysis else _READERS).submit(self._run, task, work, then)
        if is_quick:
            self._aside = time.monotonic() + _ASIDE
            if wait([future], _MOMENT).done:
                future.result()()
        return task

    def post(self, task: Task, func: Callable[[], None]) -> None:
        """Do something in the page's own thread, if the task is wanted then; long reading stands back for it."""
        self._aside = time.monotonic() + _ASIDE
        self._post(lambda: None if task.is_cancelled else func())

    def _run(self, task: Task, work: Callable[[Task], Any], then: Callable[[Any], None]) -> Callable[[], None]:
        """Do the work; return what the page's own thread has to do then, which is posted to it, too."""
        after: Callable[[], None] | None = None
        try:
            task.tell(0.0)
            after = partial(then, work(task))
        except Cancelled:
            pass
        except Exception as err:
            after = partial(self._fail, task, err)
        end = partial(self._end, task, after)
        self._post(end)
        return end

    def _end(self, task: Task, after: Callable[[], None] | None) -> None:
        if not task.end_once():
            return
        if self._running.get(task.lane) is task:
            del self._running[task.lane]
        if after is not None and self._is_open and not task.is_cancelled:
            try:
                after()
            except Exception as err:
                self._fail(task, err)
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


def close_all() -> None:
    """Cancel all work: Python does not end before the last thread does."""
    for desk in list(_OPEN):
        desk.close()
