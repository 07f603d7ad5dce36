"""How many threads there are for who asks: by configuration, in tasks of each kind, and in all that starts threads."""

import gc
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import ThreadPool
from pathlib import Path
from types import FrameType
from typing import Any

import dask
import dask.local
import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.tasks import pool as pool_module
from usidx.tasks import threads
from usidx.tasks.pool import do_each
from usidx.tasks.threads import Room, find_room, open_pool, work_alone, worker_count

CORES = 6


@pytest.fixture(autouse=True)
def _cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "count_cores", lambda: CORES)


@pytest.fixture(scope="module")
def pools() -> Iterator[dict[str, Any]]:
    with ThreadPoolExecutor(4) as executor, ThreadPool(3) as pool:
        yield {"executor": executor, "pool": pool}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, CORES),
        ({"num_workers": 1}, 1),
        ({"num_workers": 3}, 3),
        ({"num_workers": 9}, 9),
        ({"scheduler": "sync"}, 1),
        ({"scheduler": "Single-Threaded"}, 1),
        ({"scheduler": dask.local.get_sync}, 1),
        ({"scheduler": "sync", "num_workers": 3}, 1),
        ({"scheduler": "threads", "num_workers": 3}, 3),
        ({"scheduler": "threads"}, CORES),
        ({"pool": "executor"}, 4),
        ({"pool": "pool"}, 3),
        ({"scheduler": "executor"}, 4),
        ({"pool": "executor", "num_workers": 2}, 2),
    ],
)
def test_configuration(config: dict[str, Any], expected: int, pools: dict[str, Any]) -> None:
    given = {key: pools.get(value, value) if isinstance(value, str) else value for key, value in config.items()}
    with dask.config.set(given):
        assert worker_count() == expected


def ask(count: int, **compute: Any) -> set[int]:
    """Return what tasks hear that run at once."""
    meeting = threading.Barrier(count, timeout=30)

    def work(_: int) -> int:
        meeting.wait()
        found = worker_count()
        meeting.wait()
        return found

    return set(dask.compute(*(dask.delayed(work, pure=False)(i) for i in range(count)), **compute))


@pytest.mark.parametrize(("count", "expected"), [(1, 4), (2, 2), (3, 1), (4, 1)])
def test_tasks_in_the_threads_of_dask_share_them(count: int, expected: int) -> None:
    with dask.config.set(scheduler="threads", num_workers=4):
        assert ask(count) == {expected}
        assert worker_count() == 4


def test_tasks_in_a_pool_that_dask_was_given() -> None:
    with ThreadPoolExecutor(4) as executor, dask.config.set(scheduler="threads", pool=executor):
        assert ask(2) == {2}
    with ThreadPool(4) as pool, dask.config.set(scheduler="threads", pool=pool):
        assert ask(2) == {1}  # it does not tell how many of its threads are busy


def test_what_was_said_to_compute_alone() -> None:
    assert ask(1, scheduler="sync") == {1}
    assert ask(1, scheduler="threads", num_workers=2) == {2}
    with ThreadPoolExecutor(3) as executor:
        assert ask(1, scheduler="threads", pool=executor) == {3}


