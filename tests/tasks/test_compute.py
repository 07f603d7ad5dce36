"""Several lazy objects are computed at once: each block read once, put where it belongs, and nothing held twice."""

import tracemalloc
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import usidx
from usidx.tasks.progress import count_progress


@given(
    st.lists(st.integers(0, 5), max_size=3).flatmap(
        lambda s: st.tuples(st.just(s), st.just([max(1, n // 2) for n in s]))
    )
)
def test_the_same_as_dask(case: tuple[list[int], list[int]]) -> None:
    shape, chunks = case
    values = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    lazy = da.from_array(values, chunks=tuple(chunks))
    found = usidx.compute(lazy, lazy * 1j, progress=False)
    for one, wanted in zip(found, (values, values * 1j), strict=True):
        assert type(one) is np.ndarray
        assert one.dtype == wanted.dtype
        np.testing.assert_array_equal(one, wanted)


def test_a_block_is_made_once_for_all() -> None:
    made: list[Any] = []

    def make(block_info: Any = None) -> np.ndarray[Any, Any]:
        made.append(block_info[None]["chunk-location"])
        return np.ones((2, 3))

    lazy = xr.DataArray(
        da.map_blocks(make, chunks=((2,) * 4, (3,)), dtype=float, meta=np.empty((0, 0))), dims=("y", "x")
    )
    total, doubled = usidx.compute(lazy.sum(), lazy.to_dataset(name="a") * 2, progress=False)
    assert sorted(made) == [(k, 0) for k in range(4)]
    assert total == 24
    assert doubled.a.sum() == 48


def test_a_block_of_another_type_is_not_cut_down() -> None:
    lazy = da.ones((4, 2), chunks=(2, 2)).map_blocks(lambda b: b * 1j, dtype=float, meta=np.empty((0, 0)))
    found = usidx.compute(lazy, progress=False)
    assert found.dtype == complex
    np.testing.assert_array_equal(found, np.full((4, 2), 1j))


def test_sizes_that_are_not_known() -> None:
    lazy = da.arange(10, chunks=3)
    np.testing.assert_array_equal(usidx.compute(lazy[lazy > 4], progress=False), [5, 6, 7, 8, 9])


def test_errors_are_those_of_the_task() -> None:
    def fail(block: Any) -> Any:
        raise ZeroDivisionError("in the task")

    with pytest.raises(ZeroDivisionError, match="in the task"):
        usidx.compute(da.ones(4, chunks=2).map_blocks(fail, dtype=float, meta=np.empty(0)), progress=False)


def test_memory_is_that_of_the_result() -> None:
    lazy = da.random.default_rng(0).random((64, 1 << 15), chunks=(1, -1))  # 16 MiB
    with dask.config.set(scheduler="sync"):
        usidx.compute(lazy[:1], progress=False)
        tracemalloc.start()
        usidx.compute(lazy, progress=False)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert most < 1.3 * lazy.nbytes


@pytest.mark.parametrize(("is_watched", "is_wanted"), [(False, True), (True, False)])
def test_no_bar_where_nobody_looks(
    is_watched: bool, is_wanted: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("usidx.tasks.progress.is_watched", lambda: is_watched)
    monkeypatch.setattr("usidx.tasks.progress._SHOWN_AFTER", -1.0)
    with count_progress(1, progress=is_wanted) as advance:
        advance()
    assert capsys.readouterr() == ("", "")
