"""Scattered places beside SciPy's griddata."""

from typing import Any

import numpy as np
import pytest
import scipy.interpolate
import xarray as xr

import usidx
from usidx.errors import GridError, RoleError, UsidError


def make_places(count: int = 60, dtype: str = "f8") -> xr.DataArray:
    rng = np.random.default_rng(0)
    y, x = rng.uniform(0, 3, count), rng.uniform(-5, 5, count)
    values = np.stack([x + 2 * y, x * y], axis=1).astype(dtype)
    coords = {"Y": ("position", y, {"units": "nm"}), "X": ("position", x, {"units": "nm"})}
    data = xr.DataArray(values, coords, ("position", "Energy"), "Height", {"units": "V"})
    return usidx.set_roles(data, position=["position", "Y", "X"], spectroscopic="Energy")


@pytest.mark.parametrize("method", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("dtype", ["f8", "f4", "c16"])
def test_values_are_those_of_griddata(method: Any, dtype: str) -> None:
    data = make_places(dtype=dtype)
    found = usidx.image.regrid(data, (9, 11), method)
    assert found.dims == ("Y", "X", "Energy")
    assert found.dtype == dtype
    assert (found.units, found.Y.units) == ("V", "nm")
    assert usidx.position_dims(found) == ("Y", "X")
    points = (data.Y.values, data.X.values)
    wanted = tuple(np.meshgrid(found.Y, found.X, indexing="ij"))
    for number in range(2):
        values = data.values[:, number]
        expected = scipy.interpolate.griddata(points, values, wanted, method=method, rescale=True)
        np.testing.assert_allclose(found.isel(Energy=number), expected, rtol=1e-4, atol=1e-5)
    lazy = usidx.image.regrid(data.chunk({"position": 13, "Energy": 1}), (9, 11), method)
    assert lazy.chunks is not None
    np.testing.assert_allclose(lazy.compute(), found, rtol=1e-5, atol=1e-6)


def test_a_plane_stays_a_plane_in_whatever_order_places_come() -> None:
    data = make_places().isel(Energy=0)
    found = usidx.image.regrid(data, 20, "linear", dims=("X", "Y"))
    assert found.dims == ("X", "Y")
    np.testing.assert_allclose(found.fillna(0), (found.X + 2 * found.Y).where(found.notnull(), 0), atol=1e-9)
    turned = usidx.image.regrid(data.isel(position=slice(None, None, -1)), 20, "linear", dims=("X", "Y"))
    np.testing.assert_allclose(turned, found, atol=1e-9)


def test_what_is_no_area_is_refused() -> None:
    data = make_places()
    with pytest.raises(UsidError, match="method='spline'"):
        usidx.image.regrid(data, 5, "spline")  # type: ignore[arg-type]
    with pytest.raises(UsidError, match="shape="):
        usidx.image.regrid(data, (5, 2.5))  # type: ignore[arg-type]
    with pytest.raises(RoleError, match="name two that are there"):
        usidx.image.regrid(data, 5, dims=("Y", "Z"))
    with pytest.raises(RoleError, match="no flat dim"):
        usidx.image.regrid(data.rename(position="place"), 5)
    for line in (data.assign_coords(Y=2 * data.X), data.assign_coords(Y=0 * data.X), data.isel(position=[0, 1])):
        with pytest.raises(GridError, match="lie on a line"):
            usidx.image.regrid(line, 5, "linear", dims=("Y", "X"))
    with pytest.raises(GridError, match="not finite"):
        usidx.image.regrid(data.assign_coords(Y=data.Y.where(data.Y > 1)), 5, dims=("Y", "X"))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_missing_place_makes_missing_what_lies_around_it_alone(bad: float) -> None:
    rng = np.random.default_rng(3)
    y, x = rng.uniform(0, 4, (2, 300))
    coords = {"Y": ("position", y), "X": ("position", x)}
    data = xr.DataArray(np.stack([y + 2 * x, y - x], axis=1), coords, ("position", "Bias"))
    data[7, 0] = bad
    for method in ("nearest", "linear", "cubic"):
        found = usidx.image.regrid(data, (41, 41), method, dims=("Y", "X"))
        here = found.isel(Bias=0)
        missing = np.isnan(here) & ~np.isnan(found.isel(Bias=1))
        assert 0 < missing.sum() < 60
        assert np.hypot(here.Y - y[7], here.X - x[7]).where(missing).max() < 1.0
        if method != "nearest":
            np.testing.assert_allclose(
                here.where(np.isfinite(here), 0), (here.Y + 2 * here.X).where(np.isfinite(here), 0), atol=1e-3
            )
