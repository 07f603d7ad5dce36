"""Fits of maps: truth recovered, agreement with scipy and closed forms, laziness, and what cannot be fitted."""

from collections.abc import Callable
from typing import Any

import dask
import dask.array as da
import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import curve_fit, least_squares

from tests.kit.truth import gaussian, oscillator
from usidx.errors import RoleError, SelectionError, UnitsError, UsidError
from usidx.fitting.fit import fit
from usidx.models import (
    SHO,
    Constant,
    Exponential,
    Fano,
    Gaussian,
    Linear,
    Lorentzian,
    Model,
    Polynomial,
    PowerLaw,
    PseudoVoigt,
    SkewedGaussian,
    SplitGaussian,
    Step,
    StretchedExponential,
    Voigt,
)

Maker = Callable[..., tuple[xr.DataArray, xr.Dataset]]
PEAK = Gaussian() + Constant()
BROAD: dict[str, tuple[float, float]] = {"amplitude": (2, 5), "center": (-2, 2)}
FIGURES = ("chi2", "redchi", "r2", "nfev", "status", "converged")


def as_kind(data: xr.DataArray, kind: str) -> xr.DataArray:
    return data.chunk({"Y": 3, "X": 4, "Energy": 25}) if kind == "dask" else data


@pytest.mark.parametrize("kind", ["numpy", "dask"])
def test_peaks_are_recovered_without_start_values(peaks: Maker, kind: str) -> None:
    data, truth = peaks()
    found = fit(as_kind(data, kind), PEAK)
    assert bool(found.converged.all())
    for name in PEAK.names:
        assert (abs(found[name] - truth[name]) < 5.5 * found[f"{name}_stderr"]).all()
    assert found.r2.min() > 0.95


@pytest.mark.parametrize("kind", ["numpy", "dask"])
def test_oscillators_are_recovered_without_start_values(oscillators: Maker, kind: str) -> None:
    data, truth = oscillators()
    found = fit(as_kind(data, kind), SHO(), dim="Energy")
    assert bool(found.converged.all())
    for name in SHO().names:
        difference = found[name] - truth[name]
        away = np.angle(np.exp(1j * difference)) if name == "phase" else difference.values
        assert (abs(away) < 5.5 * found[f"{name}_stderr"]).all()
    assert abs(found.phase).max() <= np.pi


@pytest.mark.parametrize("name", ["peaks", "oscillators"])
def test_standard_errors_cover_the_truth(request: pytest.FixtureRequest, name: str) -> None:
    data, truth = request.getfixturevalue(name)(shape=(50, 40))
    model = PEAK if name == "peaks" else SHO()
    found = fit(data, model)
    for parameter in model.names:
        away = found[parameter] - truth[parameter]
        pull = (np.angle(np.exp(1j * away)) if parameter == "phase" else away) / found[f"{parameter}_stderr"]
        # Of 2000 pulls: the mean is known to 0.022, the spread to 0.016, the share within one to 0.0105.
        assert abs(float(pull.mean())) < 0.09
        assert abs(float(pull.std()) - 1.0) < 0.07
        assert abs(float((abs(pull) < 1.0).mean()) - 0.6827) < 0.045
    noise = 0.02 if name == "peaks" else 2e-5
    assert float(found.redchi.mean()) == pytest.approx(noise**2, rel=0.02)


def test_agrees_with_scipy_pixel_by_pixel(peaks: Maker) -> None:
    data, truth = peaks(shape=(4, 5))
    found = fit(data, PEAK, covariance=True)
    for y, x in np.ndindex(4, 5):
        here = {"Y": y, "X": x}
        start = [float(truth[name][here]) for name in PEAK.names]
        best, covariance = curve_fit(gaussian, data.Energy.values, data[here].values, start, ftol=1e-14, xtol=1e-14)
        assert_allclose([float(found[name][here]) for name in PEAK.names], best, rtol=2e-5)
        errors = [float(found[f"{name}_stderr"][here]) for name in PEAK.names]
        assert_allclose(errors, np.sqrt(np.diag(covariance)), rtol=1e-3)
        scale = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
        assert_allclose(found.covariance[here] / scale, covariance / scale, atol=1e-3)


