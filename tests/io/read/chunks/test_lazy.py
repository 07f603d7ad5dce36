"""Indexing before and after loading agree, for every kind of index that xarray has."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.testing.files import Expected, build_main

INDEXERS: list[dict[str, Any]] = [
    {"Y": 0},
    {"Y": -1, "X": -2},
    {"X": slice(1, -1), "F": slice(None, None, 3)},
    {"X": slice(None, None, -1)},
    {"Y": slice(3, 0, -2), "F": slice(-2, None, -3)},
    {"X": [0]},
    {"X": [4, 0, 0, -1], "Y": [2, -3]},
    {"X": [], "Y": 1},
    {"X": slice(2, 2)},
    {"X": [True, False, True, False, True]},
    {"Y": np.array([False] * 4)},
    {"Y": xr.DataArray([0, 2, -1], dims="place"), "X": xr.DataArray([1, 0, 4], dims="place")},
    {"Y": xr.DataArray([[0, 1], [3, 2]], dims=("a", "b")), "F": 2},
    {"Y": xr.DataArray([3, 0], dims="place"), "F": xr.DataArray([5, 6], dims="place"), "X": slice(None, None, -2)},
    {"Y": np.int64(2), "X": np.uint8(3), "Cycle": np.array(1)},
    {"X": xr.DataArray([1, 1, 2], dims="X"), "Cycle": [1]},
]


def scan(path: Path, **options: Any) -> Expected:
    dims = [("Y", "m", range(4)), ("X", "m", range(5))], [("Cycle", "", range(3)), ("F", "Hz", range(7))]
    cells = np.random.default_rng(0).permutation(420).astype("f4").reshape(4, 5, 3, 7)
    return build_main(path, cells, *dims, **options)


@pytest.mark.parametrize("chunks", [{}, None, {"Y": 3, "F": 2}], ids=str)
@pytest.mark.parametrize("order", ["raster", "random"])
def test_isel_before_and_after_loading(tmp_path: Path, chunks: Any, order: str) -> None:
    built = scan(tmp_path / "scan.h5", row_order=order, step_order=order, storage={"chunks": (3, 4)})
    loaded = usidx.open_main(built.path, chunks=None).transpose("Y", "X", "Cycle", "F").compute()
    np.testing.assert_array_equal(loaded, built.array)
    for indexers in INDEXERS:
        lazy = usidx.open_main(built.path, chunks=chunks).transpose("Y", "X", "Cycle", "F").isel(indexers)
        xr.testing.assert_identical(lazy.compute(), loaded.isel(indexers))


@pytest.mark.parametrize("chunks", [{}, None], ids=str)
def test_indexing_twice(tmp_path: Path, chunks: Any) -> None:
    built = scan(tmp_path / "scan.h5")
    lazy = usidx.open_main(built.path, chunks=chunks)
    found = (
        lazy[::-1, [3, 1, 1]].isel(X=[2, 0], F=slice(5, None, -2)).isel(Y=-1, F=[0, -1]).transpose("F", "Cycle", "X")
    )
    wanted = built.array[::-1][:, [3, 1, 1]][:, [2, 0]][..., 5::-2][-1][..., [0, -1]].transpose(2, 1, 0)
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("chunks", [{}, None], ids=str)
def test_selection_by_value(tmp_path: Path, chunks: Any) -> None:
    built = scan(tmp_path / "scan.h5")
    lazy = usidx.open_main(built.path, chunks=chunks)
    np.testing.assert_array_equal(lazy.sel(X=2.2, method="nearest").sel(F=slice(2, 4)), built.array[:, 2, :, 2:5])


@pytest.mark.parametrize("index", [4, -5])
def test_out_of_bounds(tmp_path: Path, index: int) -> None:
    lazy = usidx.open_main(scan(tmp_path / "scan.h5").path, chunks=None)
    with pytest.raises(IndexError):
        lazy.isel(Y=index).compute()
    with pytest.raises(IndexError):
        lazy.isel(Y=[0, index]).compute()


@pytest.mark.parametrize("chunks", [{}, None], ids=str)
@pytest.mark.parametrize(
    "indexers", [{"size_4": -1}, {"size_6": [5, -6, 0]}, {"size_4": slice(None, None, -3)}], ids=str
)
def test_extras_index_alike(tmp_path: Path, chunks: Any, indexers: dict[str, Any]) -> None:
    import h5py

    built = scan(tmp_path / "scan.h5")
    cells = np.arange(24).reshape(4, 6)
    with h5py.File(built.path, "r+") as file:
        file.create_dataset("extra", data=cells, chunks=(3, 4))
    lazy = usidx.open_tree(built.path, chunks=chunks)["/extra"]
    memory = xr.DataArray(cells, dims=("size_4", "size_6"))
    np.testing.assert_array_equal(lazy.isel(indexers), memory.isel(indexers))


def test_what_is_changed_in_memory_stays_there(tmp_path: Path) -> None:
    built = scan(tmp_path / "scan.h5")
    array = usidx.open_main(built.path, chunks=None)
    array[0, 0] = -1
    assert float(array[0, 0, 0, 0]) == -1
    np.testing.assert_array_equal(usidx.open_main(built.path), built.array)
