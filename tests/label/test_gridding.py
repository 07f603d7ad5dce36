"""Flat places land on their rectangle, holes are told, nothing is guessed and no memory is wasted."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr

import usidx
from tests.kit.broken import broken_file
from usidx.errors import GridError, RoleError
from usidx.label.roles import ROLE
from usidx.testing.files import build_main, build_sparse
from usidx.testing.measurements import aborted_file, distinct, image_file, raster, snake_file, sparse_file

Array = npt.NDArray[Any]


def places(x: npt.ArrayLike, y: npt.ArrayLike, *, dtype: str = "f8", lazy: bool = False) -> xr.DataArray:
    """Return an array of 1, 2, 3... at places in a plane."""
    where = [np.asarray(x, dtype=float), np.asarray(y, dtype=float)]
    coords = {n: xr.Variable("position", v, {ROLE: "position"}) for n, v in zip("XY", where, strict=True)}
    array = xr.DataArray(np.arange(1, where[0].size + 1).astype(dtype), dims="position", coords=coords, name="scan")
    return array.chunk(2) if lazy else array


@pytest.mark.parametrize("chunks", [{}, None, {"position": 4}])
def test_an_aborted_raster(tmp_path: Path, chunks: Any) -> None:
    built = aborted_file(tmp_path / "scan.h5")
    grid = usidx.to_grid(usidx.open_main(built.path, chunks=chunks))
    assert (grid.dims, grid.shape) == (("Y", "X", "Bias"), (5, 7, 6))
    np.testing.assert_array_equal(grid.values.reshape(35, 6)[:31], built.array)
    assert np.isnan(grid.values.reshape(35, 6)[31:]).all()
    np.testing.assert_array_equal(grid.measured.values.ravel(), np.arange(35) < 31)
    np.testing.assert_allclose(grid.X, raster(5, 7)[1][2])
    assert grid.attrs["units"] == built.unit
    assert (grid.X.attrs[ROLE], grid.Bias.attrs[ROLE], grid.X.attrs["units"]) == ("position", "spectroscopic", "m")
    assert (grid.chunks is None) == (chunks is None)


def test_sparse_places_and_the_gaps_between_them(tmp_path: Path) -> None:
    built = sparse_file(tmp_path / "scan.h5")
    flat = usidx.open_main(built.path)
    grid = usidx.to_grid(flat, fill_value=-1)
    x, y = built.coords["X"][1], built.coords["Y"][1]
    wanted = np.full((grid.sizes["Y"], grid.sizes["X"], 3), -1.0)
    for spectrum, i, j in zip(built.array, x, y, strict=True):
        wanted[round((j - y.min()) / 1.25), round((i - x.min()) / 50)] = spectrum
    np.testing.assert_array_equal(grid.transpose("Y", "X", "Frequency"), wanted)
    np.testing.assert_allclose(np.diff(grid.X), 50)
    np.testing.assert_allclose(np.diff(grid.Y), 1.25)
    assert int(grid.measured.sum()) == 8


def test_a_round_trip_through_the_grid(tmp_path: Path) -> None:
    flat = usidx.open_main(sparse_file(tmp_path / "scan.h5").path)
    back = usidx.to_grid(flat).stack(place=("Y", "X"))
    back = back.isel(place=back.measured.values)
    for spectrum in flat.transpose("position", ...):
        found = back.sel(place=(float(spectrum.Y), float(spectrum.X)))
        np.testing.assert_array_equal(found, spectrum)


def test_cells_that_others_would_misplace(tmp_path: Path) -> None:
    """Jittered values: the counters of the file decide, not the values."""
    random = np.random.default_rng(0)
    counters = np.array([(y, x) for y in range(4) for x in range(5)])
    jitter = counters + random.normal(scale=0.2, size=counters.shape)
    dims = [("Y", "m", jitter[:, 0].reshape(4, 5)), ("X", "m", jitter[:, 1].reshape(4, 5))]
    built = build_main(tmp_path / "scan.h5", distinct((4, 5, 1)), dims, row_order=np.r_[0:7, 8:20])
    grid = usidx.to_grid(usidx.open_main(built.path))
    assert grid.shape == (4, 5)
    np.testing.assert_array_equal(np.delete(grid.values.ravel(), 7), built.array.ravel())
    assert np.flatnonzero(~grid.measured.values.ravel()).tolist() == [7]


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(
    ("dtype", "fill", "found"),
    [
        ("f4", None, "f4"), ("f4", 3.3, "f4"), ("f4", np.float64(0.1), "f4"), ("f8", 0, "f8"), ("c8", None, "c8"),
        ("f4", 1j, "c8"), ("u1", 0, "u1"), ("u1", 255, "u1"), ("u1", -1, "i2"), ("u1", 300, "u2"), ("i4", -1, "i4"),
        ("u1", np.nan, "f4"), ("i4", np.nan, "f8"), ("u1", 2.5, "f4"), ("?", False, "?"), ("?", np.nan, "f4"),
    ],
)  # fmt: skip
def test_holes_hold_the_fill_value(dtype: str, fill: Any, found: str, lazy: bool) -> None:
    grid = usidx.to_grid(places([0, 1, 0], [0, 0, 1], dtype=dtype, lazy=lazy), fill)
    assert grid.dtype == found
    wanted = np.asarray(np.nan if fill is None else fill).astype(found)
    np.testing.assert_array_equal(grid.sel(X=1, Y=1), wanted)
    np.testing.assert_array_equal(grid.sel(X=1, Y=0), np.asarray(2).astype(dtype))


def test_no_holes_need_no_fill_value() -> None:
    grid = usidx.to_grid(places([0, 1, 0, 1], [0, 0, 1, 1], dtype="u1"))
    np.testing.assert_array_equal(grid, [[1, 2], [3, 4]])
    assert grid.measured.all()
    assert grid.dtype == np.uint8


def test_integers_with_holes_need_a_fill_value() -> None:
    with pytest.raises(GridError, match=r"The grid has holes and uint8 has no NaN. Give a fill_value"):
        usidx.to_grid(places([0, 1, 0], [0, 0, 1], dtype="u1"))


def test_other_dims_may_come_first() -> None:
    flat = xr.concat([places([0, 1, 0], [0, 0, 1])] * 2, dim="time").transpose("time", "position")
    assert usidx.to_grid(flat).sizes == {"Y": 2, "X": 2, "time": 2}


def test_two_rows_in_one_cell(tmp_path: Path) -> None:
    flat = usidx.open_main(broken_file(tmp_path / "scan.h5", "duplicate cells").path)
    with pytest.raises(
        GridError, match=r"1 cells of the grid were measured more than once, the first at Y=0.0, X=1.99"
    ):
        usidx.to_grid(flat)


def test_a_spiral_is_no_grid(tmp_path: Path) -> None:
    turn = np.sqrt(np.linspace(1, 100, 300))
    spiral = places(turn * np.cos(turn), turn * np.sin(turn))
    with pytest.raises(GridError, match="The 300 places of 'scan' lie on no grid: their values would span 300 "):
        usidx.to_grid(spiral)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_places_must_be_finite(bad: float) -> None:
    with pytest.raises(GridError, match="Coordinate 'X' of 'scan' is not finite at 1 of 3 places"):
        usidx.to_grid(places([0, bad, 1], [0, 0, 1]))


@pytest.mark.parametrize("tiny", [1e-9, 1e-12, 5e-324])
def test_hostile_steps_take_no_memory(tiny: float) -> None:
    """The smallest step would make an axis of 1e9 or more entries; the axis stays as uneven as it is."""
    grid = usidx.to_grid(places([0, tiny, 1], [0, 1, 2]))
    np.testing.assert_array_equal(grid.X, [0, tiny, 1])


def test_hostile_counters_take_no_memory(tmp_path: Path) -> None:
    flat = usidx.open_main(broken_file(tmp_path / "scan.h5", "index huge").path)
    with pytest.raises(GridError, match="lie on no grid: their values would span 4294967296 X cells"):
        usidx.to_grid(flat)


def test_a_label_may_end_in_index(tmp_path: Path) -> None:
    where = [("Refractive_index", "", [1.0, 1.0, 2.0]), ("Y", "m", [0.0, 1.0, 0.0])]
    built = build_sparse(tmp_path / "scan.h5", distinct((3, 1)), where)
    grid = usidx.to_grid(usidx.open_main(built.path))
    assert grid.sizes == {"Refractive_index": 2, "Y": 2}


def test_flat_steps_are_placed_too(tmp_path: Path) -> None:
    swept = [("Cycle", "", [0, 1]), ("Bias", "V", [-1, 0, 1])]
    built = build_main(tmp_path / "scan.h5", distinct((3, 2, 3)), [("X", "m", range(3))], swept, step_order=range(5))
    grid = usidx.to_grid(usidx.open_main(built.path))
    assert grid.sizes == {"Cycle": 2, "Bias": 3, "X": 3}
    np.testing.assert_array_equal(grid.transpose("X", ...).values.reshape(3, 6)[:, :5], built.array)


@pytest.mark.parametrize("build", [image_file, snake_file])
def test_what_is_on_a_grid_already(tmp_path: Path, build: Any) -> None:
    with pytest.raises(RoleError, match=r"Array 'Raw_Data' .* has no flat dim 'position'"):
        usidx.to_grid(usidx.open_main(build(tmp_path / "scan.h5").path))


def test_nothing_is_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from usidx.io.read.chunks.stored_array import StoredArray

    flat = usidx.open_main(aborted_file(tmp_path / "scan.h5").path)
    monkeypatch.setattr(StoredArray, "read", lambda *_: pytest.fail("read"))
    assert usidx.to_grid(flat).shape == (5, 7, 6)
