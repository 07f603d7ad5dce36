"""Fits and data belong together by their labels: expected values are those of xarray's own arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.errors import ResultError, RoleError, UnitsError, UsidError
from usidx.models import Constant, Linear

E = np.linspace(0.0, 20.0, 30)


def slopes(kind: str = "numpy", **coords: Any) -> xr.DataArray:
    rng = np.random.default_rng(0)
    values = np.arange(12.0).reshape(3, 4, 1) * E + 0.01 * rng.normal(size=(3, 4, 30))
    labels = {"E": E, "y": [0.0, 1, 2], "x": ["a", "b", "c", "d"]} | coords
    data = xr.DataArray(values, dims=("y", "x", "E"), coords=labels, attrs={"units": "V"})
    return data if kind == "numpy" else data.chunk({"y": 1})


def left_over(data: xr.DataArray) -> xr.DataArray:
    """Subtract the lines of NumPy."""
    values = data.values.reshape(12, 30)
    lines = np.array([np.polyval(np.polyfit(E, one, 1), E) for one in values])
    return data.copy(data=(values - lines).reshape(data.shape)).compute()


ORDERS: dict[str, Callable[[Any], Any]] = {
    "same": lambda d: d,
    "rows": lambda d: d.isel(y=slice(None, None, -1)),
    "columns": lambda d: d.isel(x=[2, 0, 3, 1]),
    "energies": lambda d: d.sortby("E", ascending=False),
    "part": lambda d: d.isel(y=[2], x=[1, 3], E=slice(5, 20)),
    "turned": lambda d: d.transpose("E", "x", "y"),
}


@pytest.mark.parametrize("kind", ["numpy", "dask"])
@pytest.mark.parametrize("order", ORDERS)
def test_residuals_pair_cells_by_label(kind: str, order: str) -> None:
    data = slopes(kind)
    fit, expected = usidx.fit(data, Linear(), "E"), left_over(data)
    given = ORDERS[order](data)
    found = usidx.residual(fit, given)
    assert (found.chunks is None) is (kind == "numpy")
    assert found.dims == given.dims
    xr.testing.assert_allclose(found.drop_attrs(), expected.reindex_like(given).transpose(*given.dims).drop_attrs())
    if order in ("rows", "columns"):
        turned = usidx.residual(ORDERS[order](fit), data)
        xr.testing.assert_allclose(turned.drop_attrs(), expected.drop_attrs())


def test_labels_in_single_precision_are_the_same() -> None:
    data = slopes()
    fit = usidx.fit(data, Linear(), "E").assign_coords(E=E.astype(np.float32))
    found = usidx.residual(fit, data)
    np.testing.assert_allclose(found, left_over(data), atol=1e-4)
    np.testing.assert_array_equal(found.E, E)


def test_what_has_no_partner_is_refused() -> None:
    data = slopes()
    fit = usidx.fit(data, Linear(), "E")
    with pytest.raises(ResultError, match=r"The fit has no cell at y=5\.0, which the data has"):
        usidx.residual(fit, data.assign_coords(y=[0.0, 5.0, 2.0]))
    with pytest.raises(ResultError, match=r"The fit has no cell at E=1\.0"):
        usidx.residual(fit, data.assign_coords(E=E + 1))
    with pytest.raises(ResultError, match=r"has labels that stand twice"):
        usidx.residual(fit.assign_coords(y=[0.0, 0.0, 1.0]), data.assign_coords(y=[0.0, 1.0, 0.0]))
    with pytest.raises(UnitsError, match="What was fitted is in 'V', the data in 'mV'"):
        usidx.residual(fit, data.assign_attrs(units="mV"))
    place = np.arange(3.0)
    flat = slopes(y=("y", place)).drop_indexes("y")
    listed = usidx.fit(flat, Linear(), "E")
    with pytest.raises(ResultError, match="The coordinate 'y' of the fit differs from that of the data"):
        usidx.residual(listed, flat.isel(y=[2, 1, 0]))


@pytest.mark.parametrize("kind", ["numpy", "dask"])
def test_comparisons_pair_spectra_by_label(kind: str) -> None:
    data = slopes(kind)
    line, flat = usidx.fit(data, Linear(), "E"), usidx.fit(data, Constant(), "E")
    expected = usidx.compare(line, flat).compute()
    chi2 = ((data - data.mean("E")) ** 2).sum("E").compute()
    np.testing.assert_allclose(expected.bic[..., 1], 30 * np.log(chi2 / 30) + np.log(30))
    turned = usidx.fit(data.isel(y=[2, 0, 1], x=slice(None, None, -1)), Constant(), "E")
    xr.testing.assert_allclose(usidx.compare(line, turned).compute(), expected)
    with pytest.raises(ResultError, match=r"The fit 'Constant' has no cell at y=0\.0"):
        usidx.compare(line, flat.assign_coords(y=[7.0, 8, 9]))


@pytest.mark.parametrize("kind", ["numpy", "dask"])
@pytest.mark.parametrize("change", [lambda d: 2 * d + 100, lambda d: d + 1, lambda d: d.where(d.y > 0, -d)])
def test_fits_of_other_data_are_not_compared(kind: str, change: Callable[[xr.DataArray], xr.DataArray]) -> None:
    data = slopes(kind)
    line = usidx.fit(data, Linear(), "E").compute()
    other = usidx.fit(change(data), Constant(), "E")
    with pytest.raises(ResultError, match="The fits are of different data"):
        usidx.compare(line, other)


def test_the_same_data_in_other_blocks_compares_once_computed() -> None:
    data = slopes()
    line = usidx.fit(data.chunk({"y": 1}), Linear(), "E").compute()
    flat = usidx.fit(data.chunk({"y": 2}) * 1.0, Constant(), "E").compute()
    assert (usidx.compare(line, flat).best.isel(y=slice(1, None)) == 0).all()


@pytest.mark.parametrize("kind", ["numpy", "dask"])
@pytest.mark.parametrize("value", [0.0, -1.0])
def test_a_sigma_of_zero_or_less_is_refused(kind: str, value: float) -> None:
    data = slopes(kind)
    sigma = xr.DataArray(np.where(E < 5, value, 1.0), dims="E", coords={"E": E})
    with pytest.raises(UsidError, match=rf"standard deviation of zero or less, the first of them {value}"):
        usidx.fit(data, Linear(), "E", sigma=sigma).compute()
    with pytest.raises(UsidError, match="standard deviation of zero or less"):
        usidx.fit(data, Linear(), "E", sigma=value).compute()
    with pytest.raises(UsidError, match="loss='poisson'"):
        usidx.fit(data, Linear(), "E", sigma=abs(data.where(data.E > 1, 0.0)) ** 0.5).compute()


def test_where_there_is_no_sample_sigma_does_not_matter() -> None:
    data = slopes()
    sigma = xr.DataArray(np.where(E < 5, 0.0, 1.0), dims="E", coords={"E": E})
    part = usidx.fit(data.isel(E=E >= 5), Linear(), "E")
    for found in (
        usidx.fit(data, Linear(), "E", sigma=sigma.where(sigma > 0)),
        usidx.fit(data, Linear(), "E", sigma=sigma.where(sigma > 0, np.inf)),
        usidx.fit(data, Linear(), "E", sigma=sigma, mask=sigma == 0),
        usidx.fit(data.where(sigma > 0), Linear(), "E", sigma=sigma),
    ):
        np.testing.assert_allclose(found.slope, part.slope)
        assert (found.samples == (E >= 5).sum()).all()


@pytest.mark.parametrize("kind", ["numpy", "dask"])
def test_a_mask_leaves_samples_out(kind: str) -> None:
    data = slopes(kind)
    spoiled = data.where(E[7] != data.E, 1e6)
    hidden = xr.DataArray(E[7] == E, dims="E", coords={"E": E})
    dead = xr.DataArray([False, True, False], dims="y", coords={"y": data.y})
    found = usidx.fit(spoiled, Linear(), "E", mask=hidden | dead)
    assert (found.slope.chunks is None) is (kind == "numpy")
    for y, x in np.ndindex(3, 4):
        expected = np.polyfit(np.delete(E, 7), np.delete(data[y, x].values, 7), 1)[0]
        assert float(found.slope[y, x]) == pytest.approx(np.nan if y == 1 else expected, nan_ok=True)
    assert not found.converged[1].any()
    with pytest.raises(RoleError, match="The mask has other cells along 'E'"):
        usidx.fit(data, Linear(), "E", mask=hidden[::-1])
    with pytest.raises(RoleError, match="A mask is a DataArray of bool"):
        usidx.fit(data, Linear(), "E", mask=hidden.astype(int))
