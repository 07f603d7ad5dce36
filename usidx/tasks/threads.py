"""Who asks -> how many threads may work for it: what dask was told, what the container leaves, who works beside it."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor, thread
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from types import CodeType, FrameType
from typing import Any, Final

import dask
from dask import local, threaded
from dask.base import get_scheduler, named_schedulers

from usidx.tasks.process.cores import count_cores

__all__ = ["Room", "find_room", "lend_room", "open_pool", "runs_here", "runs_on_cluster", "work_alone", "worker_count"]

#: What stands on the stack of each task that dask runs in this process.
_RUNS_TASKS: Final = local.batch_execute_tasks.__code__
#: What stands below it where dask runs all tasks in the thread that called it.
_RUNS_HERE: Final = local.get_sync.__code__

#: What a thread of a pool is in while it has nothing to do.
_WAITS: Final = thread._worker.__code__

_numbers = count()
_here = threading.local()
_looking = threading.Lock()


class _Pool(ThreadPoolExecutor):
    """Threads of `open_pool`."""


@dataclass(frozen=True, slots=True)
class Room:
    """What the code that asks may use.

    Attributes
    ----------
    threads : int
        How many threads may work at once, those of the tasks beside it among them.
    tasks : int
        How many tasks share them, the one that asks among them; 1 outside of tasks.
    """

    threads: int
    tasks: int


def worker_count() -> int:
    """Return how many threads may work at once for the code that asks, itself among them.

    That is the least that dask's configuration says (``num_workers``, the size of ``pool``, 1 for
    ``scheduler="sync"``), and where it says nothing the cores of this process. A task that runs beside others, on a
    worker of dask.distributed or in dask's threads, gets its share of them, at least 1. The number changes as tasks
    come and go: ask again before each piece of work, and let no result depend on it.
    """
    room = find_room()
    return max(1, room.threads // room.tasks)


def find_room() -> Room:
    """Say how many threads there are for the code that asks, and how many tasks share them."""
    lent: Room | None = getattr(_here, "room", None)
    if lent is not None and not getattr(_here, "is_alone", False):
        return lent
    in_task, in_caller, pool = _read_stack()
    if in_caller or getattr(_here, "is_alone", False):
        return Room(1, 1)
    if isinstance(pool, _Pool):  # its size is what there was room for when it was opened
        return Room(pool._max_workers, _count_busy(pool))
    told = _read_config()
    on_worker = None if in_task else _find_room_of_worker()
    if on_worker is not None:
        return Room(min([on_worker.threads, *told]), on_worker.tasks)
    threads = min(told, default=count_cores())
    if not in_task:  # a pool of the user's own may be larger than what is at work in it
        return Room(threads, 1 if pool is None else _count_busy(pool))
    if pool is None:  # one of several processes, or in a pool that cannot be asked
        return Room(1, 1)
    return Room(min(threads, pool._max_workers), _count_busy(pool))


def runs_here() -> bool:
    """Say whether dask runs tasks in this process: on its threads, or in the thread that asks."""
    scheduler = get_scheduler()
    return scheduler is None or scheduler in {threaded.get, local.get_sync}


def runs_on_cluster() -> bool:
    """Say whether this is a task on a worker of dask.distributed."""
    return _find_room_of_worker() is not None


@contextmanager
def work_alone() -> Iterator[None]:
    """Let this thread be the only one that works for what is called inside: others do the same work beside it."""
    before = getattr(_here, "is_alone", False)
    _here.is_alone = True
    try:
        yield
    finally:
        _here.is_alone = before


@contextmanager
def lend_room(room: Room) -> Iterator[None]:
    """Let this thread have what another one has, which waits for it meanwhile."""
    _here.room = room
    try:
        yield
    finally:
        del _here.room


@contextmanager
def open_pool() -> Iterator[Executor | None]:
    """Open a pool of its own: a shared pool could wait for itself when a graph node asks for more work.

    Where one thread may work that is the thread which asks; no other is started, and there is no pool.
    """
    size = worker_count()
    if size == 1:
        yield None
        return
    with _Pool(size, thread_name_prefix=f"usidx-pass-{next(_numbers)}") as pool:
        yield pool


def _forget() -> None:
    """Start afresh in a forked child, which has none of the threads."""
    global _here, _looking
    _here, _looking = threading.local(), threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def _read_stack() -> tuple[bool, bool, Any]:
    """Say whether dask runs what asks as a task, whether in the thread that called dask, and in which pool if any."""
    in_task = False
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code is _RUNS_HERE:
            return True, True, None
        if frame.f_code is _WAITS:
            # Not by the threads that the pool knows: it comes to know one only after that has begun to work.
            return in_task, False, _find_executor(frame)
        in_task = in_task or frame.f_code is _RUNS_TASKS
        frame = frame.f_back
    return in_task, False, None


def _find_executor(frame: FrameType) -> Any:
    """Return the pool of a thread from the frame that waits for work."""
    seen = frame.f_locals
    pool = seen["executor_reference"]()
    if isinstance(seen, dict):
        seen.clear()  # before Python 3.13 a copy, which would keep the work, and its block, until it is read again
    return pool


def _read_config() -> list[int]:
    """Return all that dask's configuration says about threads in this process."""
    scheduler = dask.config.get("scheduler", None)
    told = [
        dask.config.get("num_workers", None),
        _find_pool_size(dask.config.get("pool", None)),
        _find_pool_size(scheduler),
    ]
    named = named_schedulers.get(scheduler.lower()) if isinstance(scheduler, str) else scheduler
    return [*(max(1, int(number)) for number in told if number), *([1] if named is local.get_sync else [])]


def _find_room_of_worker() -> Room | None:
    """Return the threads of the worker of dask.distributed that runs what asks, None elsewhere."""
    if "distributed.worker" not in sys.modules:
        return None
    from distributed import get_worker

    try:
        state = get_worker().state
    except ValueError:
        return None
    return Room(state.nthreads, max(1, state.executing_count))


def _find_pool_size(pool: Any) -> int | None:
    size: int | None = getattr(pool, "_max_workers", None) or getattr(pool, "_processes", None)
    return size if isinstance(size, int) else None


def _list_codes() -> dict[int, CodeType]:
    """Return the function that each thread is in, without the garbage collector coming in between.

    Python 3.11 holds a lock of its own meanwhile. Objects of h5py that are collected then wait for the lock of HDF5;
    its owner waits for the interpreter, and that another thread, which waits here for the first lock, does not let go.
    """
    with _looking:
        was_enabled = gc.isenabled()
        gc.disable()
        try:
            frames = sys._current_frames()
            codes = {number: frame.f_code for number, frame in frames.items()}
            # One of them is that of this call: a circle, which would keep the locals of all callers, blocks among them.
            frames.clear()
            return codes
        finally:
            if was_enabled:
                gc.enable()


def _count_busy(pool: ThreadPoolExecutor) -> int:
    """Count the threads of a pool that do not wait for work."""
    # Its semaphore of idle threads would be nearer at hand, but in Python 3.11 counts some that go on at once.
    codes = _list_codes()
    members = [t.ident for t in threading.enumerate() if t.name.startswith(f"{pool._thread_name_prefix}_")]
    return max(1, sum(codes[i] is not _WAITS for i in members if i in codes))
