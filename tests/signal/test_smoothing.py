"""Smoothing beside SciPy's values, ends included; total variation beside the conditions that its minimum fulfils."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import scipy.ndimage
import scipy.signal
import xarray as xr

import usidx
from usidx.errors import UnitsError, UsidError

Array = npt.NDArray[Any]


def noise(size: int, dtype: Any = "f8", step: float = 0.5) -> xr.DataArray:
    values = np.random.default_rng(size).normal(size=(3, size, 4)) * 10
    values = values + 1j * values[::-1] if np.dtype(dtype).kind == "c" else values
    place = xr.DataArray(7 + step * np.arange(size), dims="z", attrs={"units": "nm"})
    return xr.DataArray(
        values.astype(dtype),
        dims=("Y", "z", "X"),
        coords={"z": place},
        name="n",
        attrs={"units": "V", "long_name": "N"},
    )


def as_parts(work: Any, values: Array) -> Array:
    return np.asarray(work(values.real) + 1j * work(values.imag) if np.iscomplexobj(values) else work(values))


def close_to(dtype: str) -> Any:
    return {"rtol": 1e-4, "atol": 1e-3} if "4" in dtype or dtype == "c8" else {"rtol": 1e-8, "atol": 1e-8}


@pytest.mark.parametrize("dtype", ["f8", "f4", "c16", "c8", "i2", ">f8"])
@pytest.mark.parametrize(
    ("count", "order", "deriv"), [(5, 2, 0), (7, 3, 1), (11, 4, 2), (1, 0, 0), (5, 1, 3), (9, 8, 0)]
)
@pytest.mark.parametrize("step", [0.5, -0.5])
def test_savgol_is_that_of_scipy(step: float, count: int, order: int, deriv: int, dtype: str) -> None:
    data = noise(40, dtype, step)
    given = data.values.astype("c16" if dtype.startswith("c") else "f8")  # SciPy warns of order 8 in single precision
    expected = as_parts(lambda v: scipy.signal.savgol_filter(v, count, order, deriv, step, axis=1), given)
    found = usidx.signal.savgol(data, count * 0.5, order, deriv, "z")
    np.testing.assert_allclose(found, expected, **close_to(dtype))
    assert found.dtype == ("f8" if dtype == "i2" else np.dtype(dtype).newbyteorder("="))
    assert found.units == {0: "V", 1: "V/nm", 2: "V/(nm^2)", 3: "V/(nm^3)"}[deriv]
    again = usidx.signal.savgol(data.chunk({"z": 7}), count, order, deriv, "z", in_units=False)
    np.testing.assert_allclose(again, found, **close_to(dtype))


def test_windows_are_rounded_to_an_odd_number_of_samples() -> None:
    data = noise(40)
    for length, samples in ((2.5, 5), (3.0, 7), (2.4, 5), (2.6, 5)):
        step = usidx.signal.savgol(data, length, 2, dim="z").usid.history[-1]["parameters"]
        assert step["samples"] == samples
    with pytest.raises(UsidError, match="whole number and odd"):
        usidx.signal.savgol(data, 4, 2, dim="z", in_units=False)
    with pytest.raises(UsidError, match="81 of 40 samples"):
        usidx.signal.savgol(data, 81, 2, dim="z", in_units=False)
    with pytest.raises(UsidError, match="order=5"):
        usidx.signal.savgol(data, 5, 5, dim="z", in_units=False)
    with pytest.raises(UsidError, match="window=-1"):
        usidx.signal.savgol(data, -1, 5, dim="z")
    uneven = data.assign_coords(z=np.geomspace(1, 5, 40))
    with pytest.raises(UnitsError, match="steps of 'z' differ"):
        usidx.signal.savgol(uneven, 5, 2, dim="z")
    with pytest.raises(UnitsError, match="steps of 'z' differ"):
        usidx.signal.savgol(uneven, 5, 2, 1, "z", in_units=False)
    np.testing.assert_array_equal(
        usidx.signal.savgol(uneven, 5, 2, dim="z", in_units=False), usidx.signal.savgol(data, 2.5, 2, dim="z")
    )


@pytest.mark.parametrize("dtype", ["f8", "f4", "c16", "c8", "i2"])
@pytest.mark.parametrize("sigma", [0.2, 1.0, 4.0, 60.0])
def test_gaussian_is_that_of_scipy(sigma: float, dtype: str) -> None:
    data = noise(40, dtype)
    given = data.values.astype("f8") if dtype == "i2" else data.values
    expected = as_parts(lambda v: scipy.ndimage.gaussian_filter1d(v, sigma / 0.5, axis=1), given)
    found = usidx.signal.gaussian(data, sigma, "z")
    np.testing.assert_allclose(found, expected, **close_to(dtype))
    assert found.dtype == expected.dtype
    assert found.units == "V"
    again = usidx.signal.gaussian(data[:, ::-1].chunk({"Y": 1}), sigma / 0.5, "z", in_units=False)
    np.testing.assert_allclose(again[:, ::-1], found, **close_to(dtype))


@pytest.mark.parametrize("dtype", ["f8", "f4", "i2"])
@pytest.mark.parametrize("count", [1, 3, 5, 7, 9, 11, 25])
@pytest.mark.parametrize("size", [1, 2, 13, 40])
def test_median_is_that_of_scipy(size: int, count: int, dtype: str) -> None:
    data = noise(size, dtype).round()  # so that values repeat
    found = usidx.signal.median(data, count, "z", in_units=False)
    # SciPy takes other rows for what lies beyond a second reflection, so that is done before.
    padded = np.pad(data.values.astype("f8"), ((0, 0), (count, count), (0, 0)), mode="symmetric")
    expected = scipy.ndimage.median_filter(padded, size=(1, count, 1))[:, count:-count]
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(usidx.signal.median(data.chunk({"z": 5}), count, "z", in_units=False), expected)


@pytest.mark.parametrize("weight", [0.0, 0.3, 5.0, 1e4])
@pytest.mark.parametrize("size", [1, 2, 3, 50])
def test_total_variation_is_least(size: int, weight: float) -> None:
    """Sums of what was changed never pass the weight, and reach it wherever there is a step."""
    data = noise(size)
    found = usidx.signal.total_variation(data, weight, "z")
    sums = np.cumsum(found.values - data.values, axis=1)
    assert (np.abs(sums) <= weight + 1e-9).all()
    np.testing.assert_allclose(sums[:, -1], 0, atol=1e-9)
    steps = np.diff(found.values, axis=1)
    there = np.abs(steps) > 1e-9
    np.testing.assert_allclose(sums[:, :-1][there], weight * np.sign(steps[there]), atol=1e-6)
    assert there.any() or size < 3 or weight > 1e3
    single = usidx.signal.total_variation(data.astype("f4"), weight, "z")
    assert single.dtype == "f4"
    np.testing.assert_allclose(single, found, atol=1e-4)


@pytest.mark.parametrize("missing", [np.nan, np.inf])
@pytest.mark.parametrize("place", [0, 1, 20, 38])
def test_missing_samples_spread_as_far_as_they_take_part(place: int, missing: float) -> None:
    data = noise(40)
    data[0, place, 0] = missing
    data[1, :, 1] = np.nan
    near = np.abs(np.arange(40) - place)

    def check(found: xr.DataArray, expected: Array) -> None:
        gone = found.isnull().transpose("Y", "z", "X").values
        np.testing.assert_array_equal(gone[0, :, 0], expected)
        assert gone[1, :, 1].all()
        assert gone.sum() == expected.sum() + 40

    # At the ends the outermost window is taken whole.
    inside = np.clip(np.arange(40), 2, 37)
    check(usidx.signal.savgol(data, 5, 2, dim="z", in_units=False), np.abs(inside - place) <= 2)
    check(usidx.signal.gaussian(data, 1, "z", in_units=False), near <= 4)
    if np.isnan(missing):
        check(usidx.signal.median(data, 5, "z", in_units=False), near <= 2)
    check(usidx.signal.total_variation(data, 1.0, "z"), np.ones(40, bool))


def test_what_cannot_be() -> None:
    for call in (usidx.signal.median, usidx.signal.total_variation):
        with pytest.raises(UsidError, match=r"is complex, .* take abs"):
            call(noise(9, "c16"), 3, "z")
    with pytest.raises(UsidError, match="sigma=0"):
        usidx.signal.gaussian(noise(9), 0, "z")
    with pytest.raises(UsidError, match="weight=-1"):
        usidx.signal.total_variation(noise(9), -1, "z")


def test_smooth_slope_of_a_steep_polynomial() -> None:
    """On a cubic far from zero a filter of order 3 changes nothing, and its slope is exact."""
    place = 1e4 + 0.01 * np.arange(200)
    cubic = xr.DataArray((place - 1e4) ** 3, dims="z", coords={"z": place})
    np.testing.assert_allclose(usidx.signal.savgol(cubic, 0.21, 3, dim="z"), cubic, atol=1e-12)
    np.testing.assert_allclose(usidx.signal.savgol(cubic, 0.21, 3, 1, "z"), 3 * (place - 1e4) ** 2, atol=1e-8)