def test_oscillator_agrees_with_scipy(oscillators: Maker) -> None:
    data, truth = oscillators(shape=(2, 3))
    found = fit(data, SHO())
    for y, x in np.ndindex(2, 3):
        here = {"Y": y, "X": x}
        start = np.array([float(truth[name][here]) for name in SHO().names])
        measured = data[here].values

        def left(p: Any, measured: Any = measured, start: Any = start) -> Any:
            away = measured - oscillator(data.Energy.values, *(p * start))
            return np.concatenate([away.real, away.imag]) / abs(measured).max()

        best = least_squares(left, np.ones(4), xtol=1e-15, ftol=1e-15, gtol=1e-15)
        assert_allclose([float(found[name][here]) for name in SHO().names], best.x * start, rtol=1e-4)
        assert float(found.chi2[here]) == pytest.approx(2 * best.cost * abs(measured).max() ** 2, rel=1e-8)


def test_linear_models_have_the_closed_form() -> None:
    rng = np.random.default_rng(3)
    x = np.linspace(2.0, 7.0, 30)
    data = xr.DataArray(rng.normal(size=(6, 30)), dims=("p", "x"), coords={"x": x})
    found = fit(data, Linear(), "x", covariance=True)
    for k in range(6):
        best, covariance = np.polyfit(x, data.values[k], 1, cov=True)
        assert_allclose([found.slope[k], found.intercept[k]], best, rtol=1e-10)
        assert_allclose(found.covariance[k], covariance, rtol=1e-10)
    assert_array_equal(found.nfev, 2)
    level = fit(data, Constant(), "x")
    assert_allclose(level.offset, data.mean("x"), rtol=1e-12)
    assert_allclose(level.offset_stderr, data.std("x", ddof=1) / np.sqrt(30), rtol=1e-12)
    assert_allclose(level.r2, 0.0, atol=1e-12)


def test_figures_of_merit_mean_what_is_written(peaks: Maker) -> None:
    data, _ = peaks(shape=(2, 2))
    found = fit(data, PEAK)
    model = gaussian(data.Energy.values, *(found[name].values[..., None] for name in PEAK.names))
    squares = ((data.values - model) ** 2).sum(-1)
    about_mean = ((data.values - data.values.mean(-1, keepdims=True)) ** 2).sum(-1)
    assert_allclose(found.chi2, squares, rtol=1e-10)
    assert_allclose(found.redchi, squares / (60 - 4), rtol=1e-10)
    assert_allclose(found.r2, 1 - squares / about_mean, rtol=1e-10)


def test_complex_figures_count_both_parts(oscillators: Maker) -> None:
    data, _ = oscillators(shape=(1, 2))
    found = fit(data, SHO())
    model = oscillator(data.Energy.values, *(found[name].values[..., None] for name in SHO().names))
    squares = (abs(data.values - model) ** 2).sum(-1)
    assert_allclose(found.redchi, squares / (2 * 60 - 4), rtol=1e-10)
    about_mean = (abs(data.values - data.values.mean(-1, keepdims=True)) ** 2).sum(-1)
    assert_allclose(found.r2, 1 - squares / about_mean, rtol=1e-10)


HOPELESS = {
    "zero": (np.zeros(60), "undetermined"),
    "constant": (np.full(60, 3.7e-9), "undetermined"),
    "nan": (np.full(60, np.nan), "too_few_samples"),
    "inf": (np.full(60, np.inf), "too_few_samples"),
    "three samples": (np.where(np.arange(60) < 3, 1.0, np.nan), "too_few_samples"),
    "overflow": (np.where(np.arange(60) == 7, 1e300, -1e300), "not_finite"),
}


@pytest.mark.parametrize("kind", ["numpy", "dask"])
@pytest.mark.parametrize("model", [PEAK, SHO()], ids=["peak", "oscillator"])
def test_hopeless_spectra_are_flagged_and_touch_no_other(
    peaks: Maker, oscillators: Maker, model: object, kind: str
) -> None:
    data, _ = (peaks if model is PEAK else oscillators)(shape=(6, 5))
    alone = fit(data, model)  # type: ignore[arg-type]
    spoilt = data.copy()
    for y, (spectrum, _) in enumerate(HOPELESS.values()):
        spoilt[y, 2] = spectrum if y != 2 else np.full(60, np.nan)
    found = fit(as_kind(spoilt, kind), model).compute()  # type: ignore[arg-type]
    meanings = dict(zip(found.status.flag_values, found.status.flag_meanings.split(), strict=True))
    for y, (_, reason) in enumerate(HOPELESS.values()):
        here = found.isel(Y=y, X=2)
        if not (y == 4 and model is not PEAK):
            assert meanings[int(here.status)] == reason
        assert not bool(here.converged)
        assert all(np.isnan(here[name]) for name in [*model.names, "chi2", "redchi", "r2"])  # type: ignore[attr-defined]
        assert all(np.isnan(here[f"{name}_stderr"]) for name in model.names)  # type: ignore[attr-defined]
    for x in (0, 1, 3, 4):
        for name in found.data_vars:
            assert_array_equal(found[name].isel(X=x), alone[name].isel(X=x))


