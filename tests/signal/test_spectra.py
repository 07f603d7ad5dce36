"""Power beside SciPy's and Parseval's; the noise floor beside the old program's."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import scipy.signal
import xarray as xr

import usidx
from tests.signal.test_fourier import waves
from usidx.errors import UsidError

Array = npt.NDArray[Any]


@pytest.mark.parametrize("dtype", ["f8", "f4", "c16"])
@pytest.mark.parametrize("step", [0.1, -0.1])
@pytest.mark.parametrize("size", [32, 33])
@pytest.mark.parametrize("detrend", [None, "constant", "linear"])
@pytest.mark.parametrize("window", ["hann", None, ("tukey", 0.3)])
def test_one_segment_is_that_of_scipy(window: Any, detrend: Any, size: int, step: float, dtype: str) -> None:
    data = waves(size, step=step, dtype=dtype)
    found = usidx.signal.power_spectrum(data, window=window, detrend=detrend)
    frequencies, expected = scipy.signal.welch(
        data.values[:, :: 1 if step > 0 else -1],
        10,
        window or "boxcar",
        size,
        detrend=detrend or False,
        return_onesided=dtype != "c16",
        axis=1,
    )
    order = np.argsort(frequencies) if dtype == "c16" else slice(None)
    np.testing.assert_allclose(found.Time_frequency, frequencies[order], atol=1e-12)
    np.testing.assert_allclose(found, expected[:, order], rtol=1e-4 if dtype == "f4" else 1e-9, atol=1e-9)
    assert found.units == "V^2/Hz"
    assert found.dtype == ("f4" if dtype == "f4" else "f8")


def test_segments_overlap_by_half() -> None:
    data = waves(100)
    _, expected = scipy.signal.welch(data.values, 10, "hann", 40, 20, detrend=False, axis=1)
    np.testing.assert_allclose(usidx.signal.power_spectrum(data, segments=4), expected, rtol=1e-9)
    for count in range(1, 99):
        step = usidx.signal.power_spectrum(data, segments=count).usid.history[-1]["parameters"]
        length = step["samples"]
        assert (100 - length) // max(length // 2, 1) + 1 >= count
        assert (100 - length) // max(length // 2, 1) + 1 == count or count > 8


@pytest.mark.parametrize("size", [32, 33])
@pytest.mark.parametrize("dtype", ["f8", "c16"])
def test_power_adds_up_to_the_mean_square(size: int, dtype: str) -> None:
    data = waves(size, dtype=dtype) + 3
    power = usidx.signal.power_spectrum(data, window=None)
    step = float(power.Time_frequency[1] - power.Time_frequency[0])
    np.testing.assert_allclose(power.sum("Time_frequency") * step, (abs(data) ** 2).mean("Time"))


def test_other_units_and_bad_values() -> None:
    data = waves()
    data.Time.attrs["units"] = "nm"
    assert usidx.signal.power_spectrum(data).units == "V^2 nm"
    assert usidx.signal.power_spectrum(data.assign_attrs(units="nm")).units == "nm^3"
    data[1, 3, 1] = np.nan
    power = usidx.signal.power_spectrum(data.chunk({"Time": 5}))
    assert power.isnull().all("Time_frequency").values.tolist() == [[False, False], [False, True], [False, False]]
    with pytest.raises(UsidError, match="of 33 samples there should be 1 to 32"):
        usidx.signal.power_spectrum(data, segments=33)
    with pytest.raises(UsidError, match="segments=0"):
        usidx.signal.power_spectrum(data, segments=0)


def find_old_floor(transform: Array, tolerance: float, stop: float) -> float:
    """Do what pycroscopy's get_noise_floor does; there `stop` is 0.01."""
    amplitude, widths = np.abs(transform), [np.inf]
    while len(widths) < 50 and (len(widths) == 1 or abs(widths[-1] - widths[-2]) > stop):
        widths.append(np.sqrt(np.sum(amplitude**2) / (2 * amplitude.size)))
        threshold = np.sqrt(2 * widths[-1] ** 2 * -np.log(tolerance))
        amplitude[amplitude > threshold] = 0
    return float(threshold)


@pytest.mark.parametrize("size", [400, 401])
@pytest.mark.parametrize("tolerance", [1e-6, 1e-2])
def test_the_floor_is_that_of_the_old_program_where_its_unit_is_small(size: int, tolerance: float) -> None:
    time = np.arange(size) * 1e-6
    values = np.random.default_rng(0).normal(size=(5, size)) + 3 * np.sin(2e5 * time)
    data = xr.DataArray(values, dims=("X", "Time"), coords={"Time": time}, attrs={"units": "V"})
    data.Time.attrs["units"] = "s"
    old = [find_old_floor(np.fft.fft(row), tolerance, 1e-12) for row in values]
    found = usidx.signal.noise_floor(data, "Time", tolerance)
    np.testing.assert_allclose(found, np.array(old) * 1e-6, rtol=1e-9)
    assert found.units == "V s"
    # Of a transform, and of its amplitude, the same.
    transform = usidx.signal.fft(data, "Time")
    for given in (transform, abs(transform)):
        np.testing.assert_allclose(usidx.signal.noise_floor(given, "Time_frequency", tolerance), found, rtol=1e-9)
    plain = xr.DataArray(np.fft.fft(values), dims=("X", "f"))
    np.testing.assert_allclose(usidx.signal.noise_floor(plain, "f", tolerance), old, rtol=1e-9)


def test_the_floor_knows_no_unit() -> None:
    data = waves(200)
    for factor in (1e-12, 1e12):
        small = usidx.signal.noise_floor(data * factor, "Time")
        np.testing.assert_allclose(small, usidx.signal.noise_floor(data, "Time") * factor, rtol=1e-9)
    data[0, 5, 0] = np.nan
    assert usidx.signal.noise_floor(data, "Time").isnull().values.sum() == 1
    assert not usidx.signal.noise_floor(data * 0, "Time")[1].any()
    with pytest.raises(UsidError, match="tolerance=1"):
        usidx.signal.noise_floor(data, "Time", 1)
