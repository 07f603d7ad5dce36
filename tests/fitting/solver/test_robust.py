"""Robust fits: standard errors against the scatter that they have, and a loss that begins at the noise by itself."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal
from scipy.integrate import quad

from usidx.fitting.fit import fit
from usidx.fitting.solver.robust import bound_noise, estimate_noise
from usidx.models import Constant, Gaussian, Model

NOISE, COUNT = 0.05, 500
X = np.linspace(-5.0, 5.0, 81)
TRUTH = {"amplitude": 3.0, "center": 0.7, "sigma": 0.9, "offset": 0.5}


def _bell(x: Any, amplitude: Any, center: Any, sigma: Any, offset: Any) -> Any:
    bell = amplitude * np.exp(-0.5 * ((x - center) / sigma) ** 2) + offset
    return np.array(bell.tolist()) if isinstance(bell, np.ndarray) else bell  # which gives no formula to follow


def _make_data(spikes: int, noise: float = NOISE) -> xr.DataArray:
    rng = np.random.default_rng(spikes)
    bell = TRUTH["amplitude"] * np.exp(-0.5 * ((X - TRUTH["center"]) / TRUTH["sigma"]) ** 2) + TRUTH["offset"]
    y = bell + noise * rng.normal(size=(COUNT, X.size))
    for row in y:
        row[rng.choice(X.size, spikes, replace=False)] += rng.uniform(5, 50, spikes)
    return xr.DataArray(y, dims=("p", "x"), coords={"x": X})


@pytest.mark.parametrize("scale", [NOISE, None], ids=["scale is given", "scale is the noise"])
@pytest.mark.parametrize("spikes", [0, 2])
@pytest.mark.parametrize("loss", ["soft_l1", "huber", "cauchy"])
def test_errors_are_the_scatter(loss: str, spikes: int, scale: float | None) -> None:
    data = _make_data(spikes)
    found = fit(data, Gaussian("height") + Constant(), "x", loss=loss, loss_scale=scale)
    for name, value in TRUTH.items():
        scatter = 1.4826 * float(abs(found[name] - value).median())
        assert 0.8 < float(found[f"{name}_stderr"].median()) / scatter < 1.25, name


@pytest.mark.parametrize("loss", ["soft_l1", "huber", "cauchy"])
def test_errors_of_a_constant_follow_from_the_integrals_of_the_loss(loss: str) -> None:
    noise = np.random.default_rng(3).normal(size=(4, 20_000))
    found = fit(xr.DataArray(noise, dims=("p", "x")), Constant(), "x", loss=loss, loss_scale=1.0)
    pulls: dict[str, Callable[[float], float]] = {
        "soft_l1": lambda r: r / np.sqrt(1 + r * r),
        "huber": lambda r: float(np.clip(r, -1, 1)),
        "cauchy": lambda r: r / (1 + r * r),
    }
    pull = pulls[loss]

    def average(value: Callable[[float], float]) -> float:
        density = lambda r: value(r) * np.exp(-0.5 * r * r) / np.sqrt(2 * np.pi)  # noqa: E731
        return float(quad(density, -8, 8, points=[-1, 1])[0])

    # By parts: the average of the derivative of psi is that of r psi(r), for normal noise.
    expected = np.sqrt(average(lambda r: pull(r) ** 2) / noise.shape[1]) / average(lambda r: r * pull(r))
    assert_allclose(found.offset_stderr, expected, rtol=0.03)


@pytest.mark.parametrize("loss", ["soft_l1", "huber", "cauchy"])
def test_functions_ties_weights_and_blocks_agree(loss: str) -> None:
    data = _make_data(2)[:24]
    model = Gaussian("height") + Constant()
    found = fit(data, model, "x", loss=loss, covariance=True)
    lazy = fit(data.chunk(p=7), model, "x", loss=loss, covariance=True).compute()
    xr.testing.assert_equal(found, lazy)
    assert_allclose(found.covariance[:, 1, 1], found.center_stderr**2)
    own = Model.from_function(_bell)
    here = fit(data, own, "x", loss=loss, start=TRUTH)
    weighed = fit(data, model, "x", loss=loss, sigma=10 * NOISE, absolute_sigma=True)
    tied = fit(data, model, "x", loss=loss, tied={"offset": "amplitude / 6"})
    for name in TRUTH:
        assert_allclose(here[name], found[name], rtol=1e-3, atol=1e-4)
        assert_allclose(here[f"{name}_stderr"], found[f"{name}_stderr"], rtol=0.05)
        assert_allclose(weighed[f"{name}_stderr"], found[f"{name}_stderr"], rtol=0.05)
    assert_allclose(weighed.chi2 * (10 * NOISE) ** 2, found.chi2, rtol=1e-3)
    assert (abs(tied.center - 0.7) < 5 * tied.center_stderr).all()


def test_the_unit_of_the_data_does_not_matter() -> None:
    data = _make_data(2)[:40]
    volts = fit(data, Gaussian("height") + Constant(), "x", loss="soft_l1")
    small = fit(1e-9 * data, Gaussian("height") + Constant(), "x", loss="soft_l1")
    assert_allclose(small.center, volts.center, atol=1e-4)
    assert_allclose(small.amplitude, 1e-9 * volts.amplitude, rtol=1e-3)
    assert_allclose(small.amplitude_stderr, 1e-9 * volts.amplitude_stderr, rtol=1e-2)


@pytest.mark.parametrize("loss", ["soft_l1", "huber", "cauchy"])
def test_data_without_noise_is_fitted_exactly(loss: str) -> None:
    found = fit(_make_data(0, noise=0.0)[:5], Gaussian("height") + Constant(), "x", loss=loss)
    assert found.converged.all()
    spiked = fit(_make_data(1, noise=0.0)[:20], Gaussian("height") + Constant(), "x", loss=loss)
    for name, value in TRUTH.items():
        assert_allclose(found[name], value, rtol=1e-9)
        assert_allclose(spiked[name].median(), value, rtol=1e-4)


def test_noise_is_told_from_differences_and_from_what_a_fit_leaves() -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(size=(50, 400))
    assert_allclose(estimate_noise(values + np.linspace(0, 1e3, 400)).mean(), 1.0, rtol=0.02)
    assert_allclose(estimate_noise(values[:, :200], 100).mean(), np.sqrt(2), rtol=0.06)
    both = estimate_noise(values[:, ::2] + 1j * values[:, 1::2])
    assert_allclose(both.mean(), 1.0, rtol=0.06)
    spoilt = values.copy()
    spoilt[:, ::10] = np.nan
    spoilt[:, 5::50] = 1e9
    assert_allclose(estimate_noise(spoilt, 0).mean(), 1.0, rtol=0.05)
    assert np.isnan(estimate_noise(np.full((1, 9), np.nan))).all()
    assert_array_equal(bound_noise(np.array([np.nan, 0.0]), np.zeros((2, 3))) > 0, [True, True])