def test_noise_is_never_the_start_value_passed_off_as_a_fit() -> None:
    rng = np.random.default_rng(5)
    data = xr.DataArray(rng.normal(size=(300, 40)), dims=("p", "x"))
    found = fit(data, PEAK, "x", max_evaluations=3)
    assert (found.status[~found.converged] == -1).all()
    assert found.amplitude[~found.converged].isnull().all()
    found = fit(data, PEAK, "x")
    done = found.isel(p=np.flatnonzero(found.converged & (found.status == 1)))
    # What converged is a minimum: the gradient by each parameter vanishes.
    values = {name: done[name].values[:, None] for name in PEAK.names}
    x = np.arange(40.0)
    left = data.values[np.flatnonzero(found.converged & (found.status == 1))] - PEAK(x, **values)
    for slope in PEAK.jacobian(x, **values).values():
        cosine = (left * slope).sum(-1) / np.sqrt((left**2).sum(-1) * (np.broadcast_to(slope, left.shape) ** 2).sum(-1))
        assert abs(cosine).max() < 3e-4


def test_samples_that_are_not_finite_are_left_out(peaks: Maker) -> None:
    data, _ = peaks(shape=(2, 3))
    holes = data.where(data.Energy % 0.9 > 0.2)
    holes[0, 0, 5] = np.inf
    found = fit(holes, PEAK)
    here = np.isfinite(holes.values[0, 0])
    alone = fit(data[0, 0, here], PEAK)
    for name in [*PEAK.names, "chi2", "r2", "center_stderr"]:
        assert float(found[name][0, 0]) == float(alone[name])


@pytest.mark.parametrize(
    "chunks",
    [{"Y": 1, "X": 1, "Energy": 1}, {"Y": 3, "X": 4, "Energy": 17}, {"Y": -1, "X": -1, "Energy": -1}, {"X": 2}],
)
@pytest.mark.parametrize("name", ["peaks", "oscillators"])
def test_any_chunking_gives_the_same_bits(request: pytest.FixtureRequest, name: str, chunks: dict[str, int]) -> None:
    data, _ = request.getfixturevalue(name)(shape=(4, 5))
    model = PEAK if name == "peaks" else SHO()
    eager, lazy = fit(data, model), fit(data.chunk(chunks), model).compute()
    turned = fit(data.transpose("Energy", "X", "Y").chunk(chunks), model).compute()
    for variable in eager.data_vars:
        assert_array_equal(eager[variable], lazy[variable])
        assert_array_equal(eager[variable], turned[variable].T)


def test_nothing_is_computed_until_asked() -> None:
    def refuse(block: object) -> object:
        raise AssertionError("computed")

    lazy = da.ones((4, 30), chunks=(2, 10)).map_blocks(refuse, dtype=float)
    data = xr.DataArray(lazy, dims=("p", "x"), coords={"x": np.arange(30.0)})
    sigma = xr.DataArray(lazy, dims=("p", "x"))
    start = {"center": xr.DataArray(lazy[:, 0], dims="p")}
    found = fit(data, PEAK, "x", sigma=sigma, start=start)
    assert all(v.chunks is not None for v in found.data_vars.values())


@pytest.mark.parametrize("lazy", [False, True])
def test_start_values_may_bear_coordinates_of_the_data(peaks: Maker, lazy: bool) -> None:
    data, truth = peaks(shape=(2, 3))
    data = data.assign_coords(field=2.0, height=(("Y", "X"), np.ones((2, 3))))
    center = data.isel(Energy=0, drop=True).copy(data=truth["center"].values)
    found = fit(data.chunk({"X": 1}) if lazy else data, PEAK, start={"center": center})
    np.testing.assert_allclose(found.center, truth["center"], atol=0.1)


