"""Filters beside those of pycroscopy, built as it builds them, in the order of a shifted transform."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr
from scipy.special import erf

import usidx
from tests.signal.test_spectra import find_old_floor
from usidx.errors import UsidError
from usidx.signal import BandPass, BandStop, Harmonics, HighPass, LowPass, NoiseFloor

Array = npt.NDArray[Any]
RATE = 1e6


def old_low_pass(size: int, cut_off: float, roll_off: float) -> Array:
    center, width = round(0.5 * size), round(size * roll_off * cut_off / RATE)
    last = round(size * cut_off / RATE)
    rise = 0.5 * (1 + erf(np.linspace(-2.5, 2.5, num=width)))
    found = np.zeros(size)
    found[center - last : center - last + width] = rise
    found[center - last + width : center + last - width + 1] = 1
    found[center + last - width + 1 : center + last + 1] = 1 - rise
    return found


def old_band(size: int, middle: float, width: float) -> Array:
    center, found = round(0.5 * size), np.zeros(size)
    place, half = round(size * middle / RATE), round(center * width / RATE)
    found[center - place - half : center - place + half + 1] = 1
    found[center + place - half : center + place + half + 1] = 1
    return found


def old_harmonics(size: int, first: float, width: float, count: int) -> Array:
    return np.asarray(np.max([old_band(size, n * first, width) for n in range(1, count + 1)], axis=0))


CASES: dict[str, tuple[Any, Callable[[int], Array]]] = {
    "low": (LowPass(100e3, 20e3), lambda n: old_low_pass(n, 100e3, 0.2)),
    "low as before": (LowPass(200e3), lambda n: old_low_pass(n, 200e3, 0.05)),
    "high": (HighPass(100e3, 20e3), lambda n: 1 - old_low_pass(n, 100e3, 0.2)),
    "pass": (BandPass(150e3, 30e3), lambda n: old_band(n, 150e3, 30e3)),
    "stop": (BandStop(150e3, 30e3), lambda n: 1 - old_band(n, 150e3, 30e3)),
    "harmonics": (Harmonics(50e3, 12e3, 4), lambda n: old_harmonics(n, 50e3, 12e3, 4)),
    "both": (
        [LowPass(300e3), BandStop(50e3, 5e3)], lambda n: old_low_pass(n, 300e3, 0.05) * (1 - old_band(n, 50e3, 5e3))
    ),
}  # fmt: skip


def signals(size: int = 1000, dtype: Any = "f8") -> xr.DataArray:
    time = np.arange(size) / RATE
    values = np.random.default_rng(0).normal(size=(4, 3, size)) + np.sin(2 * np.pi * 50e3 * time)
    values = values + 1j * values[::-1] if np.dtype(dtype).kind == "c" else values
    data = xr.DataArray(values.astype(dtype), dims=("Y", "X", "Time"), coords={"Time": time}, attrs={"units": "V"})
    return usidx.set_roles(data, position=["Y", "X"], spectroscopic="Time")


def filter_as_before(values: Array, factors: Array, floors: Any = 0.0) -> Array:
    transform = np.fft.fftshift(np.fft.fft(values, axis=-1), axes=-1) * factors
    transform[np.abs(transform) < floors] = 0
    found = np.fft.ifft(np.fft.ifftshift(transform, axes=-1), axis=-1)
    return np.asarray(found if np.iscomplexobj(values) else found.real)


@pytest.mark.parametrize("dtype", ["f8", "f4", "c16", "i2"])
@pytest.mark.parametrize("name", CASES)
def test_it_is_the_old_filter(name: str, dtype: str) -> None:
    filters, factors = CASES[name]
    data = signals(dtype="f8" if dtype == "i2" else dtype)
    data = (100 * data).astype(dtype) if dtype == "i2" else data
    found = usidx.signal.fft_filter(data, filters)
    np.testing.assert_allclose(
        found, filter_as_before(data.values, factors(1000)), atol=1e-5 if dtype == "f4" else 1e-9
    )
    assert found.dtype == {"i2": "f8"}.get(dtype, dtype)
    xr.testing.assert_identical(found.coords.to_dataset(), data.coords.to_dataset())


@pytest.mark.parametrize("filters", [NoiseFloor(1e-3), [LowPass(300e3), NoiseFloor(1e-3)]])
@pytest.mark.parametrize("dtype", ["f8", "c16"])
def test_the_floor_is_taken_before_the_bands(dtype: str, filters: Any) -> None:
    data = signals(dtype=dtype)
    rows = np.fft.fft(data.values.reshape(12, 1000))
    floors = np.array([find_old_floor(row, 1e-3, 1e-12) for row in rows]).reshape(4, 3, 1)
    factors = old_low_pass(1000, 300e3, 0.05) if isinstance(filters, list) else np.ones(1000)
    found = usidx.signal.fft_filter(data, filters)
    np.testing.assert_allclose(found, filter_as_before(data.values, factors, floors), atol=1e-9)
    assert float(abs(found - 0).max()) > 0.5


@pytest.mark.parametrize("size", [999, 1000, 2, 1])
@pytest.mark.parametrize("dtype", ["f8", "c16"])
def test_a_filter_and_what_it_takes_away_make_the_whole(size: int, dtype: str) -> None:
    data = signals(size, dtype)
    for kept, left in ((LowPass(100e3), HighPass(100e3)), (BandPass(2e5, 1e4), BandStop(2e5, 1e4))):
        both = usidx.signal.fft_filter(data, kept, "Time") + usidx.signal.fft_filter(data, left, "Time")
        np.testing.assert_allclose(both, data, atol=1e-12)


def test_five_dims_descending_in_blocks() -> None:
    data = signals(200).expand_dims(field=2, cycle=3).transpose("Y", "Time", "field", "X", "cycle")
    turned = data.isel(Time=slice(None, None, -1))
    expected = usidx.signal.fft_filter(data, LowPass(1e5), "Time")
    found = usidx.signal.fft_filter(turned.chunk({"Time": 30, "Y": 1}), LowPass(1e5), "Time")
    assert found.dims == data.dims
    np.testing.assert_allclose(found.isel(Time=slice(None, None, -1)), expected, atol=1e-12)


@pytest.mark.parametrize("missing", [np.nan, np.inf])
def test_missing_samples(missing: float) -> None:
    data = signals()
    data[1, 2, 7] = missing
    found = usidx.signal.fft_filter(data, [LowPass(1e5), NoiseFloor()])
    assert int(found.isnull().all("Time").sum()) == 1
    assert int(found.isnull().any("Time").sum()) == 1


def test_what_is_no_filter() -> None:
    for wrong in ("low", [LowPass(1.0), 3], []):
        with pytest.raises(UsidError, match="are filters"):
            usidx.signal.fft_filter(signals(), wrong)  # type: ignore[arg-type]
    with pytest.raises(UsidError, match="cut_off=-1"):
        LowPass(-1)
    with pytest.raises(UsidError, match="tolerance=2"):
        NoiseFloor(2)
