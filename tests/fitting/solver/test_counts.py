"""Fits of counts against the likelihood, minimised by scipy, and against closed forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr
from scipy.optimize import minimize

import usidx
from usidx.errors import ResultError, UsidError
from usidx.models import Constant, Gaussian, Linear, Model

Array = npt.NDArray[Any]
X = np.arange(80.0)
PEAK = Gaussian("height") + Constant()
POSITIVE = {"amplitude": (0.0, np.inf), "offset": (0.0, np.inf)}


def peak(height: float, center: float, sigma: float, offset: float) -> Array:
    return np.asarray(height * np.exp(-0.5 * ((X - center) / sigma) ** 2) + offset)


def deviance(counts: Array, rate: Array) -> float:
    rate = np.maximum(rate, 1e-9)
    return float(2 * np.sum(rate - counts + np.where(counts > 0, counts * np.log(np.maximum(counts, 1) / rate), 0)))


def counted(truth: tuple[float, ...], number: int = 60) -> xr.DataArray:
    counts = np.random.default_rng(1).poisson(peak(*truth), size=(number, X.size))
    return xr.DataArray(counts, dims=("p", "x"), coords={"x": X}, attrs={"units": ""})


def best_of_scipy(counts: Array, starts: list[tuple[float, ...]]) -> Any:
    def cost(given: Array) -> float:
        return deviance(counts, peak(*given))

    limits = [(0, None), (None, None), (0.1, None), (0, None)]
    options = {"ftol": 1e-15, "gtol": 1e-9, "maxiter": 2000}
    runs = [minimize(cost, s, method="L-BFGS-B", bounds=limits, options=options) for s in starts]
    return min(runs, key=lambda run: run.fun)


@pytest.mark.parametrize("truth", [(2.0, 40.0, 6.0, 0.3), (30.0, 40.0, 6.0, 3.0)])
@pytest.mark.parametrize("kind", ["numpy", "dask"])
def test_the_likelihood_is_as_large_as_scipy_makes_it(truth: tuple[float, ...], kind: str) -> None:
    data = counted(truth)
    given = data if kind == "numpy" else data.chunk({"p": 25})
    found = usidx.fit(given, PEAK, "x", loss="poisson", bounds=POSITIVE).compute()
    assert found.converged.all()
    names = ("amplitude", "center", "sigma", "offset")
    for p in range(0, 60, 6):
        own = tuple(float(found[name][p]) for name in names)
        best = best_of_scipy(data[p].values, [truth, own])
        assert float(found.chi2[p]) == pytest.approx(deviance(data[p].values, peak(*own)), rel=1e-9)
        assert float(found.chi2[p]) <= best.fun + 1e-5
        assert float(found.redchi[p]) == pytest.approx(float(found.chi2[p]) / 76)


def test_a_constant_is_the_mean_with_its_error() -> None:
    counts = np.random.default_rng(0).poisson(0.4, size=(50, 200))
    found = usidx.fit(xr.DataArray(counts, dims=("p", "x")), Constant(), "x", loss="poisson")
    np.testing.assert_allclose(found.offset, counts.mean(1), rtol=1e-6)
    np.testing.assert_allclose(found.offset_stderr, np.sqrt(counts.mean(1) / 200), rtol=1e-4)
    same = usidx.fit(xr.DataArray(counts, dims=("p", "x")), Constant(), "x", loss="poisson", absolute_sigma=True)
    np.testing.assert_array_equal(same.offset_stderr, found.offset_stderr)


def test_errors_are_those_of_fishers_information() -> None:
    truth = (30.0, 40.0, 6.0, 3.0)
    data = counted(truth, 600)
    found = usidx.fit(data, PEAK, "x", loss="poisson", covariance=True)
    names = ("amplitude", "center", "sigma", "offset")
    own = np.array([float(found[name][0]) for name in names])
    step = 1e-6 * np.maximum(own, 1)
    slopes = np.array([(peak(*(own + s)) - peak(*(own - s))) / (2 * s.max()) for s in np.diag(step)])
    expected = np.linalg.inv((slopes / peak(*own)) @ slopes.T)
    np.testing.assert_allclose(found.covariance[0], expected, rtol=1e-4, atol=1e-6 * abs(expected).max())
    for k, name in enumerate(names):
        assert float(found[f"{name}_stderr"][0]) == pytest.approx(np.sqrt(expected[k, k]), rel=1e-4)
        away = (found[name] - truth[k]) / found[f"{name}_stderr"]
        assert 0.9 < float(away.std()) < 1.15
        assert abs(float(away.mean())) < 0.15


def test_functions_ties_and_held_parameters() -> None:
    data = counted((30.0, 40.0, 6.0, 3.0), 5)
    plain = usidx.fit(data, PEAK, "x", loss="poisson")

    def bump(x: Any, height: float = 25.0, place: float = 41.0, width: float = 5.0, c: float = 2.0) -> Any:
        return height * np.exp(-(((np.asarray(x) - place) / width) ** 2) / 2) + c

    called = usidx.fit(data, Model.from_function(bump), "x", loss="poisson")
    np.testing.assert_allclose(called.place, plain.center, atol=1e-3 * float(plain.center_stderr.max()))
    np.testing.assert_allclose(called.place_stderr, plain.center_stderr, rtol=1e-3)
    tied = usidx.fit(data, PEAK, "x", loss="poisson", tied={"offset": "0.1 * amplitude"}, fixed={"center": 40.0})
    assert (tied.center == 40).all()
    np.testing.assert_allclose(tied.offset, 0.1 * tied.amplitude)
    for p in range(5):
        own = data[p].values
        tolerance = {"xatol": 1e-9, "fatol": 1e-9}
        best = minimize(
            lambda g, own=own: deviance(own, peak(g[0], 40.0, g[1], 0.1 * g[0])),
            (30.0, 6.0),
            method="Nelder-Mead",
            options=tolerance,
        )
        assert float(tied.chi2[p]) == pytest.approx(best.fun, rel=1e-7)


def test_missing_samples_zeros_and_negative_counts() -> None:
    counts = np.random.default_rng(3).poisson(4.0, size=(4, 50)).astype(float)
    counts[0, ::2], counts[1], counts[2, 3] = np.nan, 0.0, -1.0
    found = usidx.fit(xr.DataArray(counts, dims=("p", "x")), Constant(), "x", loss="poisson")
    assert float(found.offset[0]) == pytest.approx(counts[0, 1::2].mean(), rel=1e-6)
    assert int(found.samples[0]) == 25
    assert float(found.offset[1]) == pytest.approx(0.0, abs=1e-9)
    assert np.isnan(found.offset[2])
    assert not found.converged[2]
    assert int(found.status[2]) == -4
    assert float(found.offset[3]) == pytest.approx(counts[3].mean(), rel=1e-6)


def test_likelihoods_compare() -> None:
    data = counted((0.0, 40.0, 6.0, 2.0), 300)
    line, flat = (usidx.fit(data, model, "x", loss="poisson") for model in (Linear(), Constant()))
    found = usidx.compare(flat, line)
    expected = [deviance(one, np.full(80, one.mean())) + np.log(80) for one in data.values]
    np.testing.assert_allclose(found.bic[:, 0], expected, rtol=1e-6)
    assert float((found.best == 0).mean()) > 0.9
    with pytest.raises(ResultError, match="The fits differ in the loss: 'poisson' and 'linear'"):
        usidx.compare(flat, usidx.fit(data, Linear(), "x"))


def test_what_is_no_count_is_refused() -> None:
    data = counted((30.0, 40.0, 6.0, 3.0), 2)
    with pytest.raises(UsidError, match="counts tell their own errors"):
        usidx.fit(data, PEAK, "x", loss="poisson", sigma=1.0)
    with pytest.raises(UsidError, match="is complex, and loss='poisson' is for counts"):
        usidx.fit(data * 1j, usidx.models.SHO(), "x", loss="poisson")
