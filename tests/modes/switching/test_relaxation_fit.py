"""Decays that were put in against those that are found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.optimize
import xarray as xr

import usidx
from usidx.errors import RoleError, SelectionError, UsidError
from usidx.modes.switching.relaxation_fit import Relaxation

NAMES = {
    "exponential": ("amplitude", "time_constant", "offset"),
    "double": ("amplitude", "time_constant", "amplitude_2", "time_constant_2", "offset"),
    "stretched": ("amplitude", "time_constant", "beta", "offset"),
}


def decayed(t: Any, decay: str, p: Any) -> Any:
    """Return the formula of each decay."""
    if decay == "double":
        return p[0] * np.exp(-t / p[1]) + p[2] * np.exp(-t / p[3]) + p[4]
    if decay == "stretched":
        return p[0] * np.exp(-((t / p[1]) ** p[2])) + p[3]
    return p[0] * np.exp(-t / p[1]) + p[2]


@pytest.mark.parametrize("decay", NAMES)
@pytest.mark.parametrize("chunks", [None, {"Y": 2, "Time": 20}])
def test_without_noise_the_decay_is_found(decay: Any, chunks: Any) -> None:
    scan, truth = usidx.simulate.relaxation((5, 4), 64, biases=5, kind=decay, noise=0.0, chunks=chunks)
    found = usidx.relaxation_fit(scan, decay)
    assert (found.amplitude.chunks is None) == (chunks is None)
    assert found.time_constant.dims == ("Y", "X", "DC_Offset")
    assert bool(found.converged.all())
    for name in NAMES[decay]:
        np.testing.assert_allclose(found[name], truth[name], rtol=2e-4, atol=1e-9)
        assert found[name].attrs["units"] == truth[name].attrs["units"]


@pytest.mark.parametrize("decay", NAMES)
def test_each_fit_is_that_of_scipy(decay: Any) -> None:
    scan, truth = usidx.simulate.relaxation((2, 3), 64, biases=3, kind=decay, noise=0.02)
    found = usidx.relaxation_fit(scan, decay)
    for place in np.ndindex(2, 3, 3):
        start = np.array([truth[n].values[place] for n in NAMES[decay]])
        scale = np.where(np.abs(start) < 1e-3, 5e-5, 1.0)  # volts are small, seconds are not
        data = scan.values[place]

        def left(p: Any, data: Any = data, scale: Any = scale) -> Any:
            with np.errstate(all="ignore"):
                return np.nan_to_num((decayed(scan.Time.values, decay, p * scale) - data) / 5e-5, nan=1e3, posinf=1e3)

        theirs = scipy.optimize.least_squares(left, start / scale, xtol=1e-12, ftol=1e-12, gtol=1e-12)
        ours = np.array([found[n].values[place] for n in NAMES[decay]]) / scale
        # The same minimum, or a lower one.
        assert np.sum(left(ours) ** 2) <= 2 * theirs.cost * (1 + 1e-6)
        if decay == "exponential":
            np.testing.assert_allclose(ours, theirs.x, rtol=1e-3)


def test_of_two_decays_the_longer_comes_last() -> None:
    time = xr.DataArray(np.linspace(0, 5, 200), dims="Time", attrs={"units": "s"})
    fast = xr.DataArray([0.1, 0.2, 0.1, 0.05], dims="X")
    slow = xr.DataArray([1.0, 2.0, 0.9, 3.0], dims="X")
    values = decayed(time.values, "double", [2.0, fast.values[:, None], -0.5, slow.values[:, None], 0.3])
    data = xr.DataArray(values, dims=("X", "Time"), coords={"Time": time})
    found = usidx.relaxation_fit(data, "double", "Time", covariance=True)
    np.testing.assert_allclose(found.time_constant, fast, rtol=1e-5)
    np.testing.assert_allclose(found.time_constant_2, slow, rtol=1e-5)
    np.testing.assert_allclose(found.amplitude, 2.0, rtol=1e-5)
    np.testing.assert_allclose(found.amplitude_2, -0.5, rtol=1e-5)


def test_what_changes_places_does_so_altogether() -> None:
    rng = np.random.default_rng(1)
    time = np.linspace(0, 5, 200)
    clean = decayed(time, "double", [1.0, 0.2, 1.0, 2.0, 0.0])
    data = xr.DataArray(clean + 0.01 * rng.normal(size=(6, 200)), dims=("X", "Time"), coords={"Time": time})
    # Started the wrong way round, and left there because a start is given: the same fits, exchanged.
    start = {"time_constant": 2.0, "time_constant_2": 0.2, "amplitude": 1.0, "amplitude_2": 1.0, "offset": 0.0}
    kept = usidx.relaxation_fit(data, "double", "Time", start=start, covariance=True)
    found = usidx.relaxation_fit(data, "double", "Time", covariance=True)
    assert bool((kept.time_constant > kept.time_constant_2).all())
    assert bool((found.time_constant < found.time_constant_2).all())
    for one, other in (("amplitude", "amplitude_2"), ("time_constant", "time_constant_2")):
        for ending in ("", "_stderr"):
            np.testing.assert_allclose(found[one + ending], kept[other + ending], rtol=1e-3)
            np.testing.assert_allclose(found[other + ending], kept[one + ending], rtol=1e-3)
    square = np.sqrt(found.covariance.sel(parameter="time_constant_2", parameter_2="time_constant_2", drop=True))
    np.testing.assert_allclose(square, found.time_constant_2_stderr, rtol=1e-9)
    mixed = found.covariance.sel(parameter="amplitude", parameter_2="offset", drop=True)
    other = kept.covariance.sel(parameter="amplitude_2", parameter_2="offset", drop=True)
    np.testing.assert_allclose(mixed, other, rtol=1e-2)


def test_standard_errors_cover_the_truth() -> None:
    rng = np.random.default_rng(2)
    time, count = np.linspace(0, 2, 80), 3000
    noisy = decayed(time, "exponential", [1.0, 0.3, 0.2]) + 0.05 * rng.normal(size=(count, 80))
    found = usidx.relaxation_fit(xr.DataArray(noisy, dims=("draw", "Time"), coords={"Time": time}), dim="Time")
    for name, true in (("amplitude", 1.0), ("time_constant", 0.3), ("offset", 0.2)):
        pulls = (found[name] - true) / found[f"{name}_stderr"]
        assert float((abs(pulls) < 1).mean()) == pytest.approx(0.683, abs=0.035)
        assert abs(float(pulls.median())) < 0.1


def test_from_raw_spectra_to_time_constants() -> None:
    scan, truth = usidx.simulate.relaxation((3, 3), 40, biases=4, frequencies=48, noise=0.001, phase_offset=0.3)
    fitted = usidx.correct_phase(usidx.sho_fit(scan))
    found = usidx.relaxation_fit(usidx.response(fitted, sensitivity=1e6, units="um"))
    np.testing.assert_allclose(found.time_constant, truth.time_constant, rtol=0.1)
    np.testing.assert_allclose(found.amplitude, 1e6 * truth.amplitude, rtol=0.05)
    assert (found.amplitude.units, found.time_constant.units) == ("um", "s")


def test_a_mask_leaves_samples_out() -> None:
    scan, truth = usidx.simulate.relaxation((3, 3), 64, biases=2, noise=0.0)
    spoilt, early = scan.copy(deep=True), xr.zeros_like(scan.Time, bool)
    early[:4] = True
    spoilt[{"Time": slice(0, 4)}] = 1e3
    found = usidx.relaxation_fit(spoilt, mask=early)
    assert (found.samples == 60).all()
    np.testing.assert_allclose(found.time_constant, truth.time_constant, rtol=2e-4)


def test_another_coordinate_than_that_of_the_dim() -> None:
    scan, truth = usidx.simulate.relaxation((2, 2), 32, noise=0.0)
    by_number = scan.rename(Time="Repeats").assign_coords(Repeats=np.arange(32), Time=("Repeats", scan.Time.values))
    found = usidx.relaxation_fit(by_number, dim="Repeats", coordinate="Time")
    np.testing.assert_allclose(found.time_constant, truth.time_constant, rtol=1e-5)


def test_pixels_that_show_nothing_fail_alone() -> None:
    scan, _ = usidx.simulate.relaxation((3, 3), 32)
    holed = scan.copy(deep=True)
    holed[1, 1] = np.nan
    found, whole = usidx.relaxation_fit(holed), usidx.relaxation_fit(scan)
    assert np.isnan(found.time_constant[1, 1]).all()
    assert not found.converged[1, 1].any()
    xr.testing.assert_equal(found.isel(Y=0), whole.isel(Y=0))


def test_it_can_be_evaluated_and_is_one_step() -> None:
    scan, truth = usidx.simulate.relaxation((2, 2), 32, noise=0.0)
    found = scan.usid.relaxation_fit()
    assert [s["tool"] for s in usidx.history(found)] == ["simulate.relaxation", "relaxation_fit"]
    np.testing.assert_allclose(usidx.evaluate(found), truth.response, rtol=1e-6, atol=1e-12)


def test_refuses() -> None:
    scan, _ = usidx.simulate.relaxation((2, 2), 8)
    with pytest.raises(SelectionError, match=r"no decay 'logistic'; choose one of \('exponential'"):
        usidx.relaxation_fit(scan, "logistic")
    with pytest.raises(SelectionError, match="no decay 'none'"):
        Relaxation("none")
    with pytest.raises(RoleError, match="dim="):
        usidx.relaxation_fit(scan.rename(Time="Repeats"))
    with pytest.raises(UsidError, match="is complex"):
        usidx.relaxation_fit(scan.astype(complex))


@pytest.mark.parametrize(("decay", "times"), [("exponential", 1), ("exponential", 2), ("double", 2)])
def test_a_decay_of_fewer_times_than_parameters_is_not_fitted(decay: str, times: int) -> None:
    data, _ = usidx.simulate.relaxation((1, 2), times, biases=1)
    assert not usidx.relaxation_fit(data, decay).compute().converged.any()
