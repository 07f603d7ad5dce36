"""Notes of tasks that iterate, and what they hold on the workers: kept by the scheduler while a task is wanted.

The functions run on the scheduler, which hands itself to an argument of the name `dask_scheduler`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from distributed import SchedulerPlugin

__all__ = ["Keeper", "Numbered", "forget", "measure_bytes", "read_notes", "take_note"]

#: The first part of keys that are numbered from 0, and how many they are.
Numbered = tuple[str, int]

_NAME = "usidx-keeper"


@dataclass(slots=True)
class _Kept:
    """What is kept for one task; the `run` tells the keys of what it does from those of an earlier time."""

    run: str = field(default_factory=lambda: uuid4().hex[:8])
    notes: dict[str, bytes] = field(default_factory=dict)
    held: set[Numbered] = field(default_factory=set)


class Keeper(SchedulerPlugin):  # type: ignore[misc,unused-ignore]
    """What the scheduler keeps for tasks that iterate: it outlives the workers that they run on."""

    name = _NAME
    idempotent = True

    def __init__(self) -> None:
        self._scheduler: Any = None
        self.kept: dict[Any, _Kept] = {}

    async def start(self, scheduler: Any) -> None:
        """Learn who asks."""
        self._scheduler = scheduler

    def transition(self, key: Any, start: Any, finish: Any, *args: Any, **kwargs: Any) -> None:
        """Look, once the scheduler has done what it is at, whether a task is still wanted."""
        if key in self.kept and finish in {"released", "forgotten"}:
            self._scheduler.loop.add_callback(self._look, key)

    def _look(self, key: Any) -> None:
        if not _is_wanted(self._scheduler, key):
            self.forget(key)

    def hold(self, key: Any, wanted: Iterable[Numbered]) -> None:
        """Keep what some keys stand for on the workers."""
        for one in set(wanted) - self.kept[key].held:
            self.kept[key].held.add(one)
            self._scheduler.client_desires_keys(_list_keys(one), _name_holder(key))

    def let_go(self, key: Any, done: Iterable[Numbered]) -> None:
        """Let the workers drop what some keys stand for."""
        for one in set(done) & self.kept[key].held:
            self.kept[key].held.discard(one)
            self._scheduler.client_releases_keys(_list_keys(one), _name_holder(key))

    def forget(self, key: Any) -> None:
        """Forget all that is kept for a task."""
        if key in self.kept:
            self.let_go(key, set(self.kept[key].held))
            del self.kept[key]
            self._scheduler.clients.pop(_name_holder(key), None)


def read_notes(keys: list[Any], dask_scheduler: Any) -> tuple[Any, str, dict[str, bytes], list[Numbered]]:
    """Return the first of some keys that the scheduler knows, and the run, the notes and what is held for that task."""
    key = next((key for key in keys if key in dask_scheduler.tasks), None)
    kept = dask_scheduler.plugins[_NAME].kept
    mine = _Kept() if key is None else kept.setdefault(key, _Kept())
    return key, mine.run, dict(mine.notes), list(mine.held)


def take_note(
    key: Any, name: str, value: bytes, hold: list[Numbered], done: list[Numbered], ended: str, dask_scheduler: Any
) -> None:
    """Note what a task found, hold and let go of some keys for it.

    With the last note of an iteration goes the token of what has `ended`: nothing else of that is kept.
    """
    keeper: Keeper = dask_scheduler.plugins[_NAME]
    if key not in dask_scheduler.tasks:
        keeper.forget(key)
        return
    kept = keeper.kept.setdefault(key, _Kept())
    keeper.hold(key, hold)
    keeper.let_go(key, {one for one in kept.held - set(hold) if ended in one[0]} if ended else done)
    if ended:
        kept.notes = {other: found for other, found in kept.notes.items() if ended not in other}
    kept.notes[name] = value


def forget(key: Any, dask_scheduler: Any) -> None:
    """Forget all that is kept for a task."""
    dask_scheduler.plugins[_NAME].forget(key)


def measure_bytes(keys: list[Any], dask_scheduler: Any) -> int:
    """Return how many bytes the workers hold of some keys."""
    return sum(int(dask_scheduler.tasks[key].nbytes) for key in keys if key in dask_scheduler.tasks)


def _is_wanted(scheduler: Any, key: Any) -> bool:
    task = scheduler.tasks.get(key)
    return task is not None and (task.state != "released" or bool(task.who_wants or task.waiters))


def _list_keys(numbered: Numbered) -> list[Any]:
    name, count = numbered
    return [(name, number) for number in range(count)]


def _name_holder(key: Any) -> str:
    """Return the name under which the scheduler counts the task among its clients."""
    return f"usidx-{key}"
