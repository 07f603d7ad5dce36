"""Filtering packed samples is multiplying the transform of the samples themselves."""

import numpy as np
import pytest
import scipy.fft
import xarray as xr

from usidx.signal import HighPass, LowPass, fft_filter
from usidx.signal.kernels.packed import filter_packed, weigh_packed

_CHANCE = np.random.default_rng(0)


@pytest.mark.parametrize("size", [2, 4, 6, 10, 128, 1000])
@pytest.mark.parametrize(("dtype", "close"), [("f4", 3e-6), ("f8", 1e-14)])
def test_any_factors_act_as_on_the_real_transform(size: int, dtype: str, close: float) -> None:
    rows = _CHANCE.normal(size=(3, size)).astype(dtype)
    factors = _CHANCE.random(size // 2 + 1)
    packed = scipy.fft.fft(rows.view(np.result_type(dtype, np.complex64)), axis=1)
    filter_packed(packed, weigh_packed(factors))
    found = scipy.fft.ifft(packed, axis=1).view(dtype)
    expected = scipy.fft.irfft(scipy.fft.rfft(rows.astype("f8"), axis=1) * factors, size, axis=1)
    np.testing.assert_allclose(found, expected, atol=close)


@pytest.mark.parametrize("size", [63, 64])
def test_a_spectrum_that_is_not_finite_is_nan_and_the_others_stay(size: int) -> None:
    values = _CHANCE.normal(size=(9, size))
    data = xr.DataArray(values.copy(), dims=("x", "t"))
    data[2, 5], data[4, 0], data[7, size - 1] = np.nan, np.inf, -np.inf
    for band in (LowPass(0.1), HighPass(0.2)):
        found = fft_filter(data, band, "t").values
        clean = fft_filter(xr.DataArray(values, dims=("x", "t")), band, "t").values
        assert np.isnan(found[[2, 4, 7]]).all()
        np.testing.assert_array_equal(np.delete(found, [2, 4, 7], 0), np.delete(clean, [2, 4, 7], 0))
