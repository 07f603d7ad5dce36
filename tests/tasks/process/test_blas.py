"""BLAS is held at the fewest threads that any caller asks for, and is as before when the last one is done."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController, threadpool_limits

from usidx.tasks.process import blas
from usidx.tasks.process.blas import limit_blas


class Library:
    def __init__(self, filepath: str = "libone.so") -> None:
        self.filepath, self.num_threads = filepath, 6

    def set_num_threads(self, count: int) -> None:
        self.num_threads = count


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    found = Library()
    monkeypatch.setattr(blas, "_find_libraries", lambda _: [found])
    return found


def test_the_lowest_limit_holds(library: Library) -> None:
    with limit_blas(4):
        assert library.num_threads == 4
        with limit_blas():
            assert library.num_threads == 1
            with limit_blas(2):
                assert library.num_threads == 1
        assert library.num_threads == 4
    assert library.num_threads == 6


def test_a_limit_never_raises_the_number(library: Library) -> None:
    with limit_blas(9):
        assert library.num_threads == 6


def test_a_library_that_is_loaded_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = Library(), Library("libother.so")
    loaded = [one]
    monkeypatch.setattr(blas, "_find_libraries", lambda _: loaded)
    with limit_blas():
        loaded.append(other)
        with limit_blas():
            assert other.num_threads == 1
        assert (one.num_threads, other.num_threads) == (1, 1)
    assert (one.num_threads, other.num_threads) == (6, 6)


def test_without_a_library(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = Library()
    silent.num_threads = None  # type: ignore[assignment]  # some builds of BLIS do not tell
    for found in ([], [silent]):
        monkeypatch.setattr(blas, "_find_libraries", lambda _, found=found: found)
        with limit_blas(), limit_blas(2):
            assert silent.num_threads is None


def test_what_others_restore_does_not_undo_a_limit(library: Library) -> None:
    with limit_blas():
        library.set_num_threads(6)  # by a library that found so many before, and is done now
        with limit_blas():
            assert library.num_threads == 1
        assert library.num_threads == 1
    assert library.num_threads == 6


def test_it_is_lifted_after_an_error(library: Library) -> None:
    with pytest.raises(ZeroDivisionError), limit_blas():
        raise ZeroDivisionError
    assert library.num_threads == 6


def test_callers_that_overlap_in_any_order(library: Library) -> None:
    inside, between = Barrier(2, timeout=20), Barrier(2, timeout=20)

    def first() -> int:
        with limit_blas():
            inside.wait()
        between.wait()
        return library.num_threads

    def second() -> int:
        with limit_blas(3):
            inside.wait()
            between.wait()
            return library.num_threads

    with ThreadPoolExecutor(2) as pool:
        assert [f.result() for f in (pool.submit(first), pool.submit(second))][1] == 3
    assert library.num_threads == 6


def test_the_libraries_that_numpy_uses() -> None:
    with limit_blas():
        np.ones((4, 4)) @ np.ones((4, 4))
    import scipy.linalg  # noqa: F401 - brings a library of its own

    def threads() -> set[int]:
        return {lib.num_threads for lib in ThreadpoolController().select(user_api="blas").lib_controllers}

    before = threads()
    with limit_blas():
        assert threads() == {1}
    assert threads() == before


def test_any_thread_can_limit_them() -> None:
    def limit() -> set[int]:
        with limit_blas():
            return count()

    def count() -> set[int]:
        return {lib.num_threads for lib in libraries}

    libraries = ThreadpoolController().select(user_api="blas").lib_controllers
    with threadpool_limits(2, user_api="blas"), ThreadPoolExecutor(1) as pool:  # by this thread, which lives on
        before = count()
        assert pool.submit(limit).result() == {1}
        assert count() == before
        with limit_blas():
            assert pool.submit(limit).result() == {1}
        assert count() == before
