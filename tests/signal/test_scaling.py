"""Scales, other samples and other coordinates beside closed forms and SciPy."""

from typing import Any

import numpy as np
import pytest
import scipy.interpolate
import xarray as xr

import usidx
from tests.signal.test_smoothing import noise
from usidx.errors import SelectionError, UnitsError, UsidError


@pytest.mark.parametrize("dtype", ["f8", "f4", "i2", "c16"])
@pytest.mark.parametrize("step", [0.5, -0.5])
def test_normalize(step: float, dtype: str) -> None:
    data = noise(30, dtype, step)
    values = data.values.astype("f8") if dtype == "i2" else data.values
    size = np.abs(values) if dtype == "c16" else values
    place = data.z.values
    inside = (place >= min(place[4], place[9])) & (place <= max(place[4], place[9]))
    measures: dict[Any, Any] = {
        "max": size.max(1), "std": values.std(1), "area": np.sign(step) * np.trapezoid(size, place, axis=1),
        (place[4], place[9]): size[:, inside].mean(1), (place[9], place[4]): size[:, inside].mean(1),
    }  # fmt: skip
    for by, measure in measures.items():
        for given in (data, data.chunk({"z": 11, "Y": 2})):
            found = usidx.signal.normalize(given, by, "z")
            np.testing.assert_allclose(found, values / measure[:, None], rtol=1e-4 if dtype == "f4" else 1e-9)
        assert found.units == ("1/nm" if by == "area" else "")
        assert found.dtype == values.dtype
    flat = usidx.signal.normalize(data, "snv", "z")
    np.testing.assert_allclose(flat, (values - values.mean(1, keepdims=True)) / values.std(1, keepdims=True), rtol=1e-3)


def test_nothing_to_divide_by_is_nan() -> None:
    data = noise(30)
    data[0, :, 0], data[1, 3, 1] = 0.0, np.nan
    for by in ("max", "std", "area", "snv"):
        gone = usidx.signal.normalize(data, by, "z").isnull()
        assert int(gone.all("z").sum()) == int(gone.any("z").sum()) == 2
    with pytest.raises(UsidError, match="by='mean'"):
        usidx.signal.normalize(data, "mean", "z")
    with pytest.raises(SelectionError, match="from 1 to 2; it goes from 7 to"):
        usidx.signal.normalize(data, (1, 2), "z")
    with pytest.raises(SelectionError, match="no range"):
        usidx.signal.normalize(data, 3, "z")  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", ["f8", "f4", "c16", "i2"])
@pytest.mark.parametrize("turned", [False, True])
def test_resample_is_numpys_and_scipys(turned: bool, dtype: str) -> None:
    data = noise(30, dtype).assign_coords(z=np.geomspace(1, 20, 30))
    data.z.attrs["units"] = "nm"
    new = np.array([1.0, 3.3, 2.2, 19.9, 20.0, 20.1, 0.9])
    given = data.isel(z=slice(None, None, -1)) if turned else data
    values = data.values.astype("f8") if dtype == "i2" else data.values
    linear = np.apply_along_axis(lambda v: np.interp(new, data.z, v, np.nan, np.nan), 1, values)
    cubic = scipy.interpolate.CubicSpline(data.z, values, axis=1, extrapolate=False)(new)
    for method, expected in (("linear", linear), ("cubic", cubic)):
        found = usidx.signal.resample(given.chunk({"Y": 1}), new, "z", method=method)  # type: ignore[arg-type]
        np.testing.assert_allclose(
            found, expected, rtol=1e-4 if dtype == "f4" else 1e-9, atol=1e-4 if dtype == "f4" else 1e-9
        )
        assert found.dtype == values.dtype
        assert found.units == "V"
        assert found.z.units == "nm"
        np.testing.assert_array_equal(found.z, new)
    same = usidx.signal.resample(given, data.z, "z")
    np.testing.assert_allclose(same, values, rtol=1e-12)


def test_resample_past_missing_samples() -> None:
    data = xr.DataArray([0.0, 1.0, np.nan, 3.0, 4.0], dims="z")
    found = usidx.signal.resample(data, [0.5, 1.0, 1.5, 2.5, 3.0, 3.5])
    np.testing.assert_array_equal(found, [0.5, 1.0, np.nan, np.nan, 3.0, 3.5])
    assert usidx.signal.resample(data, [0.5], method="cubic").isnull().all()
    assert usidx.signal.resample(data[:1], [0.0, 1.0], "z").values.tolist()[0] == 0.0
    with pytest.raises(UsidError, match="one dim of numbers"):
        usidx.signal.resample(data, np.zeros((2, 2)))
    with pytest.raises(UnitsError, match="should be finite"):
        usidx.signal.resample(data, [np.nan])
    with pytest.raises(UsidError, match="method='akima'"):
        usidx.signal.resample(data, [1.0], method="akima")  # type: ignore[arg-type]


def test_calibrate() -> None:
    data = noise(30).chunk({"Y": 1})
    shifted = usidx.signal.calibrate(data, {7.0: 10.0}, "z")
    np.testing.assert_allclose(shifted.z, data.z + 3)
    assert (shifted.z.units, shifted.units) == ("nm", "V")
    assert shifted.chunks == data.chunks
    np.testing.assert_allclose(usidx.signal.calibrate(data, {7.0: 1.0, 21.5: 30.0}, "z").z, 1 + (data.z - 7) * 2)
    three = usidx.signal.calibrate(data, {7.0: 0.0, 8.0: 1.3, 9.0: 2.0}, "z")
    np.testing.assert_allclose(three.z, 1.1 + (data.z - 8.0))
    np.testing.assert_array_equal(three, data)
    for wrong in ({}, {1.0: np.nan}, {1.0: 2.0, 3.0: 2.0}, {"a": 1.0}):
        with pytest.raises(UsidError, match="pairs="):
            usidx.signal.calibrate(data, wrong, "z")  # type: ignore[arg-type]


@pytest.mark.parametrize("by", ["std", "snv", "area"])
def test_small_numbers_in_single_precision(by: str) -> None:
    rows = np.random.default_rng(0).uniform(1, 2, (3, 20))
    energy = 1e-21 * np.arange(20.0)  # joules
    data = xr.DataArray(rows, {"E": energy}, ("p", "E"))
    small = (1e-23 * data).astype("f4")
    found = usidx.signal.normalize(small, by, "E")
    assert found.dtype == "f4"
    np.testing.assert_allclose(found, usidx.signal.normalize(data, by, "E"), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("method", ["linear", "cubic"])
def test_an_end_that_is_missed_by_rounding_is_met(method: Any) -> None:
    data = xr.DataArray(np.arange(4.0), {"E": [0.0, 0.1, 0.2, 0.3]}, ("E",))
    found = usidx.signal.resample(data, 0.1 * np.arange(4), method=method)  # 0.30000000000000004
    np.testing.assert_allclose(found, [0, 1, 2, 3], atol=1e-12)
    stored = data.assign_coords(E=data.E.astype("f4") / 3)  # as files hold it
    np.testing.assert_allclose(usidx.signal.resample(stored, np.array([0.0, 0.1 / 3, 0.1])), [0, 1, 3], atol=1e-6)
    assert np.isnan(usidx.signal.resample(data, [-0.001, 0.301])).all()
