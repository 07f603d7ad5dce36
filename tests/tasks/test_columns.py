"""Columns of a table: each by itself, and all of them from one task per block."""

from functools import partial
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from dask.callbacks import Callback

import usidx
from usidx.tasks.columns import find_tables, make_column
from usidx.tasks.graph import settle

VALUES = np.arange(7 * 3 * 4.0).reshape(7, 3, 4)


def take(block: Any, column: int) -> Any:
    return block[..., column].copy()


def pair(block: Any) -> Any:
    return np.stack([block[..., 0], block[..., 1]], axis=-1)[..., np.newaxis]


def make_columns(table: Any) -> list[Any]:
    singles = [make_column(table, partial(take, column=k), float) for k in range(3)]
    return [*singles, make_column(table, pair, float, (2, 1))]


EXPECTED = [VALUES[..., 0], VALUES[..., 1], VALUES[..., 2], VALUES[..., :2, np.newaxis]]


class Counter(Callback):  # type: ignore[misc,unused-ignore]
    """Counts the tasks that dask runs."""

    def __init__(self) -> None:
        super().__init__(pretask=self.count)  # type: ignore[no-untyped-call,unused-ignore]
        self.tasks = 0

    def count(self, *_args: Any) -> None:
        self.tasks += 1


def test_columns_alone_and_parts_of_them() -> None:
    for table in (VALUES, da.from_array(VALUES, chunks=(2, 2, 4))):
        for column, wanted in zip(make_columns(table), EXPECTED, strict=True):
            assert (column.shape, column.dtype) == (wanted.shape, wanted.dtype)
            np.testing.assert_array_equal(column, wanted)
            np.testing.assert_array_equal(column[1:5, 2], wanted[1:5, 2])


def test_columns_that_are_computed_together_come_from_one_task_per_block() -> None:
    table = da.from_array(VALUES, chunks=(1, 3, 4)).map_blocks(np.array)
    lazy = make_columns(table)
    with dask.config.set(scheduler="sync"), Counter() as counter:
        found = usidx.compute(*lazy, progress=False)
    for column, wanted in zip(found, EXPECTED, strict=True):
        np.testing.assert_array_equal(column, wanted)
    assert counter.tasks <= 2 * 7 + 2  # one that makes, one that stores


def test_columns_of_several_tables_are_told_apart() -> None:
    first, second = (da.from_array(factor * VALUES, chunks=(3, 3, 4)) for factor in (1, 2))
    tables = find_tables([*make_columns(first), first, *make_columns(second)])
    assert [sorted(table.columns) for table in tables] == [[0, 1, 2, 3], [4], [5, 6, 7, 8]]
    found = tables[2].make_arrays(2 * VALUES)
    for number, wanted in enumerate(EXPECTED, 5):
        np.testing.assert_array_equal(found[number], 2 * wanted)


def test_parts_of_what_is_settled_hold_only_their_tasks() -> None:
    table = da.from_array(VALUES, chunks=(1, 2, 4)).map_blocks(np.negative)
    (whole,) = settle([table])
    for axis, part in ((0, slice(2, 4)), (1, slice(0, 2)), (0, slice(6, 7)), (1, slice(1, 3))):
        found = whole.cut(axis, part)
        np.testing.assert_array_equal(found, -VALUES[(slice(None),) * axis + (part,)])
    assert len(dict(whole.cut(0, slice(2, 4)).dask)) <= 3 * 2 * 2


@pytest.fixture
def scan(tmp_path: Path) -> xr.DataArray:
    rng = np.random.default_rng(0)
    dims, bias = ("Y", "X", "Bias"), np.linspace(0, 1, 12)
    data = xr.DataArray(rng.normal(size=(12, 3, 12)), {"Bias": bias}, dims, "Raw")
    usidx.write(usidx.set_roles(data, position=["Y", "X"], spectroscopic="Bias"), tmp_path / "scan.h5")
    return usidx.open_main(tmp_path / "scan.h5", chunks={"Y": 1})


@pytest.mark.parametrize("writes", [False, True])
def test_a_fit_takes_few_tasks_per_block(scan: xr.DataArray, writes: bool, tmp_path: Path) -> None:
    fit = scan.usid.fit(usidx.models.Constant(), dim="Bias", covariance=True)
    assert len(fit.data_vars) > 8
    with dask.config.set(scheduler="sync"), Counter() as counter:
        if writes:
            found = usidx.open_result(tmp_path / "scan.h5", fit.usid.write(progress=False))
        else:
            found = usidx.compute(fit, progress=False)
    assert counter.tasks <= 4 * 12  # the source is digested, too
    np.testing.assert_allclose(found.offset, scan.compute().mean("Bias"), rtol=1e-9)
    for name, variable in fit.data_vars.items():
        np.testing.assert_allclose(found[name], variable, rtol=1e-6)
