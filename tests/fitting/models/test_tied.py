"""Parameters that follow from others: agreement with scipy on the formula with the tie written in."""

from typing import Any

import dask
import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import curve_fit

from tests.kit.truth import gaussian
from usidx.errors import SelectionError
from usidx.fitting.evaluate import evaluate
from usidx.fitting.fit import fit
from usidx.fitting.models.tied import tie
from usidx.models import Constant, Expression, Gaussian, Linear, Model
from usidx.results.provenance import find_last_step

Array = npt.NDArray[Any]
DOUBLET = Gaussian(prefix="a_") + Gaussian(prefix="b_") + Constant()
TIED = {"b_sigma": "a_sigma", "b_amplitude": "0.5 * a_amplitude"}
X = np.linspace(0.0, 12.0, 120)


def doublet(x: Array, amplitude: Any, a: Any, sigma: Any, b: Any, offset: Any) -> Array:
    total: Array = gaussian(x, amplitude, a, sigma) + gaussian(x, 0.5 * amplitude, b, sigma, offset)
    return total


def doublets(count: int = 60, noise: float = 0.02) -> tuple[xr.DataArray, dict[str, Array]]:
    rng = np.random.default_rng(8)
    truth = {
        "amplitude": rng.uniform(2, 4, count), "a": rng.uniform(3, 5, count), "sigma": rng.uniform(0.4, 0.8, count),
        "b": rng.uniform(6.5, 9, count), "offset": rng.uniform(-1, 1, count),
    }  # fmt: skip
    clean = doublet(X, *(v[:, None] for v in truth.values()))
    return xr.DataArray(
        clean + noise * rng.normal(size=clean.shape), dims=("p", "x"), coords={"x": ("x", X, {"units": "eV"})},
        attrs={"units": "V"},
    ), truth  # fmt: skip


@pytest.mark.parametrize("kind", ["numpy", "dask"])
def test_agrees_with_scipy_where_the_tie_is_written_in(kind: str) -> None:
    data, truth = doublets()
    found = fit(data if kind == "numpy" else data.chunk({"p": 7}), DOUBLET, "x", tied=TIED, covariance=True).compute()
    assert bool(found.converged.all())
    for k in range(0, 60, 6):
        start = [float(v[k]) for v in truth.values()]
        best, covariance = curve_fit(doublet, X, data.values[k], start, ftol=1e-14, xtol=1e-14)
        errors = np.sqrt(np.diag(covariance))
        own = ["a_amplitude", "a_center", "a_sigma", "b_center", "offset"]
        assert_allclose([float(found[n][k]) for n in own], best, rtol=1e-4)
        assert_allclose([float(found[f"{n}_stderr"][k]) for n in own], errors, rtol=2e-3)
        assert float(found.b_amplitude[k]) == pytest.approx(0.5 * best[0], rel=1e-5)
        assert float(found.b_amplitude_stderr[k]) == pytest.approx(0.5 * errors[0], rel=2e-3)
        assert float(found.b_sigma[k]) == float(found.a_sigma[k])
        between = found.covariance.sel(parameter="b_amplitude", parameter_2="a_sigma")[k]
        assert float(between) == pytest.approx(0.5 * covariance[0, 2], rel=2e-2)
    assert found.b_amplitude.units == "V eV"
    assert set(fit(data[:2], DOUBLET, "x", tied=TIED)) == set(fit(data[:2], DOUBLET, "x"))


def test_peaks_that_overlap_are_told_apart() -> None:
    # Two lines closer than their width: without the tie neither width nor ratio is determined well.
    rng = np.random.default_rng(9)
    centers = rng.uniform(4, 6, (200, 1))
    clean = gaussian(X, 3.0, centers, 0.7) + gaussian(X, 1.5, centers + 1.0, 0.7, 0.2)
    data = xr.DataArray(clean + 0.01 * rng.normal(size=clean.shape), dims=("p", "x"), coords={"x": X})
    tied = TIED | {"b_center": "a_center + 1.0"}
    found = fit(data, DOUBLET, "x", tied=tied)
    right = (abs(found.a_center - centers[:, 0]) < 5 * found.a_center_stderr) & found.converged
    assert right.mean() >= 0.995
    assert_array_equal(found.b_center, found.a_center + 1.0)


def test_standard_errors_are_propagated_through_any_formula() -> None:
    rng = np.random.default_rng(10)
    data = xr.DataArray(2 * X + 3 + 0.1 * rng.normal(size=(400, 120)), dims=("p", "x"), coords={"x": X})
    model = Linear() + Constant(prefix="extra_")
    found = fit(data, model, "x", tied={"extra_offset": "slope * intercept / 3 + exp(-slope)"})
    expected = found.slope * found.intercept / 3 + np.exp(-found.slope)
    assert_allclose(found.extra_offset, expected, rtol=1e-12)
    # The spread over noise is what the standard error says.
    assert float(found.extra_offset.std()) == pytest.approx(float(found.extra_offset_stderr.mean()), rel=0.1)


def test_ties_go_through_ties_and_fixed_parameters() -> None:
    data, _ = doublets(6)
    model = Gaussian(prefix="a_") + Gaussian(prefix="b_") + Gaussian(prefix="c_") + Constant()
    tied = {"c_sigma": "2 * b_sigma", "b_sigma": "a_sigma", "c_center": "b_center", "b_amplitude": "0.5 * a_amplitude"}
    found = fit(data, model, "x", tied=tied, fixed={"c_amplitude": 0.0})
    assert_allclose(found.c_sigma, 2 * found.a_sigma, rtol=1e-12)
    assert_allclose(found.a_center, fit(data, DOUBLET, "x", tied=TIED).a_center, rtol=1e-6)


