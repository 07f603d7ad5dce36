"""Scores that the passes leave behind, against the data times the components; and when they take a pass after all."""

from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from usidx.learn.svd import pca, svd

Array = np.ndarray[Any, Any]

ROWS, COLUMNS, N, BLOCKS = 1600, 96, 4, 8


@pytest.fixture(autouse=True)
def _streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usidx.tasks.passes._HELD_BYTES", 0)


def cells(dtype: str, offset: float = 30.0) -> Array:
    rng = np.random.default_rng(2)
    i = 1j if dtype.startswith("c") else 0
    left, right = (rng.normal(size=(s, 6)) + i * rng.normal(size=(s, 6)) for s in (ROWS, COLUMNS))
    found = (left * [90, 70, 40, 20, 8, 3]) @ right.conj().T + 0.1 * rng.normal(size=(ROWS, COLUMNS))
    return np.asarray(found + offset * (1 + i), dtype)


class Counted:
    """A lazy array, and how many of its blocks were read."""

    def __init__(self, values: Array) -> None:
        self.reads = 0
        blocks = da.from_array(values, chunks=(ROWS // BLOCKS, -1))
        lazy = blocks.map_blocks(self._read, dtype=values.dtype, meta=np.empty((0, 0), values.dtype))
        self.data = xr.DataArray(lazy, dims=("x", "energy"))

    def _read(self, block: Array) -> Array:
        self.reads += 1
        return block


def taken(source: Counted, names: list[str], verb: Callable[..., xr.Dataset] = svd) -> tuple[xr.Dataset, int]:
    """Return some variables of a decomposition, and how often the source was read for them."""
    found = verb(source.data, N, dim="energy", solver="krylov")[names].compute()
    # One block of eight is read before, to begin with.
    passes, rest = divmod(source.reads - 1, BLOCKS)
    assert rest == 0
    return found, passes


def expected(values: Array, components: Array, *, centred: bool) -> Array:
    wide = values.astype(np.result_type(values.dtype, np.float64))
    return np.asarray((wide - wide.mean(axis=0) * centred) @ components.conj().T)


@pytest.mark.parametrize("verb", [svd, pca])
@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16", "i2", ">f4", "f2"])
def test_scores_are_the_data_times_the_components(verb: Any, lazy: bool, dtype: str) -> None:
    values = cells("f8").astype(dtype) if dtype == "i2" else cells(dtype)
    data = Counted(values).data if lazy else xr.DataArray(values, dims=("x", "energy"))
    found = verb(data, N, dim="energy", solver="krylov").compute()
    wanted = expected(values, found.components.values, centred=verb is pca)
    double = values.dtype.kind == "i" or values.dtype.itemsize >= 8 + 8 * (values.dtype.kind == "c")
    assert found.scores.dtype == np.result_type(found.components.dtype)
    # Integers of 16 bits are multiplied in single precision, which holds them.
    near = 1e-12 if double and dtype != "i2" else 3e-6
    np.testing.assert_allclose(found.scores, wanted, atol=near * np.abs(values).max() * COLUMNS**0.5)


def test_the_passes_for_the_components_leave_the_scores_behind() -> None:
    _, few = taken(Counted(cells("f4")), ["components"])
    found, passes = taken(Counted(cells("f4")), ["components", "scores"])
    assert passes == few
    assert found.scores.shape == (ROWS, N)


@pytest.mark.parametrize("is_foreseen", [True, False])
def test_scores_of_what_is_too_large_take_a_pass_of_their_own(
    is_foreseen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, few = taken(Counted(cells("f4")), ["components", "scores"])
    monkeypatch.setattr("usidx.learn.factors.projections._MOST_BYTES", 1000)
    if not is_foreseen:
        monkeypatch.setattr("usidx.learn.svd.are_images_kept", lambda rows, n: True)
    read, passes = taken(Counted(cells("f4")), ["components", "scores"])
    assert passes == few + 1
    xr.testing.assert_allclose(read, kept, rtol=1e-3, atol=1e-2)
    _, without = taken(Counted(cells("f4")), ["components"])
    assert without == few


def test_rows_with_holes_take_a_pass_and_have_no_scores() -> None:
    values = cells("f4")
    values[7, 3] = np.nan
    found, passes = taken(Counted(values), ["components", "scores"])
    _, few = taken(Counted(cells("f4")), ["components", "scores"])
    assert passes == few + 1
    assert np.isnan(found.scores[7]).all()
    whole = np.delete(np.arange(ROWS), 7)
    wanted = expected(values[whole], found.components.values, centred=False)
    np.testing.assert_allclose(found.scores[whole], wanted, atol=3e-6 * np.abs(wanted).max())


def test_rows_of_several_dims_keep_their_order() -> None:
    values = cells("f4").reshape(40, 40, COLUMNS)
    lazy = xr.DataArray(da.from_array(values, chunks=(9, 13, -1)), dims=("y", "x", "energy"))
    found = pca(lazy, N, dim="energy", solver="krylov").compute()
    wanted = expected(values.reshape(-1, COLUMNS), found.components.values, centred=True)
    np.testing.assert_allclose(found.scores.values.reshape(-1, N), wanted, atol=3e-6 * np.abs(wanted).max())
