"""A function and many files -> its answers, from processes that work side by side; one that dies costs its own file."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

import dask

from usidx.tasks.threads import worker_count

__all__ = ["call_side_by_side"]

Answer = TypeVar("Answer")


def call_side_by_side(
    func: Callable[[str], Answer],
    files: Sequence[str],
    workers: int,
    died: Callable[[str], Answer],
    advance: Callable[[], None] = lambda: None,
) -> list[Answer]:
    """Return ``func(file)`` for each file, in order, from so many processes.

    Where a process dies, as one that the system kills for its memory, what was waiting goes on in one process. The file
    that this dies of is answered by ``died(file)``, and the others go on in another. ``advance()`` is called for each
    file that is done.
    """
    threads = max(1, worker_count() // workers)
    answers = _try_all(func, files, range(len(files)), workers, threads, advance)
    while left := [number for number in range(len(files)) if number not in answers]:
        answers |= _try_all(func, files, left, 1, threads, advance)
        lost = [number for number in left if number not in answers]
        answers |= {number: died(files[number]) for number in lost[:1]}
    return [answers[number] for number in range(len(files))]


def _try_all(
    func: Callable[[str], Answer],
    files: Sequence[str],
    numbers: Iterable[int],
    workers: int,
    threads: int,
    advance: Callable[[], None],
) -> dict[int, Answer]:
    """Return the answers of some files, by number, without those that went down with a process."""
    # Not forked: a copy of a process with threads may wait for ever for a lock that one of them held.
    fresh = multiprocessing.get_context("spawn")
    answers = {}
    pool = ProcessPoolExecutor(workers, mp_context=fresh, initializer=_begin, initargs=(threads,))
    try:
        waiting = {number: pool.submit(func, files[number]) for number in numbers}
        for number, one in waiting.items():
            try:
                answers[number] = one.result()
            except BrokenProcessPool:
                continue
            advance()
    finally:
        pool.shutdown(cancel_futures=True)
    return answers


def _begin(threads: int) -> None:
    """Leave the other cores to the other processes."""
    dask.config.set(num_workers=threads)