def test_blocks_stay_small_when_spectra_are_joined() -> None:
    lazy = da.zeros((400, 400, 1000), chunks=(200, 200, 1), dtype=np.float64)
    found = fit(xr.DataArray(lazy, dims=("y", "x", "e")), Constant(), "e")
    height, width = found.offset.data.chunksize
    assert height * width * 1000 * 8 <= 2**26


def test_a_block_is_fitted_once_for_all_variables(peaks: Maker) -> None:
    data, _ = peaks(shape=(4, 4))
    calls = []

    def count(block: npt.NDArray[Any]) -> npt.NDArray[Any]:
        calls.append(block.shape)
        return block

    lazy = data.copy(data=da.from_array(data.values, chunks=(2, 4, 60)).map_blocks(count, dtype=float))
    with dask.config.set(scheduler="synchronous"):
        dask.compute(*(v.data for v in fit(lazy, PEAK).data_vars.values()))
    assert [shape for shape in calls if 0 not in shape] == [(2, 4, 60)] * 2


@pytest.mark.parametrize("dtype", ["float32", "int16", "uint8"])
def test_other_real_dtypes_are_fitted_in_double_precision(dtype: str) -> None:
    x = np.linspace(-5, 5, 50)
    spectrum = (gaussian(x, 300.0, 0.4, 0.9, 20.0)).astype(dtype)
    found = fit(xr.DataArray(spectrum, dims="x", coords={"x": x}), PEAK)
    same = fit(xr.DataArray(spectrum.astype(float), dims="x", coords={"x": x}), PEAK)
    assert found.amplitude.dtype == np.float64
    assert float(found.amplitude) == float(same.amplitude)


def test_complex64_is_fitted_in_double_precision(oscillators: Maker) -> None:
    data, truth = oscillators(shape=(3, 3))
    found = fit(data.astype(np.complex64), SHO())
    assert_allclose(found.frequency, fit(data, SHO()).frequency, rtol=1e-7)
    assert_allclose(found.frequency, truth.frequency, rtol=1e-3)


@pytest.mark.parametrize(("y_scale", "x_scale"), [(1e-12, 1e6), (1e9, 1e-9), (1.0, 1.0)])
def test_units_of_any_size(y_scale: float, x_scale: float) -> None:
    rng = np.random.default_rng(1)
    x = np.linspace(1, 2, 50)
    shape = gaussian(x, 0.3, 1.4, 0.1, 0.5) + 0.01 * rng.normal(size=50)
    base = fit(xr.DataArray(shape, dims="x", coords={"x": x}), PEAK)
    found = fit(xr.DataArray(shape * y_scale, dims="x", coords={"x": x * x_scale}), PEAK)
    scales = {"amplitude": y_scale * x_scale, "center": x_scale, "sigma": x_scale, "offset": y_scale}
    for name, scale in scales.items():
        assert_allclose(found[name], base[name] * scale, rtol=1e-6)
        assert_allclose(found[f"{name}_stderr"], base[f"{name}_stderr"] * scale, rtol=1e-5)


def test_units_titles_and_coordinates(peaks: Maker) -> None:
    data, _ = peaks(shape=(2, 3))
    data = data.assign_coords(Bias=2.0, height=(("Y", "X"), np.ones((2, 3))), sum=("Energy", data.Energy.values))
    found = fit(data, PEAK)
    assert found.amplitude.units == "V eV"
    assert found.amplitude_stderr.units == "V eV"
    assert found.center.units == "eV"
    assert found.chi2.units == "V^2"
    assert found.r2.units == ""
    assert found.center.long_name == "Center"
    assert found.center.dims == ("Y", "X")
    assert {"Y", "Bias", "height", "Energy"} == set(found.coords)
    assert found.Y.attrs["usid_role"] == "position"
    assert found.status.dtype == np.int8
    assert found.nfev.dtype == np.int32
    assert found.converged.dtype == bool
    assert fit(data.drop_attrs(), PEAK, "Energy").amplitude.attrs.get("units") is None


