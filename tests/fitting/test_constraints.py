"""Knowing more never makes a fit worse: fixed, bounded, tied and started parameters, whatever the order of terms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr
from numpy.testing import assert_allclose
from scipy.optimize import curve_fit
from scipy.special import erf

import usidx
from usidx import models
from usidx.models import (
    SHO,
    Constant,
    Exponential,
    Fano,
    Gaussian,
    Linear,
    Lorentzian,
    Model,
    PowerLaw,
    Sine,
    Step,
    StretchedExponential,
    Voigt,
)  # fmt: skip

Array = npt.NDArray[np.float64]
Truth = dict[str, Array]
COUNT = 10
X = np.linspace(0.5, 10.5, 100)
LINEAR = ("amplitude", "slope", "intercept", "offset")


def _peak(kind: Callable[..., Model], prefix: str, low: float, high: float, **widths: tuple[float, float]) -> Any:
    return kind(prefix=prefix), {"amplitude": (1, 4), "center": (low, high), **widths}


def _make_sums() -> dict[str, list[Any]]:
    left = _peak(Gaussian, "a_", 2, 4, sigma=(0.3, 0.9))
    right = _peak(Gaussian, "b_", 6.5, 9, sigma=(0.3, 0.9))
    line = _peak(Lorentzian, "b_", 6, 9, sigma=(0.3, 0.9))
    decay = (Exponential(prefix="a_"), {"amplitude": (2, 5), "tau": (0.8, 3)})
    return {
        "two peaks": [left, right, (Constant(), {"offset": (-1, 1)})],
        "peak on decay": [line, decay],
        "decay and peak": [decay, line],
        "peak on power law": [line, (PowerLaw(prefix="a_"), {"amplitude": (3, 6), "exponent": (-1.5, -0.5)})],
        "voigt on slope": [
            _peak(Voigt, "a_", 3, 8, sigma=(0.3, 0.8), gamma=(0.3, 0.8)),
            (Linear(), {"slope": (-0.2, 0.2), "intercept": (-1, 1)}),
        ],
        "step and peak": [_peak(Step, "a_", 2, 4, width=(0.2, 0.8)), right],
        "wave on decay": [
            (Sine(prefix="b_"), {"amplitude": (1, 2), "frequency": (0.3, 1.5), "phase": (-2.5, 2.5)}), decay,
        ],
        "fano on stretched decay": [
            (Fano(prefix="b_"), {"amplitude": (1, 2), "center": (5, 8), "width": (0.5, 1.5), "q": (0.4, 1.5)}),
            (StretchedExponential(prefix="a_"), {"amplitude": (2, 4), "tau": (1, 3), "beta": (0.6, 1.2)}),
        ],
    }  # fmt: skip


SUMS = _make_sums()


def make_map(name: str) -> tuple[Model, xr.DataArray, Truth]:
    """Return a sum, spectra with one percent of noise, and the parameters that they were made with."""
    rng = np.random.default_rng(3)
    terms = [term for term, _ in SUMS[name]]
    model = terms[0]
    for term in terms[1:]:
        model = model + term
    truth = {str(t.prefix) + k: rng.uniform(r[0], r[1], COUNT) for t, ranges in SUMS[name] for k, r in ranges.items()}
    clean = model(X, **{k: v[:, None] for k, v in truth.items()})
    noisy = clean + 0.01 * np.ptp(clean, axis=1, keepdims=True) * rng.normal(size=clean.shape)
    return model, xr.DataArray(noisy, dims=("p", "x"), coords={"x": X}), truth


def count_right(model: Model, data: xr.DataArray, truth: Truth, **known: Any) -> int:
    """Count fits that leave no more than the truth does, but for what chance explains."""
    found = usidx.fit(data, model, "x", **known)
    clean = model(X, **{k: v[:, None] for k, v in truth.items()})
    return int((found.converged & (found.chi2 < 1.02 * ((data.values - clean) ** 2).sum(axis=1))).sum())


def list_ways(truth: Truth) -> dict[str, dict[str, Any]]:
    """Return what can be known of a fit, by what it is called."""
    ways: dict[str, dict[str, Any]] = {}
    shaped = [k for k in truth if not k.endswith(LINEAR)]
    per_spectrum = {k: xr.DataArray(v, dims="p") for k, v in truth.items()}
    for name in truth:
        ways[f"fixed {name}"] = {"fixed": {name: per_spectrum[name]}}
    for name in shaped:
        margin = 0.1 * np.ptp(truth[name])
        ways[f"bounded {name}"] = {"bounds": {name: (truth[name].min() - margin, truth[name].max() + margin)}}
        ways[f"started {name}"] = {"start": {name: per_spectrum[name]}}
    ways["started roughly"] = {"start": {k: 1.2 * per_spectrum[k] for k in shaped}}
    return ways


@pytest.mark.parametrize("name", SUMS)
def test_knowing_more_never_makes_a_fit_worse(name: str) -> None:
    model, data, truth = make_map(name)
    free = count_right(model, data, truth)
    assert free == COUNT
    counts = {way: count_right(model, data, truth, **known) for way, known in list_ways(truth).items()}
    assert {way: n for way, n in counts.items() if n < free} == {}


@pytest.mark.parametrize("split", [1.5, 3.0])
@pytest.mark.parametrize("ratio", [1.0, 2.0])
def test_tied_doublets(split: float, ratio: float) -> None:
    rng = np.random.default_rng(11)
    x = np.linspace(-5, 5, 80)
    first, second, width, center = (rng.uniform(r[0], r[1], (40, 1)) for r in ((1, 5), (1, 5), (0.4, 1), (-1.5, 0)))
    clean = first * np.exp(-0.5 * ((x - center) / width) ** 2) + 1
    clean = clean + second * np.exp(-0.5 * ((x - center - split) / (ratio * width)) ** 2)
    data = xr.DataArray(clean + 0.02 * rng.normal(size=clean.shape), dims=("p", "x"), coords={"x": x})
    model = Gaussian("height", prefix="a_") + Gaussian("height", prefix="b_") + Constant()
    tied = {"b_center": f"a_center + {split}", "b_sigma": f"{ratio} * a_sigma"}
    found = usidx.fit(data, model, "x", tied=tied)
    assert bool(found.converged.all())
    assert bool((found.chi2 < ((data.values - clean) ** 2).sum(axis=1)).all())
    assert_allclose(found.a_center, center[:, 0], atol=0.3)


@pytest.mark.parametrize("part", [0.25, 0.4])
def test_peaks_nearly_as_broad_as_the_window(part: float) -> None:
    rng = np.random.default_rng(0)
    x, center = np.linspace(-10, 10, 120), rng.uniform(-3, 3, (40, 1))

    def curve(x: Array, a: Any, c: Any, s: Any, b: Any) -> Array:
        return np.asarray(a * np.exp(-0.5 * ((x - c) / s) ** 2) + b)

    y = curve(x, 10.0, center, 20 * part, 1.0) + 0.02 * rng.normal(size=(40, 120))
    data = xr.DataArray(y, dims=("p", "x"), coords={"x": x})
    found = usidx.fit(data, Gaussian("height") + Constant(), "x")
    for i in range(len(y)):
        best = curve_fit(curve, x, y[i], (10, center[i, 0], 20 * part, 1))[0]
        assert_allclose(float(found.chi2[i]), ((curve(x, *best) - y[i]) ** 2).sum(), rtol=1e-3)


@pytest.mark.parametrize("shape", ["erf", "logistic", "arctan"])
def test_steps_sharper_than_a_sample(shape: str) -> None:
    rng = np.random.default_rng(1)
    x, center = np.linspace(-5, 5, 101), rng.uniform(-4, 4, (30, 1))
    y = np.where(x > center, 2.5, 0.5) + 0.02 * rng.normal(size=(30, 101))
    found = usidx.fit(xr.DataArray(y, dims=("p", "x"), coords={"x": x}), Step(shape) + Constant(), "x")
    assert bool(found.converged.all())
    assert_allclose(found.center, center[:, 0], atol=0.1)
    assert_allclose(found.amplitude, 2.0, atol=0.05)


def test_a_formula_from_a_rough_start() -> None:
    rng = np.random.default_rng(2)
    x, center = np.linspace(-5, 5, 100), rng.uniform(-2, 2, (36, 1))
    y = rng.uniform(2, 6, (36, 1)) * np.exp(-(((x - center) / rng.uniform(0.3, 2, (36, 1))) ** 2))
    data = xr.DataArray(y + 0.02 * rng.normal(size=y.shape), dims=("p", "x"), coords={"x": x})
    hill = Model.from_expression("h * exp(-((x - x0) / w) ** 2)")
    for x0 in (0.0, -4.0):
        found = usidx.fit(data, hill, "x", start={"h": 1.0, "w": 1.0, "x0": x0})
        assert bool(found.converged.all())
        assert_allclose(found.x0, center[:, 0], atol=0.05)


def _make_pair() -> xr.DataArray:
    rng = np.random.default_rng(5)
    x = np.linspace(-5, 5, 100)
    low, high, heights = rng.uniform(-3.5, -0.8, (80, 1)), rng.uniform(0.8, 3.5, (80, 1)), rng.uniform(1, 3, (2, 80, 1))
    y = heights[0] * np.exp(-2 * (x - low) ** 2) + heights[1] * np.exp(-2 * (x - high) ** 2)
    return xr.DataArray(y + 0.02 * rng.normal(size=y.shape), dims=("p", "x"), coords={"x": x})


def test_equal_terms_are_in_order_of_their_position() -> None:
    model = Gaussian("height", prefix="a_") + Gaussian("height", prefix="b_")
    data = _make_pair()
    for known in ({}, {"tied": {"b_sigma": "a_sigma"}}, {"fixed": {"a_sigma": 0.5, "b_sigma": 0.5}}):
        found = usidx.fit(data, model, "x", covariance=True, **known)
        assert bool((found.a_center < found.b_center).all())
        for name in ("a_center", "b_amplitude"):
            own = found.covariance.sel(parameter=name, parameter_2=name)
            assert_allclose(found[f"{name}_stderr"] ** 2, own)


@pytest.mark.parametrize("known", [{"bounds": {"a_center": (0, 5)}}, {"tied": {"a_center": "b_center + 2"}}])
def test_what_is_said_of_one_term_decides_which_it_is(known: dict[str, Any]) -> None:
    model = models.Gaussian("height", prefix="a_") + models.Gaussian("height", prefix="b_")
    found = usidx.fit(_make_pair(), model, "x", **known)
    assert float(found.converged.mean()) > 0.8
    assert bool((found.a_center > found.b_center).where(found.converged, True).all())


@pytest.mark.parametrize("known", [{"a_center": 2.0}, {"a_center": 2.0, "b_center": -2.0}])
@pytest.mark.parametrize("as_map", [False, True])
def test_start_values_say_which_of_two_equal_terms_is_which(known: dict[str, Any], as_map: bool) -> None:
    data = _make_pair()
    model = Gaussian("height", prefix="a_") + Gaussian("height", prefix="b_")
    start = {k: xr.DataArray(np.full(80, v), dims="p") for k, v in known.items()} if as_map else known
    found, free = usidx.fit(data, model, "x", start=start), usidx.fit(data, model, "x")
    assert_allclose(found.a_center, free.b_center, atol=1e-4)
    assert_allclose(found.b_center, free.a_center, atol=1e-4)
    assert_allclose(found.a_amplitude_stderr, free.b_amplitude_stderr, rtol=1e-3)


def test_two_edges_on_a_power_law_from_rough_centers() -> None:
    rng = np.random.default_rng(3)
    energy = np.arange(350, 850, 1.0)
    before, rate = rng.uniform(2000, 8000, (8, 1)), rng.uniform(-4, -2.5, (8, 1))
    centers = 456 + rng.normal(0, 1, (8, 1)), 532 + rng.normal(0, 1, (8, 1))
    y = before * (energy / 350) ** rate
    for part, center in zip((0.2, 0.15), centers, strict=True):
        y = y + part * before * 0.5 * (1 + erf((energy - center) / 3))
    data = xr.DataArray(rng.poisson(y).astype(float), dims=("p", "E"), coords={"E": energy})
    model = PowerLaw() + Step(prefix="a_") + Step(prefix="b_")
    for first, second in (("a_center", "b_center"), ("b_center", "a_center")):
        found = usidx.fit(data, model, "E", start={first: 450.0, second: 540.0})
        assert_allclose(found[first], centers[0][:, 0], atol=3)
        assert_allclose(found[second], centers[1][:, 0], atol=3)


@pytest.mark.parametrize("known", ["fixed", "bounds"])
def test_what_is_found_without_knowing_is_found_with_it(known: str) -> None:
    # All searches that hold the width at its value end in another minimum here; those that do not lead out of it.
    truth = {"a_amplitude": 1.79, "a_center": -2.26, "a_sigma": 0.54, "a_gamma": 0.74}
    truth |= {"b_amplitude": 2.45, "b_center": 1.1, "b_width": 1.0, "b_q": 1.73}
    model, x = Voigt(prefix="a_") + Fano(prefix="b_"), np.linspace(-5, 5, 100)
    clean = model(x, **truth)
    noise = np.stack([np.random.default_rng(seed).normal(size=100) for seed in (3, 4, 7, 9, 11)])
    data = xr.DataArray(clean + 0.01 * np.ptp(clean) * noise, dims=("p", "x"), coords={"x": x})
    least = ((data - clean) ** 2).sum("x")
    said: dict[str, Any] = {"fixed": {"a_sigma": 0.54}} if known == "fixed" else {"bounds": {"a_sigma": (0.25, 0.85)}}
    free, found = usidx.fit(data, model, "x"), usidx.fit(data, model, "x", **said)
    assert (free.converged & found.converged).all()
    # Without what is known one may fail, where the machine rounds in another way.
    assert (free.chi2 < least).sum() >= 4
    assert (found.chi2 < least).where(free.chi2 < least, True).all()


@pytest.mark.parametrize("known", ["a_phase", "b_quality_factor"])
def test_of_two_oscillators_one_may_be_known(known: str) -> None:
    rng, count, x = np.random.default_rng(5), 12, np.linspace(300e3, 350e3, 160)
    truth: dict[str, Any] = {}
    for prefix, place in (("a_", (308e3, 318e3)), ("b_", (330e3, 342e3))):
        ranges = {"amplitude": (1, 4), "frequency": place, "quality_factor": (60, 250), "phase": (-2.5, 2.5)}
        truth |= {prefix + name: rng.uniform(*limits, (count, 1)) for name, limits in ranges.items()}
    model = SHO(prefix="a_") + SHO(prefix="b_")
    clean = model(x, **truth)
    noisy = clean + 2.0 * (rng.normal(size=clean.shape) + 1j * rng.normal(size=clean.shape))
    data = xr.DataArray(noisy, dims=("p", "x"), coords={"x": x})
    least = (abs(noisy - clean) ** 2).sum(axis=1)
    fixed = {known: xr.DataArray(truth[known][:, 0], dims="p")}
    wrong = [(~found.converged | (found.chi2 > 1.1 * least)).values for found in (
        usidx.fit(data, model, "x"), usidx.fit(data, model, "x", fixed=fixed)
    )]  # fmt: skip
    assert (wrong[1] <= wrong[0]).all()