def test_functions_and_formulas_are_tied_alike() -> None:
    data, truth = doublets(8)
    text = "h * exp(-0.5 * ((x - a) / s)**2) + k * exp(-0.5 * ((x - b) / t)**2) + c"
    start: dict[str, Any] = {
        "a": xr.DataArray(truth["a"] + 0.1, dims="p"),
        "b": xr.DataArray(truth["b"] - 0.1, dims="p"),
        "s": 0.6,
    }
    tied = {"t": "s", "k": "h / 2"}
    plain = fit(data, Expression(text), "x", start=start | {"h": 2.0, "c": 0.0}, tied=tied, covariance=True)

    def both(x: Array, h: Array, a: Array, s: Array, k: Array, b: Array, t: Array, c: float = 0.0) -> Array:
        first: Array = h * np.exp(-0.5 * ((x - a) / s) ** 2)
        second: Array = k * np.exp(-0.5 * ((x - b) / t) ** 2) + c
        return first + second

    called = fit(data, Model.from_function(both), "x", start=start | {"h": 2.0}, tied=tied, covariance=True)
    for name in ("h", "a", "s", "k", "b", "t", "c"):
        assert_allclose(called[name], plain[name], rtol=1e-4, atol=1e-6)
        assert_allclose(called[f"{name}_stderr"], plain[f"{name}_stderr"], rtol=1e-3)


def test_failed_spectra_stay_failed_and_bounds_leave_no_error() -> None:
    data, _ = doublets(5)
    data[2] = np.nan
    found = fit(data, DOUBLET, "x", tied=TIED, bounds={"a_sigma": (0.9, 2.0)})
    assert not bool(found.converged[2])
    assert np.isnan(found.b_sigma[2])
    held = (found.status == 2) & (found.a_sigma == 0.9)
    assert bool(held.any())
    assert found.b_sigma_stderr.where(held).isnull().all()
    assert (found.b_amplitude_stderr.where(held, 1.0) > 0).all()


def test_ties_travel_to_workers() -> None:
    data, _ = doublets(4)
    found = fit(data.chunk({"p": 2}), DOUBLET, "x", tied=TIED)
    with dask.config.set(scheduler="processes", num_workers=1):
        elsewhere = found.compute()
    assert_array_equal(elsewhere.b_amplitude, found.compute().b_amplitude)
    assert bool(elsewhere.converged.all())


def test_recipe_holds_the_ties_and_the_result_evaluates() -> None:
    data, _ = doublets(4)
    found = fit(data, DOUBLET, "x", tied=TIED)
    step = find_last_step(found, "fit")
    assert step is not None
    assert step["parameters"]["tied"] == TIED
    own = [found[n].values[:, None] for n in ("a_amplitude", "a_center", "a_sigma", "b_center", "offset")]
    assert_allclose(evaluate(found), doublet(X, *own), rtol=1e-9)


def test_reduced_model_has_exact_derivatives() -> None:
    model = tie(DOUBLET, {"b_sigma": "a_sigma * exp(-a_center)"}).reduce()
    at = {"a_amplitude": 2.0, "a_center": 0.4, "a_sigma": 0.6, "b_amplitude": 1.0, "b_center": 3.0, "offset": 0.1}
    for name, slope in model.jacobian(X, **at).items():
        high, low = (model(X, **(at | {name: at[name] + s})) for s in (1e-6, -1e-6))
        assert_allclose(np.broadcast_to(slope, X.shape), (high - low) / 2e-6, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("tied", "message"),
    [
        ({"c_sigma": "a_sigma"}, r"tied: no parameter 'c_sigma' in the model"),
        ({"b_sigma": "c_sigma"}, r"tied: no parameter 'c_sigma' in the model; its parameters are"),
        ({"b_sigma": "x * a_sigma"}, r"tied: no parameter 'x' in the model"),
        ({"b_sigma": "0.5"}, r"tied: '0.5' has no parameter. Hold 'b_sigma' at a number with fixed="),
        ({"b_sigma": "1j * a_sigma"}, r"tied: '1j \* a_sigma' is complex"),
        ({"b_sigma": "b_sigma"}, r"tied: b_sigma -> b_sigma is a circle"),
        ({"b_sigma": "a_sigma", "a_sigma": "2 * b_sigma"}, r"tied: b_sigma -> a_sigma -> b_sigma is a circle"),
        ({"b_sigma": "a_sigma.real"}, r"'a_sigma.real' is not allowed in a formula"),
    ],
)
def test_what_cannot_be_tied_is_refused(tied: dict[str, str], message: str) -> None:
    data, _ = doublets(2)
    with pytest.raises(SelectionError, match=message):
        fit(data, DOUBLET, "x", tied=tied)


@pytest.mark.parametrize("option", ["bounds", "start", "fixed"])
def test_more_about_a_tied_parameter_is_refused(option: str) -> None:
    data, _ = doublets(2)
    given: dict[str, Any] = {option: {"b_sigma": (0.0, 1.0) if option == "bounds" else 1.0}}
    with pytest.raises(SelectionError, match=f"{option}: 'b_sigma' is tied, so it follows from other parameters"):
        fit(data, DOUBLET, "x", tied=TIED, **given)
