"""Fits of Python functions: agreement with scipy and with the compiled models, functions that do not broadcast."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import curve_fit, least_squares

import usidx
from tests.kit.truth import gaussian, oscillator
from usidx.errors import ResultError, SelectionError, UsidError
from usidx.fitting.evaluate import evaluate, residual
from usidx.fitting.fit import fit
from usidx.models import SHO, Constant, Function, Gaussian, Model
from usidx.results.provenance import find_last_step

Maker = Callable[..., tuple[xr.DataArray, xr.Dataset]]
Array = npt.NDArray[Any]
COMPILED = Gaussian() + Constant()


def peak(x: Array, amplitude: Array, center: Array, sigma: float = 0.8, offset: float = 0.0) -> Array:
    return amplitude / (sigma * 2.5066282746310002) * np.exp(-0.5 * ((x - center) / sigma) ** 2) + offset


def whole(x: Array, amplitude: Array, center: Array, sigma: float = 0.8, offset: float = 0.0) -> Array:
    return peak(np.asarray(x, float), amplitude, center, sigma, offset)  # wants numbers, so it cannot be followed


def one_by_one(x: Array, amplitude: float, center: float, sigma: float = 0.8, offset: float = 0.0) -> list[float]:
    height = amplitude / (sigma * math.sqrt(2 * math.pi))
    return [height * math.exp(-0.5 * ((v - center) / sigma) ** 2) + offset for v in x]


def over_its_maximum(x: Array, amplitude: float, center: float, sigma: float = 0.8, offset: float = 0.0) -> Array:
    shape = np.exp(-0.5 * ((x - center) / sigma) ** 2)
    normal: Array = amplitude / (sigma * 2.5066282746310002) * shape / shape.max() + offset
    return normal


def near(truth: xr.Dataset) -> dict[str, Any]:
    return {"amplitude": 1.1 * truth.amplitude, "center": truth.center + 0.1}


@pytest.mark.parametrize("function", [peak, whole, one_by_one], ids=["is followed", "broadcasts", "does not"])
def test_agrees_with_scipy_pixel_by_pixel(peaks: Maker, function: Callable[..., Any]) -> None:
    data, truth = peaks(shape=(3, 4))
    found = fit(data, Model.from_function(function), start=near(truth), covariance=True)
    assert bool(found.converged.all())
    for y, x in np.ndindex(3, 4):
        here = {"Y": y, "X": x}
        start = [float(truth[name][here]) for name in truth]
        best, covariance = curve_fit(gaussian, data.Energy.values, data[here].values, start, ftol=1e-14, xtol=1e-14)
        assert_allclose([float(found[name][here]) for name in truth], best, rtol=2e-5, atol=1e-7)
        assert_allclose(
            [float(found[f"{name}_stderr"][here]) for name in truth], np.sqrt(np.diag(covariance)), rtol=1e-3
        )
        scale = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
        assert_allclose(found.covariance[here] / scale, covariance / scale, atol=1e-3)


def test_a_function_whose_shape_broadcasts_and_values_do_not_is_called_one_by_one(peaks: Maker) -> None:
    data, truth = peaks(shape=(3, 4))
    found = fit(data, Model.from_function(over_its_maximum), start=near(truth))
    for y, x in np.ndindex(3, 4):
        here = {"Y": y, "X": x}
        start = [float(truth[name][here]) for name in truth]
        best, _ = curve_fit(over_its_maximum, data.Energy.values, data[here].values, start, ftol=1e-14, xtol=1e-14)
        assert_allclose([float(found[name][here]) for name in truth], best, rtol=1e-3, atol=1e-4)


def whole_oscillator(x: Array, amplitude: Array, frequency: Array, quality_factor: Array, phase: Array) -> Any:
    return oscillator(np.asarray(x, float), amplitude, frequency, quality_factor, phase)


@pytest.mark.parametrize("response", [oscillator, whole_oscillator], ids=["is followed", "broadcasts"])
def test_complex_function_agrees_with_the_compiled_oscillator(oscillators: Maker, response: Callable[..., Any]) -> None:
    data, truth = oscillators(shape=(4, 5))
    start = {str(name): truth[name] * 1.002 for name in truth}
    found = fit(data, Model.from_function(response, complex_valued=True), start=start)
    plain = fit(data, SHO(), start=start)
    for name in truth:
        away = np.angle(np.exp(1j * (found[name] - plain[name]))) if name == "phase" else found[name] - plain[name]
        assert (abs(np.asarray(away)) < 1e-3 * plain[f"{name}_stderr"].values).all()
        assert_allclose(found[f"{name}_stderr"], plain[f"{name}_stderr"], rtol=1e-4)
    for name in ("chi2", "redchi", "r2", "samples"):
        assert_allclose(found[name], plain[name], rtol=1e-7)


OPTIONS: dict[str, dict[str, Any]] = {
    "fixed": {"fixed": {"sigma": 0.7}},
    "bounds": {"bounds": {"offset": (-0.9, 0.9), "amplitude": (0.5, 5.0)}},
    "huber": {"loss": "huber", "loss_scale": 0.02},
    "soft_l1": {"loss": "soft_l1", "loss_scale": 0.02},
    "cauchy": {"loss": "cauchy", "loss_scale": 0.02},
    "sigma": {"sigma": xr.DataArray(np.linspace(0.01, 0.05, 60), dims="Energy")},
    "absolute": {"sigma": 0.02, "absolute_sigma": True, "covariance": True},
}


@pytest.mark.parametrize("function", [peak, whole], ids=["is followed", "broadcasts"])
@pytest.mark.parametrize("name", OPTIONS)
def test_options_mean_what_they_mean_for_compiled_models(peaks: Maker, name: str, function: Callable[..., Any]) -> None:
    data, truth = peaks(shape=(4, 5))
    data[0, 1, ::7] = np.nan
    start = {str(k): truth[k] for k in truth if k not in OPTIONS[name].get("fixed", {})}
    found = fit(data, Model.from_function(function), start=start, **OPTIONS[name])
    plain = fit(data, COMPILED, start=start, **OPTIONS[name])
    # Where no fit ends well, the reasons may differ: derivatives by differences are not exact.
    assert_array_equal(found.status.where(plain.converged), plain.status.where(plain.converged))
    assert_array_equal(found.converged, plain.converged)
    assert set(found) == set(plain)
    done = plain.converged
    for variable in found.data_vars:
        if variable not in {"nfev", "covariance"}:
            assert_allclose(found[variable].where(done), plain[variable].where(done), rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize("function", [peak, whole], ids=["is followed", "broadcasts"])
def test_bounded_function_agrees_with_scipy(peaks: Maker, function: Callable[..., Any]) -> None:
    data, truth = peaks(shape=(2, 3), noise=0.05)
    low, high = [0.5, -2.6, 0.5, -1.0], [3.0, 2.6, 0.8, 0.2]
    bounds = dict(zip(map(str, truth), zip(low, high, strict=True), strict=True))
    found = fit(data, Model.from_function(function), start=near(truth), bounds=bounds)
    for y, x in np.ndindex(2, 3):
        here = {"Y": y, "X": x}

        def left(p: Array, here: dict[str, int] = here) -> Array:
            away: Array = data[here].values - gaussian(data.Energy.values, *p)
            return away

        begin = np.clip(
            [float(v) for v in (*[near(truth)[n][here] for n in ("amplitude", "center")], 0.7, 0.0)], low, high
        )
        best = least_squares(left, begin, bounds=(low, high))
        assert float(found.chi2[here]) <= 2 * best.cost * (1 + 1e-6)


@pytest.mark.parametrize("function", [peak, whole], ids=["is followed", "broadcasts"])
def test_hopeless_spectra_are_flagged_and_touch_no_other(peaks: Maker, function: Callable[..., Any]) -> None:
    data, truth = peaks(shape=(4, 3))
    alone = fit(data, Model.from_function(function), start=near(truth))
    spoilt = data.copy()
    spoilt[0, 1], spoilt[1, 1], spoilt[2, 1] = np.nan, 3.7e-9, np.inf
    spoilt[3, 1] = np.where(np.arange(60) == 7, 1e300, -1e300)
    found = fit(spoilt, Model.from_function(function), start=near(truth))
    meanings = dict(zip(found.status.flag_values, found.status.flag_meanings.split(), strict=True))
    reasons = [meanings[int(s)] for s in found.status[:, 1]]
    assert reasons == ["too_few_samples", "undetermined", "too_few_samples", "not_finite"]
    assert found.amplitude[:, 1].isnull().all()
    for name in found.data_vars:
        assert_array_equal(found[name].isel(X=[0, 2]), alone[name].isel(X=[0, 2]))


@pytest.mark.parametrize("function", [peak, whole, one_by_one], ids=["is followed", "broadcasts", "does not"])
@pytest.mark.parametrize("chunks", [{"Y": 1, "X": 1, "Energy": 1}, {"Y": 3, "X": 2}, {"X": 4, "Energy": 17}])
def test_any_chunking_gives_the_same_bits(peaks: Maker, function: Callable[..., Any], chunks: dict[str, int]) -> None:
    data, truth = peaks(shape=(4, 5))
    model = Model.from_function(function)
    eager, lazy = fit(data, model, start=near(truth)), fit(data.chunk(chunks), model, start=near(truth))
    assert lazy.amplitude.chunks is not None
    for variable in eager.data_vars:
        assert_array_equal(eager[variable], lazy[variable].compute())


def test_scales_far_from_one_and_start_values_of_zero() -> None:
    rng = np.random.default_rng(3)
    x = np.linspace(-4e-9, 4e-9, 80)
    center = rng.uniform(-1e-9, 1e-9, 30)
    clean = 3e-12 * np.exp(-0.5 * ((x - center[:, None]) / 8e-10) ** 2) + 1e-12
    data = xr.DataArray(clean + 2e-14 * rng.normal(size=clean.shape), dims=("p", "x"), coords={"x": x})

    def hill(x: Array, height: float = 1e-12, center: float = 0.0, sigma: float = 1e-9, offset: float = 0.0) -> Array:
        x = np.asarray(x, float)  # not followed: derivatives are differences
        return height * np.exp(-0.5 * ((x - center) / sigma) ** 2) + offset

    found = fit(data, Model.from_function(hill), "x")
    assert bool(found.converged.all())
    assert (abs(found.center - center) < 5 * found.center_stderr).all()
    assert (abs(found.offset - 1e-12) < 5 * found.offset_stderr).all()


def test_coordinate_that_changes_and_two_coordinates() -> None:
    rng = np.random.default_rng(4)
    own = xr.DataArray(np.linspace(0, 5, 40) + rng.uniform(0, 1, (6, 1)), dims=("p", "x"))
    data = xr.DataArray(3.0 * np.exp(-own.values / 1.7) + 0.01 * rng.normal(size=(6, 40)), dims=("p", "x"))
    data = data.assign_coords(own=own)
    found = fit(data, Model.from_function(lambda t, a=1.0, tau=1.0: a * np.exp(-t / tau)), "x", coordinate="own")
    assert_allclose(found.tau, 1.7, rtol=0.05)
    assert_allclose(evaluate(found, model=Model.from_function(lambda t, a, tau: a * np.exp(-t / tau))), data, atol=0.05)
    plane = xr.DataArray(np.arange(5.0)[:, None] * 2 - np.arange(4.0) + 3, dims=("v", "u"))
    tilted = fit(plane, Model.from_function(lambda v, u, a=0.0, b=0.0, c=0.0: a * v + b * u + c, coordinates=2))
    assert [float(tilted[n]) for n in "abc"] == pytest.approx([2.0, -1.0, 3.0])


def test_result_names_the_function_and_needs_it_again(peaks: Maker, tmp_path: Path) -> None:
    data, truth = peaks(shape=(2, 3))
    model = Model.from_function(peak)
    result = fit(data, model, start=near(truth))
    result.to_netcdf(tmp_path / "result.nc", engine="h5netcdf")
    again = xr.open_dataset(tmp_path / "result.nc", engine="h5netcdf").load()
    step = find_last_step(again, "fit")
    assert step is not None
    assert step["parameters"]["model"]["function"] == "tests.fitting.models.test_function.peak"
    assert "2.5066" not in str(step)
    with pytest.raises(
        ResultError, match=r"the Python function 'tests.fitting.models.test_function.peak' .* not its code: pass model="
    ):
        evaluate(again)
    values = evaluate(again, model=model)
    expected = gaussian(data.Energy.values, *(again[n].values[..., None] for n in truth))
    assert_allclose(values, expected, rtol=1e-10)
    assert_allclose(residual(again, data, model=model), data - expected, atol=1e-12)
    with pytest.raises(ResultError, match=r"has the parameters \['a'\], but what was fitted is .*peak' with the param"):
        evaluate(again, model=Model.from_function(lambda x, a: a * x))
    with pytest.raises(ResultError, match=r"but what was fitted is .*Gaussian.* with the parameters \['amplitude'"):
        evaluate(fit(data, COMPILED), model=model)


def test_functions_of_one_name_have_different_recipes() -> None:
    assert Model.from_function(peak).describe() == Model.from_function(peak).describe()
    made = [Model.from_function(lambda x, a, k=k: a * x**k).describe() for k in (1, 2)]
    assert made[0]["function"] == made[1]["function"]
    assert made[0]["token"] != made[1]["token"]


def test_domain_errors_are_failed_evaluations() -> None:
    x = np.linspace(1, 5, 30)
    data = xr.DataArray(np.stack([2.0 * np.sqrt(x - 0.5), np.sqrt(x)]), dims=("p", "x"), coords={"x": x})

    def root(x: Array, a: float = 1.0, b: float = 0.9) -> list[float]:
        return [a * math.sqrt(v - b) for v in x]

    found = fit(data, Model.from_function(root), "x")
    assert_allclose(found.b, [0.5, 0.0], atol=1e-6)


def test_errors_say_what_to_do(peaks: Maker) -> None:
    data, _ = peaks(shape=(1, 2))
    with pytest.raises(SelectionError, match=r"start: 'amplitude' has no start value.*or a default in the function's"):
        fit(data, Model.from_function(peak))
    with pytest.raises(SelectionError, match=r"has no parameters: its signature names 1 coordinate"):
        Model.from_function(lambda x: x)
    with pytest.raises(SelectionError, match=r"'\*args' is no parameter"):
        Model.from_function(lambda x, *args: x)
    with pytest.raises(SelectionError, match=r"kind='a'.* is no parameter"):
        Model.from_function(lambda x, a, kind="a": a * x)
    with pytest.raises(UsidError, match="is a Python function, so there is no formula"):
        Model.from_function(peak).formula((), {})
    with pytest.raises(
        UsidError, match=r"returns complex values; say so: from_function\(\.\.\., complex_valued=True\)"
    ):
        fit(data, Model.from_function(lambda x, a=1.0: a * x * 1j))
    with pytest.raises(UsidError, match=r"returned an array of shape \(3,\) and dtype float64 for 60 samples"):
        fit(data, Model.from_function(lambda x, a=1.0: a * x[:3]))
    with pytest.raises(SelectionError, match=r"takes 1 coordinate\(s\) and the parameters"):
        Model.from_function(peak)(data.Energy.values, a=1.0)
    assert_allclose(Model.from_function(peak)(0.0, amplitude=1.0, center=0.0, sigma=1.0, offset=2.0), 2.3989422804)
    assert isinstance(usidx.models.Model.from_expression("a * x"), usidx.models.Expression)
    assert Model.from_function(peak) == Function(peak)