def test_start_bounds_and_fixed(peaks: Maker) -> None:
    data, truth = peaks(shape=(3, 4))
    free = fit(data, PEAK)
    near = fit(data, PEAK, start={name: truth[name] for name in PEAK.names})
    assert_allclose(near.center, free.center, rtol=1e-6, atol=1e-8)
    assert (near.nfev <= free.nfev).all()
    assert float(near.nfev.mean()) < float(free.nfev.mean()) - 0.5
    held = fit(data, PEAK, fixed={"offset": truth.offset, "sigma": 0.7})
    assert_array_equal(held.offset, truth.offset)
    assert_array_equal(held.offset_stderr, 0.0)
    assert_array_equal(held.sigma, 0.7)
    bounded = fit(data, PEAK, bounds={"offset": (0.25, 0.5), "amplitude": (0.0, np.inf)})
    inside = (truth.offset > 0.3) & (truth.offset < 0.45)
    assert_allclose(bounded.center.where(inside), free.center.where(inside), rtol=1e-5)
    # With the amplitude on its bound of zero nothing says where the peak is: that is not this test's matter.
    below = (truth.offset < 0.2) & bounded.converged
    assert bool(below.any())
    assert (bounded.offset.where(below, 0.25) == 0.25).all()
    assert (bounded.status.where(below, 2) == 2).all()
    assert bounded.offset_stderr.where(below).isnull().all()
    assert ((bounded.center_stderr > 0) == bounded.converged).all()


def test_bounded_fit_agrees_with_scipy(peaks: Maker) -> None:
    data, _ = peaks(shape=(3, 3), noise=0.05)
    low, high = [0.0, -0.5, 0.5, -0.2], [2.0, 0.5, 0.8, 0.2]
    bounds = dict(zip(PEAK.names, zip(low, high, strict=True), strict=True))
    found = fit(data, PEAK, bounds=bounds)
    for y, x in np.ndindex(3, 3):
        here = {"Y": y, "X": x}

        def left(p: npt.NDArray[Any], here: dict[str, int] = here) -> npt.NDArray[Any]:
            away: npt.NDArray[Any] = data[here].values - gaussian(data.Energy.values, *p)
            return away

        starts = ([1.0, c, 0.6, 0.0] for c in (-0.4, 0.0, 0.4))
        best = min((least_squares(left, s, bounds=(low, high)) for s in starts), key=lambda r: float(r.cost))
        assert float(found.chi2[here]) <= 2 * best.cost * (1 + 1e-6)
        assert all(low[k] <= float(found[n][here]) <= high[k] for k, n in enumerate(PEAK.names))


def test_sigma_weighs_the_samples(peaks: Maker) -> None:
    data, truth = peaks(shape=(2, 2))
    rng = np.random.default_rng(2)
    sigma = xr.DataArray(rng.uniform(0.01, 0.2, data.shape), dims=data.dims)
    noisy = data + sigma * rng.normal(size=data.shape)
    for absolute in (False, True):
        found = fit(noisy, PEAK, sigma=sigma, absolute_sigma=absolute)
        for y, x in np.ndindex(2, 2):
            here = {"Y": y, "X": x}
            best, covariance = curve_fit(
                gaussian, data.Energy.values, noisy[here].values, [float(truth[n][here]) for n in PEAK.names],
                sigma=sigma[here].values, absolute_sigma=absolute, ftol=1e-14, xtol=1e-14,
            )  # fmt: skip
            assert_allclose([found[name][here] for name in PEAK.names], best, rtol=2e-4)
            errors = [found[f"{name}_stderr"][here] for name in PEAK.names]
            assert_allclose(errors, np.sqrt(np.diag(covariance)), rtol=2e-3)
    assert_allclose(fit(data, PEAK, sigma=0.02).chi2, fit(data, PEAK).chi2 / 0.02**2, rtol=1e-7)