def test_threads_of_the_user_share_the_cores() -> None:
    meeting = threading.Barrier(3, timeout=30)

    def work(_: int) -> int:
        meeting.wait()
        found = worker_count()
        meeting.wait()
        return found

    with ThreadPoolExecutor(3) as executor:
        assert set(executor.map(work, range(3))) == {CORES // 3}
    with ThreadPoolExecutor(1) as executor:
        assert executor.submit(worker_count).result() == CORES


def test_pools_of_ours() -> None:
    with dask.config.set(num_workers=3), open_pool() as pool:
        assert pool is not None
        meeting = threading.Barrier(3, timeout=30)

        def work(_: int) -> Room:
            meeting.wait()
            found = find_room()
            meeting.wait()
            return found

        assert set(pool.map(work, range(3))) == {Room(3, 3)}
        assert pool.submit(worker_count).result() >= 1
    with dask.config.set(num_workers=1), open_pool() as pool:
        assert pool is None


def test_who_works_alone() -> None:
    with work_alone():
        assert worker_count() == 1
        with work_alone():
            assert worker_count() == 1
        assert worker_count() == 1
    assert worker_count() == CORES


def test_pieces_of_work_find_no_threads_of_their_own() -> None:
    found: list[int] = []
    do_each(lambda _: found.append(worker_count()), range(8))
    assert found == [1] * 8
    assert worker_count() == CORES


def spectra() -> xr.DataArray:
    x = np.linspace(-3, 3, 40)
    cells = np.exp(-(x**2)) + 0.01 * np.random.default_rng(0).normal(size=(9000, 40))
    return xr.DataArray(cells, dims=("p", "x"), coords={"x": x}, name="Raw_Data", attrs={"units": "V"})


def fit(_: Path) -> None:
    usidx.fit(spectra(), usidx.models.Gaussian(), dim="x")


def decompose(_: Path) -> None:
    usidx.svd(spectra(), 3, dim="x", solver="gram")
    usidx.nmf(abs(spectra()).chunk(p=3000), 2, dim="x", solver="hals", max_iter=3).compute()


def write_and_read(folder: Path) -> None:
    path = folder / "scan.h5"
    wide = xr.concat([spectra()] * 8, "p")
    usidx.write(usidx.set_roles(wide, position="p", spectroscopic="x"), path, compression="gzip", progress=False)
    usidx.open_main(path, chunks=None).load()


def guess(_: Path) -> None:
    scan, _truth = usidx.simulate.band_excitation((60, 60), 24)
    usidx.sho_fit(scan.load())


@pytest.mark.parametrize("work", [fit, decompose, write_and_read, guess])
def test_no_pool_is_larger_than_was_said(
    work: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("usidx.tasks.passes._HELD_BYTES", 0)
    monkeypatch.setattr("usidx.tasks.pool._busy", pool_module._Busy())
    sizes: list[Any] = []
    real = ThreadPoolExecutor.__init__

    def noted(self: Any, max_workers: int | None = None, *args: Any, **kwargs: Any) -> None:
        sizes.append(max_workers or 99)
        real(self, max_workers, *args, **kwargs)

    monkeypatch.setattr(ThreadPoolExecutor, "__init__", noted)
    for config, most in (({"scheduler": "sync"}, 0), ({"num_workers": 1}, 1), ({"num_workers": 3}, 3)):
        sizes.clear()
        (tmp_path / str(most)).mkdir()
        with dask.config.set(config):
            work(tmp_path / str(most))
        assert max(sizes, default=0) <= most, config
    assert max(sizes) > 1  # it does start threads where it may


@pytest.mark.parametrize("is_enabled", [True, False])
def test_nothing_is_collected_while_other_threads_are_looked_at(
    is_enabled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of Python 3.11 that ends in a deadlock with objects of h5py."""
    look, seen = sys._current_frames, []

    def watch() -> dict[int, FrameType]:
        seen.append(gc.isenabled())
        return look()

    monkeypatch.setattr(sys, "_current_frames", watch)
    (gc.enable if is_enabled else gc.disable)()
    try:
        with ThreadPoolExecutor(2) as pool:
            pool.submit(find_room).result()
        assert gc.isenabled() is is_enabled
    finally:
        gc.enable()
    assert seen
    assert not any(seen)


def test_asking_keeps_no_block_of_who_asks() -> None:
    """A circle of frames, or a copy of a thread's variables, would keep blocks until garbage is collected."""

    def work(given: Any) -> list[Any]:
        own = np.empty(9)
        worker_count()
        return [weakref.ref(own), weakref.ref(given)]

    was_enabled = gc.isenabled()
    gc.disable()
    try:
        with ThreadPoolExecutor(1) as executor:
            seen = executor.submit(work, np.empty(9)).result()
            executor.submit(int).result()  # by now the thread has let go of what it did before
            assert all(one() is None for one in seen)
    finally:
        if was_enabled:
            gc.enable()
