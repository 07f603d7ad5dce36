"""Start values from templates: truth recovered without any given, missing samples, bounds, any blocks."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal

from usidx.fitting.fit import fit
from usidx.models import (
    BreitWignerFano,
    Constant,
    Diode,
    Exponential,
    Fano,
    Gaussian2D,
    Langmuir,
    Linear,
    Model,
    PowerLaw,
    Sine,
    Step,
    StretchedExponential,
)

Array = npt.NDArray[Any]
Ranges = dict[str, tuple[float, float]]
WIDE, LONG = np.linspace(-5, 5, 100), np.linspace(0, 12, 150)


def double(x: Array, a: Array, s: Array, b: Array, t: Array, c: Array) -> Array:
    total: Array = a * np.exp(-x / s) + b * np.exp(-x / t) + c
    return total


def bwf(x: Array, a: Array, m: Array, w: Array, p: Array, k: Array, c: Array) -> Array:
    t = (x - m) / (w / 2)
    total: Array = a * (1 + p * t) ** 2 / (1 + t**2) + k * x + c
    return total


def junction(x: Array, i: Array, n: Array, k: Array, c: Array) -> Array:
    total: Array = i * (np.exp(x / (n * 8.617333262145e-5 * 300.0)) - 1) + k * x + c
    return total


#: Model, its formula written out, ranges of its parameters in order, coordinate, noise.
CASES: dict[str, tuple[Model, Any, Ranges, Array, float]] = {
    "Sine": (
        Sine() + Constant(),
        lambda x, a, f, p, c: a * np.sin(2 * np.pi * f * x + p) + c,
        {"amplitude": (0.5, 2), "frequency": (0.15, 4.5), "phase": (-3.1, 3.1), "offset": (-1, 1)},
        WIDE + 40.0,
        0.2,
    ),
    "Diode": (
        Diode() + Linear(),
        junction,
        {"saturation_current": (0.5, 2), "ideality": (1.2, 3), "slope": (-1, 1), "intercept": (-1, 1)},
        np.linspace(-0.3, 0.3, 100),
        0.05,
    ),
    "Langmuir": (
        Langmuir(), lambda x, a, k: a * k * x / (1 + k * x), {"amplitude": (1, 4), "affinity": (0.2, 5)},
        np.linspace(0, 10, 100), 0.02,
    ),
    "BreitWignerFano": (
        BreitWignerFano() + Linear(),
        bwf,
        {
            "amplitude": (1, 3), "center": (-3, 3), "width": (0.5, 2), "inverse_q": (-0.4, 0.4), "slope": (-0.1, 0.1),
            "intercept": (-1, 1),
        },
        WIDE,
        0.02,
    ),
    "Exponential + Exponential": (
        Exponential("fast_") + Exponential("slow_") + Constant(),
        double,
        {
            "fast_amplitude": (1, 3), "fast_tau": (0.3, 0.6), "slow_amplitude": (1, 3), "slow_tau": (1.8, 4),
            "offset": (-1, 1),
        },
        LONG,
        0.01,
    ),
    "Exponential * Linear": (
        Exponential() * Linear(),
        lambda x, a, t, k, c: a * np.exp(-x / t) * (k * x + c),
        {"amplitude": (1, 1), "tau": (1, 3), "slope": (0.5, 2), "intercept": (0.5, 2)},
        np.linspace(0, 10, 100),
        0.01,
    ),
    "Fano": (
        Fano(),
        lambda x, a, m, w, q: a * (q * w / 2 + x - m) ** 2 / ((w / 2) ** 2 + (x - m) ** 2),
        {"amplitude": (1, 3), "center": (-2, 2), "width": (0.5, 1.5), "q": (-2, 2)},
        WIDE,
        0.03,
    ),
    "Step": (
        Step("arctan") + Constant(),
        lambda x, a, m, w, c: a * (0.5 + np.arctan((x - m) / w) / np.pi) + c,
        {"amplitude": (-4, -1), "center": (-3, 3), "width": (0.3, 1), "offset": (-1, 1)},
        WIDE,
        0.03,
    ),
    "StretchedExponential": (
        StretchedExponential() + Constant(),
        lambda x, a, t, b, c: a * np.exp(-((x / t) ** b)) + c,
        {"amplitude": (1, 4), "tau": (0.5, 3), "beta": (0.6, 1.4), "offset": (-1, 1)},
        np.linspace(0.1, 10, 100),
        0.01,
    ),
    "PowerLaw": (
        PowerLaw(), lambda x, a, r: a * x**r, {"amplitude": (50, 90), "exponent": (-3, 1)},
        np.linspace(0.1, 10, 100), 0.02,
    ),
}  # fmt: skip


def simulated(name: str, count: int, seed: int = 21) -> tuple[Model, xr.DataArray, dict[str, Array]]:
    model, formula, ranges, x, noise = CASES[name]
    rng = np.random.default_rng(seed)
    truth = {n: rng.uniform(*limits, count) for n, limits in ranges.items()}
    clean = formula(x, *(v[:, None] for v in truth.values()))
    data = xr.DataArray(clean + noise * rng.normal(size=clean.shape), dims=("p", "x"), coords={"x": x})
    return model, data, truth


def held(name: str) -> dict[str, Any]:
    return {"fixed": {"amplitude": 1.0}} if name == "Exponential * Linear" else {}


def right(found: xr.Dataset, truth: dict[str, Array]) -> Array:
    fine = found.converged.values.copy()
    for name, value in truth.items():
        away = found[name].values - value
        away = np.angle(np.exp(1j * away)) if name == "phase" else away
        fine &= abs(away) <= 6 * found[f"{name}_stderr"].values
    return np.asarray(fine)


@pytest.mark.parametrize("name", CASES)
def test_truth_is_found_without_start_values(name: str) -> None:
    model, data, truth = simulated(name, 1000)
    assert model.names == tuple(truth)
    found = fit(data, model, "x", **held(name))
    assert right(found, truth).mean() >= 0.995
    assert float(found.redchi.mean()) == pytest.approx(CASES[name][-1] ** 2, rel=0.03)


@pytest.mark.parametrize("name", CASES)
def test_missing_samples_and_weights_do_not_lead_astray(name: str) -> None:
    model, data, truth = simulated(name, 200)
    rng = np.random.default_rng(1)
    data = data.where(rng.uniform(size=data.shape) > 0.1)
    noise = CASES[name][-1]
    for sigma in (None, noise, xr.full_like(data, noise), xr.full_like(data[0], noise)):
        found = fit(data, model, "x", sigma=sigma, **held(name))
        assert right(found, truth).mean() >= 0.99


@pytest.mark.parametrize("name", ["Sine", "Fano", "Exponential + Exponential"])
@pytest.mark.parametrize("chunk", [1, 7, 191])
def test_any_chunking_gives_the_same_bits(name: str, chunk: int) -> None:
    model, data, _ = simulated(name, 230)
    data[5, 3], data[6], data[7, ::2] = np.nan, np.nan, np.nan
    if chunk == 1:
        data = data[:20]
    eager, lazy = fit(data, model, "x"), fit(data.chunk({"p": chunk}), model, "x").compute()
    for variable in eager.data_vars:
        assert_array_equal(eager[variable], lazy[variable])
    assert not eager.converged[6]


def test_bounds_choose_among_the_candidates() -> None:
    model, data, truth = simulated("Step", 100)
    upside = fit(data, model, "x", bounds={"amplitude": (0.0, np.inf)})
    assert (upside.amplitude.where(upside.converged, 1.0) >= 0).all()
    downside = fit(data, model, "x", bounds={"amplitude": (-np.inf, 0.0), "center": (-3.5, 3.5)})
    assert right(downside, truth).all()
    # An amplitude that may not be negative: phases on the other side of the circle are no candidates.
    model, data, truth = simulated("Sine", 300)
    assert (fit(data, model, "x").amplitude > 0).all()


def test_alike_terms_come_in_one_order() -> None:
    _, data, truth = simulated("Exponential + Exponential", 200)
    found = fit(data, Exponential() + Exponential() + Constant(), "x")
    assert (found.exponential_1_tau < found.exponential_2_tau).all()
    assert (abs(found.exponential_2_tau - truth["slow_tau"]) < 6 * found.exponential_2_tau_stderr).all()


def test_start_values_that_are_given_do_no_harm() -> None:
    model, data, truth = simulated("Sine", 50)
    start = {name: xr.DataArray(value, dims="p") for name, value in truth.items()}
    near = fit(data, model, "x", start=start)
    assert right(near, truth).all()
    assert_allclose(near.frequency, fit(data, model, "x").frequency, rtol=1e-6)
    astray = fit(data, model, "x", start={"frequency": 30.0})
    assert (astray.chi2 <= near.chi2 * (1 + 1e-6)).all()


def ellipses(count: int) -> tuple[xr.DataArray, dict[str, Array]]:
    rng = np.random.default_rng(3)
    y, x = np.linspace(0, 12, 24), np.linspace(5, 17, 25)
    ranges = {
        "amplitude": (1, 3), "center_x": (8, 14), "center_y": (3, 9), "sigma_x": (1.2, 2), "sigma_y": (0.6, 1),
        "rotation": (-1.5, 1.5), "offset": (-1, 1),
    }  # fmt: skip
    truth = {n: rng.uniform(*limits, count) for n, limits in ranges.items()}
    height, cx, cy, sx, sy, turn, offset = (v[:, None, None] for v in truth.values())
    dx, dy = x - cx, y[:, None] - cy
    u, v = dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn)
    clean = height * np.exp(-(u**2) / (2 * sx**2) - v**2 / (2 * sy**2)) + offset
    noisy = clean + 0.05 * rng.normal(size=clean.shape)
    return xr.DataArray(noisy, dims=("p", "Y", "X"), coords={"Y": y, "X": x}), truth


def test_ellipses_are_found_in_images() -> None:
    data, truth = ellipses(200)
    found = fit(data, Gaussian2D("height") + Constant(), ("Y", "X"), covariance=True)
    assert bool(found.converged.all())
    for name, value in truth.items():
        away = found[name].values - value
        away = (away + np.pi / 2) % np.pi - np.pi / 2 if name == "rotation" else away
        assert (abs(away) < 5.5 * found[f"{name}_stderr"].values).all()
    assert (found.sigma_x >= found.sigma_y).all()
    assert (abs(found.rotation) <= np.pi / 2).all()


def test_the_longer_axis_comes_first_with_all_that_belongs_to_it() -> None:
    data, truth = ellipses(4)
    model = Gaussian2D("height") + Constant()
    start: dict[str, Any] = {n: xr.DataArray(v, dims="p") for n, v in truth.items()}
    turned = start | {
        "sigma_x": start["sigma_y"],
        "sigma_y": start["sigma_x"],
        "rotation": start["rotation"] + np.pi / 2,
    }
    found, plain = (fit(data, model, ("Y", "X"), start=s, covariance=True) for s in (turned, start))
    for name in plain.data_vars:
        if name != "nfev":
            assert_allclose(found[name], plain[name], rtol=1e-4, atol=1e-7)
    held_still = fit(data, model, ("Y", "X"), start=turned, bounds={"sigma_x": (0.1, 5.0)})
    assert (held_still.sigma_x < held_still.sigma_y).all()
    around = fit(data, model, ("Y", "X"), start=turned, fixed={"rotation": 0.0})
    assert_array_equal(around.rotation, 0.0)


@pytest.mark.parametrize("dtype", ["f4", "i4", ">f8"])
def test_coordinates_of_any_dtype_are_searched(dtype: str) -> None:
    x = np.arange(24).astype(dtype)
    data = xr.DataArray(2.0 * np.exp(-x.astype("f8") / 5.0) + 1.0, dims="t", coords={"t": x}).expand_dims(p=3)
    found = fit(data, Exponential() + Constant(), "t")
    assert_allclose(found.tau, 5.0)