@pytest.mark.parametrize("loss", ["soft_l1", "huber", "cauchy"])
def test_robust_losses_agree_with_scipy(peaks: Maker, loss: str) -> None:
    data, truth = peaks(shape=(2, 2))
    data[..., ::11] += 1.5
    found = fit(data, PEAK, loss=loss, loss_scale=0.05)
    for y, x in np.ndindex(2, 2):
        here = {"Y": y, "X": x}

        def left(p: npt.NDArray[Any], here: dict[str, int] = here) -> npt.NDArray[Any]:
            away: npt.NDArray[Any] = data[here].values - gaussian(data.Energy.values, *p)
            return away

        start = [float(truth[name][here]) for name in PEAK.names]
        best = least_squares(left, start, loss=loss, f_scale=0.05, xtol=1e-14, ftol=1e-14, gtol=1e-14)
        assert_allclose([found[name][here] for name in PEAK.names], best.x, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", ["numpy", "dask"])
def test_coordinate_may_change_from_spectrum_to_spectrum(peaks: Maker, kind: str) -> None:
    data, _ = peaks(shape=(3, 4))
    shift = xr.DataArray(np.linspace(0, 2, 3), dims="Y")
    moved = as_kind(data, kind).assign_coords(Shifted=data.Energy.drop_vars("Energy") + shift)
    found, plain = fit(moved, PEAK, "Energy", coordinate="Shifted"), fit(data, PEAK)
    assert_allclose(found.center, plain.center + shift, rtol=1e-5)
    assert_allclose(found.sigma, plain.sigma, rtol=1e-5)


def test_order_of_the_samples_does_not_matter(peaks: Maker) -> None:
    data, _ = peaks(shape=(3, 4))
    order = np.random.default_rng(0).permutation(60)
    found, plain = fit(data.isel(Energy=order), PEAK), fit(data, PEAK)
    for name in PEAK.names:
        assert_array_equal(found[name], plain[name])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("model", "offset", "most"),
    [
        (PEAK, 0.0, 9),
        (PEAK, 1e4, 9),
        (Gaussian() + Linear(), 10.0, 9),
        (Gaussian("height"), 0.0, 9),
        # No Lorentzian fits a Gaussian: other starts are tried too.
        (Lorentzian() + Linear(), 0.0, 60),
    ],
    ids=["level", "high", "slope", "alone", "misfit"],
)
def test_the_first_step_starts_from_the_right_equations(model: Model, weighted: bool, offset: float, most: int) -> None:
    # The search hands its normal equations on, brought to the amplitude that it found: where they were wrong, the
    # first step would go astray, and cost evaluations.
    rng = np.random.default_rng(15)
    x = np.linspace(-5, 5, 90)
    clean = gaussian(x, 3e-12, rng.uniform(-2, 2, (200, 1)), rng.uniform(0.5, 1.0, (200, 1)))
    noisy = clean + 1e-14 * rng.normal(size=clean.shape)
    data = xr.DataArray(noisy + offset * 1e-12, dims=("p", "x"), coords={"x": x})
    data[3, 5] = np.nan
    sigma = xr.DataArray(rng.uniform(1e-14, 3e-14, 90), dims="x") if weighted else None
    found = fit(data, model, "x", sigma=sigma)
    start = {name: found[name] * (1 + 1e-4) for name in model.names}
    again = fit(data, model, "x", sigma=sigma, start=start)
    done = found.converged & again.converged
    assert done.mean() > 0.99
    for name in model.names:
        assert (abs(found[name] - again[name]) < 0.02 * again[f"{name}_stderr"]).where(done, True).all()
    assert_allclose(found.chi2.where(done), again.chi2.where(done), rtol=1e-6)
    assert float(found.nfev.mean()) < most


def test_two_peaks_on_a_slope() -> None:
    rng = np.random.default_rng(4)
    x = np.linspace(0, 10, 120)
    truth = {"a": rng.uniform(1, 2, 200), "b": rng.uniform(1, 2, 200)}
    clean = gaussian(x, truth["a"][:, None], 3.0, 0.5) + gaussian(x, truth["b"][:, None], 7.0, 0.6) + 0.2 * x - 1
    data = xr.DataArray(clean + 0.02 * rng.normal(size=clean.shape), dims=("p", "x"), coords={"x": x})
    found = fit(data, Gaussian(prefix="a_") + Gaussian(prefix="b_") + Linear(), "x")
    assert bool(found.converged.all())
    centers = np.sort(np.stack([found.a_center, found.b_center]), axis=0)
    assert_allclose(centers[0], 3.0, atol=0.1)
    assert_allclose(centers[1], 7.0, atol=0.1)


def test_decays_and_lorentzians_are_recovered() -> None:
    rng = np.random.default_rng(6)
    x = np.linspace(0, 10, 80)
    tau = rng.uniform(0.5, 5, (300, 1))
    decays = xr.DataArray(
        2 * np.exp(-x / tau) + 0.3 + 0.02 * rng.normal(size=(300, 80)), dims=("p", "x"), coords={"x": x}
    )
    found = fit(decays, Exponential() + Constant(), "x")
    assert (abs(found.tau - tau[:, 0]) < 5 * found.tau_stderr).all()
    lines = 1.5 / np.pi * 0.4 / ((x - tau - 2) ** 2 + 0.16) + 0.02 * rng.normal(size=(300, 80))
    found = fit(xr.DataArray(lines, dims=("p", "x"), coords={"x": x}), Lorentzian(), "x")
    assert (abs(found.center - tau[:, 0] - 2) < 5 * found.center_stderr).all()


