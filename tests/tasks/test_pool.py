"""Pieces of work are done once each, by whoever asks and by helpers where cores are idle."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from usidx.errors import UsidError
from usidx.tasks import pool


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> threading.Semaphore:
    idle = threading.Semaphore(2)
    monkeypatch.setattr(pool, "THREADS", 2)
    monkeypatch.setattr(pool, "_pool", None)
    monkeypatch.setattr(pool, "_idle", idle)
    return idle


def idle_cores(idle: threading.Semaphore) -> int:
    count = 0
    while idle.acquire(blocking=False):
        count += 1
    for _ in range(count):
        idle.release()
    return count


@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_each_piece_is_done_once(two_cores: threading.Semaphore, count: int) -> None:
    done: list[int] = []
    pool.for_each(done.append, range(count))
    assert sorted(done) == list(range(count))
    assert idle_cores(two_cores) == 2


def test_who_asks_works_and_an_idle_core_helps(two_cores: threading.Semaphore) -> None:
    are_both_here = threading.Barrier(2)
    workers: set[str] = set()

    def work(number: int) -> None:
        workers.add(threading.current_thread().name)
        if number < 2:
            are_both_here.wait(20)

    pool.for_each(work, range(6))
    assert workers == {threading.current_thread().name, "usidx-read_0"}


def test_nobody_helps_where_all_cores_read(two_cores: threading.Semaphore) -> None:
    """As in dask, whose threads read a block each."""
    workers: list[str] = []
    assert two_cores.acquire()
    assert two_cores.acquire()
    pool.for_each(lambda _: workers.append(threading.current_thread().name), range(5))
    assert set(workers) == {threading.current_thread().name}


def test_help_comes_as_soon_as_a_core_is_idle(two_cores: threading.Semaphore) -> None:
    workers: set[str] = set()
    has_help = threading.Event()
    assert two_cores.acquire()

    def work(number: int) -> None:
        name = threading.current_thread().name
        workers.add(name)
        if name.startswith("usidx-read"):
            has_help.set()
        elif number == 1:
            two_cores.release()  # another block is done
        elif number == 2:
            has_help.wait(20)

    pool.for_each(work, range(6))
    assert workers == {threading.current_thread().name, "usidx-read_0"}


def test_many_blocks_at_once(two_cores: threading.Semaphore) -> None:
    done: Counter[tuple[int, int]] = Counter()
    lock = threading.Lock()

    def block(number: int) -> None:
        def work(piece: int) -> None:
            with lock:
                done[number, piece] += 1

        pool.for_each(work, range(20))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(block, range(40)))
    assert len(done) == 800
    assert set(done.values()) == {1}
    assert idle_cores(two_cores) == 2


@pytest.mark.parametrize("fails_in", ["who asks", "the helper"])
def test_a_failing_piece_waits_for_the_others(two_cores: threading.Semaphore, fails_in: str) -> None:
    """No thread may write to the block, or read the file, after the error was raised."""
    running: list[int] = []
    are_both_here = threading.Barrier(2)

    def work(number: int) -> None:
        is_helper = threading.current_thread().name.startswith("usidx-read")
        if number < 2:
            are_both_here.wait(20)
        if number < 2 and is_helper == (fails_in == "the helper"):
            raise UsidError("first")
        running.append(number)
        threading.Event().wait(0.05)
        running.remove(number)

    with pytest.raises(UsidError, match="first"):
        pool.for_each(work, range(200))
    assert not running
    assert idle_cores(two_cores) == 2


def test_without_another_thread_the_work_is_done_alone(
    two_cores: threading.Semaphore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when Python ends, or the system has no thread left."""

    def refuse() -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(pool, "_shared_pool", refuse)
    done: list[int] = []
    pool.for_each(done.append, range(9))
    assert done == list(range(9))
    assert idle_cores(two_cores) == 2
