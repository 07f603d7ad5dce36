"""Robust losses on spectra with spikes, from start values that are found in the same spectra."""

from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import erf

from tests.kit.truth import gaussian, oscillator
from usidx.fitting.fit import fit
from usidx.models import SHO, Constant, Exponential, Gaussian, Linear, Model, Sine, Step

Truth = dict[str, Any]
COUNT, NOISE = 40, 0.05
X = np.linspace(0.0, 10.0, 100)


def _case(name: str) -> tuple[Model, Any, Truth]:
    rng = np.random.default_rng(11)

    def between(low: float, high: float) -> Any:
        return rng.uniform(low, high, (COUNT, 1))

    if name == "peak":
        p = {"amplitude": between(2, 5), "center": between(2, 8), "sigma": between(0.4, 1.2), "offset": between(-1, 1)}
        return Gaussian() + Constant(), gaussian(X, **p), p
    if name == "decay":
        p = {"amplitude": between(1, 5), "tau": between(0.5, 3), "offset": between(-1, 1)}
        return Exponential() + Constant(), p["amplitude"] * np.exp(-X / p["tau"]) + p["offset"], p
    if name == "wave":
        p = {"amplitude": between(1, 3), "frequency": between(0.2, 2), "phase": between(-2, 2)}
        return Sine(), p["amplitude"] * np.sin(2 * np.pi * p["frequency"] * X + p["phase"]), p
    p = {"amplitude": between(1, 3), "center": between(2, 8), "width": between(0.3, 1)}
    rise = 0.5 + 0.5 * erf((X - p["center"]) / p["width"])
    return Step() + Linear(), p["amplitude"] * rise + 0.2 * X + 1, p


def _with_spikes(clean: Any, count: int) -> xr.DataArray:
    rng = np.random.default_rng(count)
    y = clean + NOISE * rng.normal(size=clean.shape)
    for _ in range(count):
        y[np.arange(COUNT), rng.integers(0, X.size, COUNT)] += 30 * np.ptp(clean)
    return xr.DataArray(y, dims=("p", "x"), coords={"x": X})


@pytest.mark.parametrize("loss", ["soft_l1", "huber", "cauchy"])
@pytest.mark.parametrize("name", ["peak", "decay", "wave", "edge"])
def test_one_and_two_spikes_leave_the_truth_in_reach(name: str, loss: str) -> None:
    model, clean, truth = _case(name)
    plain = fit(_with_spikes(clean, 0), model, "x")
    for count in (1, 2):
        found = fit(_with_spikes(clean, count), model, "x", loss=loss, loss_scale=NOISE)
        assert found.converged.all()
        for parameter, value in truth.items():
            away = abs(found[parameter] - value[:, 0])
            assert (away < 6 * plain[f"{parameter}_stderr"]).all(), parameter


def test_spectra_without_spikes_are_fitted_as_before_and_blocks_do_not_matter() -> None:
    model, clean, _ = _case("peak")
    data = _with_spikes(clean, 1)
    data[::2] = _with_spikes(clean, 0)[::2]
    data[3, 40:45] = np.nan
    found = fit(data, model, "x", loss="huber", loss_scale=NOISE)
    lazy = fit(data.chunk(p=7), model, "x", loss="huber", loss_scale=NOISE).compute()
    alone = fit(data[5:6], model, "x", loss="huber", loss_scale=NOISE)
    for variable in found.data_vars:
        assert_array_equal(found[variable], lazy[variable])
        assert_array_equal(found[variable][5:6], alone[variable])
    backwards = fit(data[:, ::-1], model, "x", loss="huber", loss_scale=NOISE)
    assert_allclose(backwards.center, found.center, rtol=1e-6)


def test_a_peak_as_narrow_as_a_spike_is_still_found() -> None:
    rng = np.random.default_rng(12)
    clean = 4.0 * np.exp(-0.5 * ((X - X[rng.integers(10, 90, COUNT), None]) / 0.08) ** 2) + 1.0
    data = xr.DataArray(clean + NOISE * rng.normal(size=clean.shape), dims=("p", "x"), coords={"x": X})
    found = fit(data, Gaussian("height") + Constant(), "x", loss="soft_l1", loss_scale=NOISE)
    assert_allclose(found.center, X[clean.argmax(axis=1)], atol=0.05)
    assert_allclose(found.amplitude, 4.0, atol=0.5)


def test_spikes_in_complex_data_with_weights_and_ties() -> None:
    rng = np.random.default_rng(13)
    w = np.linspace(300e3, 350e3, 100)
    clean = oscillator(w, 3e-5, rng.uniform(315e3, 335e3, (COUNT, 1)), 150.0, 0.7)
    y = clean + 2e-5 * (rng.normal(size=clean.shape) + 1j * rng.normal(size=clean.shape))
    plain = fit(xr.DataArray(y, dims=("p", "f"), coords={"f": w}), SHO(), "f")
    y[np.arange(COUNT), rng.integers(0, 100, COUNT)] += 1.0 + 1j
    spiked = xr.DataArray(y, dims=("p", "f"), coords={"f": w})
    found = fit(spiked, SHO(), "f", loss="cauchy", sigma=2e-5)
    assert (abs(found.frequency - plain.frequency) < 4 * plain.frequency_stderr).all()
    model, _, truth = _case("peak")
    values = gaussian(X, **truth | {"offset": 0.5 * truth["sigma"]})
    tied = fit(_with_spikes(values, 2), model, "x", loss="soft_l1", sigma=NOISE, tied={"offset": "0.5 * sigma"})
    assert_allclose(tied.center, truth["center"][:, 0], atol=0.1)
    assert_array_equal(tied.offset, 0.5 * tied.sigma)