def test_long_spectra_are_worked_on_in_tiles() -> None:
    x = np.linspace(-5, 5, 1111)
    rng = np.random.default_rng(7)
    spectrum = gaussian(x, 2.0, 0.5, 0.8, 0.1) + 0.1 * rng.normal(size=1111)
    found = fit(xr.DataArray(spectrum, dims="x", coords={"x": x}), PEAK)
    best, covariance = curve_fit(gaussian, x, spectrum, [2.0, 0.5, 0.8, 0.1], ftol=1e-14, xtol=1e-14)
    assert_allclose([float(found[name]) for name in PEAK.names], best, rtol=1e-5)
    assert_allclose([float(found[f"{name}_stderr"]) for name in PEAK.names], np.sqrt(np.diag(covariance)), rtol=1e-4)


def test_exact_data_is_exactly_fitted() -> None:
    x = np.linspace(-3, 3, 40)
    found = fit(xr.DataArray(gaussian(x, 2.0, 0.5, 0.8, 0.1), dims="x", coords={"x": x}), PEAK)
    assert_allclose([float(found[name]) for name in PEAK.names], [2.0, 0.5, 0.8, 0.1], rtol=1e-7)
    assert bool(found.converged)
    few = fit(xr.DataArray([1.0, 3.0], dims="x"), Linear())
    assert (float(few.slope), float(few.intercept)) == pytest.approx((2.0, 1.0))
    assert bool(few.converged)
    assert np.isnan(few.redchi)
    assert np.isnan(few.slope_stderr)


def test_errors_say_what_to_do(peaks: Maker, oscillators: Maker) -> None:
    data, _ = peaks(shape=(2, 2))
    with pytest.raises(RoleError, match=r"No dim 'Bias' here; the dims are \('Y', 'X', 'Energy'\)"):
        fit(data, PEAK, "Bias")
    # Where only the positions along Y are marked, both other dims may be meant.
    two = r"has the spectroscopic dims \('X', 'Energy'\), and 1 should .* is a function of 1 coordinate\(s\). Name the"
    with pytest.raises(RoleError, match=two):
        fit(data.drop_vars("Energy"), PEAK)
    none = r"has no spectroscopic dim.*, and 1 should .* is a function of 1 coordinate\(s\). Name the dims"
    for unclear in (data.isel(Energy=[0]), data.drop_vars(["Y", "Energy"])):
        with pytest.raises(RoleError, match=none):
            fit(unclear, PEAK)
    with pytest.raises(
        RoleError, match=r"dim=\['Energy', 'X'\] names 2 dim\(s\), and 1 should be named.*function of 1 coordinate"
    ):
        fit(data, PEAK, ["Energy", "X"])
    with pytest.raises(UsidError, match=r"'Raw_Data' is of dtype float64 and SHO\(prefix=''\) is complex"):
        fit(data, SHO())
    with pytest.raises(UsidError, match=r"'Raw_Data' is complex .* Fit abs\(data\)"):
        fit(oscillators(shape=(1, 1))[0], PEAK)
    with pytest.raises(UsidError, match="dtype <U1; a fit needs numbers"):
        fit(xr.DataArray(["a", "b"], dims="x"), PEAK)
    with pytest.raises(SelectionError, match=r"start: no parameter 'height' in the model; its parameters are \('ampl"):
        fit(data, PEAK, start={"height": 1.0})
    with pytest.raises(SelectionError, match=r"No loss 'l3'; choose one of \('linear', 'soft_l1'"):
        fit(data, PEAK, loss="l3")
    with pytest.raises(UsidError, match=r"'sigma' has the bounds \(2.0, 1.0\)"):
        fit(data, PEAK, bounds={"sigma": (2.0, 1.0)})
    with pytest.raises(UsidError, match="nothing is left to fit"):
        fit(data, Constant(), fixed={"offset": 0.0})
    with pytest.raises(RoleError, match="start: dim 'Energy' is not among the dims"):
        fit(data, PEAK, start={"center": data})
    with pytest.raises(RoleError, match="sigma: its coordinate along 'Y' is not that of the data"):
        fit(data, PEAK, sigma=data.assign_coords(Y=[5.0, 6.0]))
    with pytest.raises(SelectionError, match="No coordinate 'Shifted' here"):
        fit(data, PEAK, coordinate="Shifted")
    with pytest.raises(SelectionError, match=r"Coordinate 'Y' has the dims \('Y',\); it should run along 'Energy'"):
        fit(data, PEAK, coordinate="Y")
    times = np.datetime64("2026-01-01T00:00:00", "ns") + np.arange(60) * np.timedelta64(1, "s")
    with pytest.raises(UnitsError, match=r"'Energy' is of dtype datetime64.* seconds since the first sample"):
        fit(data.assign_coords(Energy=times), PEAK, "Energy")


