"""Pieces of work are done once each, by whoever asks and by helpers where cores are idle."""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import dask
import pytest

from usidx.errors import UsidError
from usidx.tasks import pool


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> Iterator[pool._Busy]:
    """Two cores, all idle before the test and after it."""
    found = pool._Busy()
    monkeypatch.setattr(pool, "_busy", found)
    with dask.config.set(num_workers=2):
        yield found
    assert (found.asking, found.helping) == (0, 0)


@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_each_piece_is_done_once(busy: pool._Busy, count: int) -> None:
    done: list[int] = []
    pool.do_each(done.append, range(count))
    assert sorted(done) == list(range(count))


def test_who_asks_works_and_an_idle_core_helps(busy: pool._Busy) -> None:
    are_both_here = threading.Barrier(2)
    workers: set[str] = set()

    def work(number: int) -> None:
        workers.add(threading.current_thread().name)
        if number < 2:
            are_both_here.wait(20)

    pool.do_each(work, range(6))
    assert workers == {threading.current_thread().name, "usidx-read_0"}


def test_nobody_helps_where_all_cores_read(busy: pool._Busy) -> None:
    """As in dask, whose threads read a block each."""
    workers: list[str] = []
    with busy.ask(), busy.ask():
        pool.do_each(lambda _: workers.append(threading.current_thread().name), range(5))
    assert set(workers) == {threading.current_thread().name}


def test_help_comes_as_soon_as_a_core_is_idle(busy: pool._Busy) -> None:
    workers: set[str] = set()
    has_help = threading.Event()
    other = ExitStack()
    other.enter_context(busy.ask())

    def work(number: int) -> None:
        name = threading.current_thread().name
        workers.add(name)
        if name.startswith("usidx-read"):
            has_help.set()
        elif number == 1:
            other.close()  # another block is done
        elif number == 2:
            has_help.wait(20)

    pool.do_each(work, range(6))
    assert workers == {threading.current_thread().name, "usidx-read_0"}


def test_many_blocks_at_once(busy: pool._Busy) -> None:
    done: Counter[tuple[int, int]] = Counter()
    lock = threading.Lock()

    def block(number: int) -> None:
        def work(piece: int) -> None:
            with lock:
                done[number, piece] += 1

        pool.do_each(work, range(20))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(block, range(40)))
    assert len(done) == 800
    assert set(done.values()) == {1}


@pytest.mark.parametrize("fails_in", ["who asks", "the helper"])
def test_a_failing_piece_waits_for_the_others(busy: pool._Busy, fails_in: str) -> None:
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
        pool.do_each(work, range(200))
    assert not running


def test_without_another_thread_the_work_is_done_alone(busy: pool._Busy, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when Python ends, or the system has no thread left."""

    def refuse() -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(busy, "open_pool", refuse)
    done: list[int] = []
    pool.do_each(done.append, range(9))
    assert done == list(range(9))
