"""Exponentials whose amplitude counts far from the data."""

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose
from scipy.optimize import curve_fit

from usidx.fitting.evaluate import evaluate
from usidx.fitting.fit import fit
from usidx.models import Constant, Exponential, Linear, Sine

RNG = np.random.default_rng(0)
NOISE = 0.01 * RNG.normal(size=(6, 100))


def decays(begin: float) -> xr.DataArray:
    t = np.linspace(0, 5, 100)
    values = 3 * np.exp(-t / np.linspace(0.9, 1.1, 6)[:, None]) + 0.5 + NOISE
    return xr.DataArray(values, dims=("p", "t"), coords={"t": t + begin})


@pytest.mark.parametrize("begin", [6.0, 300.0, -310.0, 600.0])
def test_far_decay_is_that_near_zero(begin: float) -> None:
    data, model = decays(begin), Exponential() + Constant()
    near, found = fit(decays(0.0), model, "t"), fit(data, model, "t", covariance=True)
    assert bool(found.converged.all())
    for name in ("tau", "tau_stderr", "offset", "offset_stderr", "chi2", "r2"):
        assert_allclose(found[name], near[name], rtol=1e-5)
    assert_allclose(evaluate(found), evaluate(near), rtol=1e-6)
    # The amplitude at 0 by hand, from that at the first sample and scipy's covariance of it.
    (a, tau, _), spread = curve_fit(
        lambda t, a, tau, c: a * np.exp(-t / tau) + c, np.linspace(0, 5, 100), data[2].values, [3, 1, 0.5]
    )
    slope = np.array([1 / a, -begin / tau**2, 0.0])
    relative = np.sqrt(slope @ spread @ slope)
    assert_allclose(np.log(found.amplitude[2]), np.log(a) + begin / tau, rtol=1e-6)
    assert_allclose(found.amplitude_stderr[2] / found.amplitude[2], relative, rtol=1e-3)
    if begin < 300:
        assert_allclose(
            found.covariance[2].sel(parameter="amplitude", parameter_2="amplitude") ** 0.5, found.amplitude_stderr[2]
        )


def test_place_of_the_amplitude_may_be_given() -> None:
    near = fit(decays(0.0), Exponential() + Constant(), "t")
    for begin in (300.0, 1000.0):
        found = fit(decays(begin), Exponential(x0=begin) + Constant(), "t")
        for name in ("amplitude", "amplitude_stderr", "tau", "offset"):
            assert_allclose(found[name], near[name], rtol=1e-5)
        assert_allclose(evaluate(found), evaluate(near), rtol=1e-6)
    value = Exponential(x0=2.0)(np.array([2.0, 3.5]), amplitude=4.0, tau=1.5)
    assert_allclose(value, 4 * np.exp([0.0, -1.0]))


@pytest.mark.parametrize("begin", [1000.0, -1000.0])
def test_amplitude_without_a_number_is_told(begin: float) -> None:
    found = fit(decays(begin), Exponential() + Constant(), "t")
    assert (found.status == -4).all()
    assert not found.converged.any()
    assert np.isnan(found.tau).all()
    assert (found.samples == 100).all()


def test_spectra_with_coordinates_of_their_own() -> None:
    t = np.linspace(0, 5, 100) + np.array([[0.0], [300.0]])
    data = xr.DataArray(decays(0.0).values[:2], dims=("p", "t"), coords={"time": (("p", "t"), t)})
    near = fit(decays(0.0)[:2], Exponential() + Constant(), "t")
    found = fit(data, Exponential() + Constant(), "t", coordinate="time")
    assert_allclose(found.tau, near.tau, rtol=1e-5)
    assert_allclose(found.amplitude[0], near.amplitude[0], rtol=1e-5)


def test_ties_and_products() -> None:
    data = decays(300.0)
    model = Exponential(prefix="a_") + Exponential(prefix="b_") + Constant()
    found = fit(data, model, "t", tied={"b_tau": "a_tau", "b_amplitude": "0.5 * a_amplitude"}, start={"a_tau": 1.0})
    single = fit(data, Exponential() + Constant(), "t")
    tied = fit(data, Exponential() + Linear(), "t", tied={"slope": "0 * tau", "intercept": "0.5 + 0 * tau"})
    assert_allclose(tied.tau, single.tau, rtol=0.05)
    assert found.sizes == {"p": 6, "t": 100}
    t = np.linspace(300, 305, 200)
    swing = xr.DataArray(2 * np.exp(-(t - 300) / 2) * np.sin(2 * np.pi * t + 0.3), dims="t", coords={"t": t})
    ringing = fit(
        swing, Exponential() * Sine(), fixed={"sine_amplitude": 1.0}, start={"sine_frequency": 1.0, "sine_phase": 0.3}
    )
    assert_allclose(ringing.exponential_tau, 2.0, rtol=1e-6)
