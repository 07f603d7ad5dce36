"""What is cut out of an array before anything is read."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from usidx.errors import RoleError
from usidx.look.draw.downsample import (
    choose_spectral_dim,
    compute_envelope,
    describe_cell,
    find_scattered,
    make_ruler,
    pick,
    pick_cells,
    thin,
)


@given(st.dictionaries(st.sampled_from("abcd"), st.integers(1, 40), max_size=3), st.integers(1, 12))
def test_cells_lie_inside_and_differ(sizes: dict[str, int], count: int) -> None:
    picked = pick_cells(sizes, count)
    assert 1 <= len(picked) <= max(count, 1)
    assert all(0 <= cell[d] < sizes[d] for cell in picked for d in sizes)
    total = int(np.prod(list(sizes.values())))
    assert len({tuple(c.values()) for c in picked}) == min(total, count) == len(picked)


def test_cells_of_a_small_scan_differ() -> None:
    picked = pick_cells({"Y": 3, "X": 5, "Cycle": 2}, 16)
    assert len({tuple(cell.values()) for cell in picked}) == 16


def test_cells_spread_over_both_dims() -> None:
    picked = pick_cells({"Y": 48, "X": 48}, 8)
    for dim in ("Y", "X"):
        found = sorted(c[dim] for c in picked)
        assert len(set(found)) >= 7
        assert found[0] < 12
        assert found[-1] > 36


def test_cells_of_one_dim_reach_both_ends() -> None:
    assert [c["cluster"] for c in pick_cells({"cluster": 101}, 3)] == [0, 50, 100]


@pytest.mark.parametrize("lazy", [False, True])
def test_pick_takes_those_cells(lazy: bool) -> None:
    values = np.arange(60.0).reshape(3, 4, 5)
    array = xr.DataArray(da.from_array(values, chunks=2) if lazy else values, dims=("Y", "X", "E"))
    picked = pick(array, [{"Y": 2, "X": 1}, {"Y": 0, "X": 3}])
    assert picked.dims == ("cell", "E")
    assert (picked.chunks is not None) == lazy
    np.testing.assert_array_equal(picked, np.stack([values[2, 1], values[0, 3]]))


def test_thin_says_what_it_leaves_out_and_keeps_true_indices() -> None:
    array = xr.DataArray(np.zeros((3000, 100)), dims=("Y", "X"))
    cut, said = thin(array, ("Y", "X"), 1200)
    assert cut.shape == (1000, 100)
    assert said == "shown: 1 in 3 along Y"
    np.testing.assert_array_equal(make_ruler(cut, "Y").values[:3], [0, 3, 6])


def test_ruler_falls_back_to_the_index() -> None:
    array = xr.DataArray(
        np.zeros((2, 3)),
        dims=("Y", "X"),
        coords={"Y": [1.0, np.nan], "X": ["a", "b", "c"]},
    )
    for dim in ("Y", "X"):
        assert make_ruler(array, dim).quantity == f"{dim} index"
    bias = xr.DataArray(np.zeros((2, 3)), dims=("Y", "V"), coords={"V": (("Y", "V"), np.ones((2, 3)))})
    assert make_ruler(bias, "V").quantity == "V index"


@pytest.mark.parametrize(
    ("values", "uniform"), [([0, 1, 2], True), ([2, 1, 0], True), ([0, 1, 3], False), ([0, 1, 0], False), ([5], True)]
)
def test_uniform(values: list[float], uniform: bool) -> None:
    array = xr.DataArray(np.zeros(len(values)), dims="x", coords={"x": ("x", np.array(values, float))})
    assert make_ruler(array, "x").is_uniform is uniform


def test_scattered_finds_where_points_lie() -> None:
    places = {"X": ("position", [1.0, 2.0]), "Y": ("position", [3.0, 4.0])}
    points = xr.DataArray([1, 2], dims="position", coords=places)
    assert find_scattered(points, "position") == ("Y", "X")
    assert find_scattered(points.drop_vars("Y"), "position") is None
    assert describe_cell(points, {"position": 1}) == "Y 4, X 2"


def test_spectral_dim() -> None:
    array = xr.DataArray(np.zeros((2, 3)), dims=("a", "b"))
    assert choose_spectral_dim(array) == "b"
    assert choose_spectral_dim(array, "a") == "a"
    with pytest.raises(RoleError, match="No dim 'c' here"):
        choose_spectral_dim(array, "c")
    with pytest.raises(RoleError, match="is a single value"):
        choose_spectral_dim(xr.DataArray(1.0))


def test_envelope_keeps_every_peak() -> None:
    y = np.zeros(100_000)
    y[54_321], y[77_777] = 5, -3
    y[10:20] = np.nan
    x, kept = compute_envelope(np.arange(y.size, dtype=float), y, 500)
    assert kept.size <= 1000
    assert x.size == kept.size
    assert float(np.nanmax(kept)) == 5
    assert float(np.nanmin(kept)) == -3