#: Model, ranges of its parameters, noise; every one is to be found without start values.
RECOVERED: dict[str, tuple[Model, dict[str, tuple[float, float]], float]] = {
    "Voigt": (Voigt() + Constant(), BROAD | {"sigma": (0.3, 0.6), "gamma": (0.3, 0.6)}, 0.02),
    "PseudoVoigt": (PseudoVoigt() + Constant(), BROAD | {"sigma": (0.4, 0.9), "fraction": (0.3, 0.7)}, 0.02),
    "SplitGaussian": (SplitGaussian() + Constant(), BROAD | {"sigma_left": (0.4, 1), "sigma_right": (0.4, 1)}, 0.02),
    "SkewedGaussian": (SkewedGaussian() + Constant(), BROAD | {"sigma": (0.7, 1.2), "gamma": (1.5, 2.5)}, 0.01),
    "Fano": (Fano(), {"amplitude": (1, 3), "center": (-2, 2), "width": (0.5, 1.5), "q": (-2, 2)}, 0.03),
    "Polynomial": (Polynomial(3), {f"c{k}": (-1.0, 1.0) for k in range(4)}, 0.1),
    "PowerLaw": (PowerLaw(), {"amplitude": (50.0, 90.0), "exponent": (-3.0, 1.0)}, 0.02),
    "StretchedExponential": (
        StretchedExponential() + Constant(), {"amplitude": (1, 4), "tau": (0.5, 3), "beta": (0.6, 1.4)}, 0.01
    ),
    "Step": (Step() + Constant(), {"amplitude": (-4, -1), "center": (-3, 3), "width": (0.3, 1)}, 0.03),
    "Step arctan": (Step("arctan") + Constant(), {"amplitude": (1, 4), "center": (-3, 3), "width": (0.3, 1)}, 0.02),
}  # fmt: skip


@pytest.mark.parametrize("name", RECOVERED)
def test_further_models_are_recovered_without_start_values(name: str) -> None:
    model, ranges, noise = RECOVERED[name]
    rng = np.random.default_rng(11)
    x = np.linspace(0.1, 10, 100) if name in {"PowerLaw", "StretchedExponential"} else np.linspace(-5, 5, 100)
    truth = {n: rng.uniform(*ranges.get(n, (-1.0, 1.0)), 100) for n in model.names}
    clean = model(x, **{n: v[:, None] for n, v in truth.items()})
    data = xr.DataArray(clean + noise * rng.normal(size=clean.shape), dims=("p", "x"), coords={"x": x})
    found = fit(data, model, "x")
    right = found.converged.values.copy()
    for n, v in truth.items():
        right &= abs(found[n].values - v) < 6 * found[f"{n}_stderr"].values
    assert right.mean() >= 0.98
    assert found.redchi.mean() == pytest.approx(noise**2, rel=0.1)


def test_products_are_fitted_with_an_amplitude_held() -> None:
    rng = np.random.default_rng(12)
    x = np.linspace(0, 10, 100)
    tau = rng.uniform(1, 3, (50, 1))
    data = xr.DataArray(
        np.exp(-x / tau) * (1.5 * x + 1.2) + 0.01 * rng.normal(size=(50, 100)), dims=("p", "x"), coords={"x": x}
    )
    found = fit(data, Exponential() * Linear(), "x", fixed={"amplitude": 1.0})
    assert (abs(found.tau - tau[:, 0]) < 6 * found.tau_stderr).all()
    assert (abs(found.slope - 1.5) < 6 * found.slope_stderr).all()
