"""Fitted loops against the truth that they were made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import least_squares
from scipy.stats import t as student

import usidx
from tests.kit.loops import NAMES, Array, coordinates, draw, is_rising, loops, scan, triangle
from usidx.errors import RoleError, SelectionError, UsidError
from usidx.results.provenance import find_last_step, read_steps

VARIABLES = {
    "projected_loops", "area", "area_stderr", "centroid_x", "centroid_y", "rotation_angle", "offset",
    *NAMES, *(f"{n}_stderr" for n in NAMES), *(f"{n}_guess" for n in NAMES),
    "imprint", "r_plus", "work_of_switching", "nucleation_bias_1", "nucleation_bias_2",
    "imprint_stderr", "r_plus_stderr", "work_of_switching_stderr",
    "nucleation_bias_1_stderr", "nucleation_bias_2_stderr",
    "imprint_guess", "r_plus_guess", "work_of_switching_guess", "nucleation_bias_1_guess", "nucleation_bias_2_guess",
    "chi2", "redchi", "r2", "r2_guess", "nfev", "status", "converged", "samples",
    "aic_loop", "bic_loop", "aic_line", "bic_line", "is_loop", "common_widths",
}  # fmt: skip


def bare(found: xr.Dataset) -> xr.Dataset:
    """Leave out the provenance, in which the graph of a lazy input has a name."""
    return found.drop_attrs()


def test_without_noise_the_truth_is_found() -> None:
    data, truth = scan((6, 7), noise=0.0)
    found = usidx.loop_fit(data)
    assert found.converged.all()
    for k, name in enumerate(NAMES):
        assert_allclose(found[name], truth[..., k], rtol=0, atol=2e-5, err_msg=name)
    assert_allclose(found.r2, 1.0, atol=1e-9)
    assert_allclose(found.imprint, truth[..., 2:4].mean(axis=-1), atol=1e-5)
    assert_allclose(found.offset.where(np.isclose(found.offset, 0.4), -found.offset), 0.4, atol=1e-6)
    assert set(found.data_vars) == VARIABLES


def test_noise_leaves_little_over_and_the_guess_is_a_guess() -> None:
    """On a loop like this the old tool left 1 - R^2 = 0.135, its guess; its own bounded fit reaches 0.0016."""
    data, _ = scan((10, 10), steps=64, noise=0.02)
    found = usidx.loop_fit(data)
    assert float((1 - found.r2).max()) <= 0.002
    assert (found.r2 > found.r2_guess).all()
    assert float(abs(found.v_plus - found.v_plus_guess).median()) > 0.01
    residual = found.projected_loops - usidx.evaluate(found)
    assert_allclose((residual**2).sum("DC_Offset"), found.chi2, rtol=1e-7)
    assert_allclose(1 - found.chi2 / ((found.projected_loops.var("DC_Offset")) * 64), found.r2, rtol=1e-7)


def test_as_good_as_scipy() -> None:
    data, truth = scan((3, 4), noise=0.05, seed=7)
    found = usidx.loop_fit(data)
    step = 0.5
    low = [-np.inf, 0, -8, -8, -np.inf, *[step / 3] * 4]
    high = [np.inf, np.inf, 7.999, 7.999, np.inf, *[16.0] * 4]
    for y, x in np.ndindex(3, 4):
        loop = found.projected_loops.values[y, x]

        def left(p: Array, loop: Array = loop) -> Any:
            return loops(triangle(64), is_rising(64), p, step=1e9) - loop

        best = least_squares(left, truth[y, x], bounds=(low, high), x_scale="jac", ftol=1e-12, xtol=1e-12)
        assert found.chi2.values[y, x] <= 2 * best.cost * (1 + 1e-4)


@pytest.mark.parametrize("noise", [0.02, 0.05])
def test_switching_voltages_are_unbiased_and_their_errors_true(noise: float) -> None:
    data, truth = scan((40, 50), noise=noise, seed=1, widths=(0.8, 1.6))
    found = usidx.loop_fit(data)
    assert float(found.converged.mean()) > 0.999
    work = (truth[..., 3] - truth[..., 2]) * truth[..., 1]
    for name, true in (
        ("v_minus", truth[..., 2]),
        ("v_plus", truth[..., 3]),
        ("imprint", truth[..., 2:4].mean(axis=-1)),
        ("r_plus", truth[..., :2].sum(axis=-1)),
        ("work_of_switching", work),
    ):
        error, stderr = found[name].values - true, found[f"{name}_stderr"].values
        known = np.isfinite(stderr)
        assert known.mean() > 0.9
        assert abs(error.mean()) < 4 * error.std() / np.sqrt(error.size)
        # Of 2000 loops the share within the 95 % of Student's distribution scatters by 0.5 %.
        assert 0.93 < (np.abs(error[known]) < student.ppf(0.975, 64 - 9) * stderr[known]).mean() < 0.97


def test_a_width_on_its_bound_takes_the_error_of_the_switching_voltage_along() -> None:
    data, _ = scan((6, 6), noise=0.02, widths=(0.02, 0.1))
    found = usidx.loop_fit(data)
    assert (found.status == 2).any()
    held = np.isnan(found.rising_width_below_stderr) | np.isnan(found.rising_width_above_stderr)
    assert held.any()
    assert_array_equal(np.isnan(found.v_plus_stderr), held)
    for name in ("rising_width_below", "rising_width_above"):  # what is left of the branch is not known either
        assert_array_equal(np.isnan(found[f"{name}_stderr"]), held)
    assert_array_equal(np.isnan(found.nucleation_bias_1_stderr), held)
    assert_array_equal(np.isnan(found.imprint_stderr), held | np.isnan(found.v_minus_stderr))
    assert np.isfinite(found.r_plus_stderr).all()


@pytest.mark.parametrize("steps", [32, 64])
@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_sharp_loops(steps: int, noise: float) -> None:
    """Branches far steeper than the steps of the voltage: they switch between the two samples beside the truth."""
    data, truth = scan((40, 50), steps=steps, noise=noise, seed=2, widths=(0.005, 0.3))
    found = usidx.loop_fit(data)
    assert found.converged.all()
    assert float(abs(found.v_plus - truth[..., 3]).quantile(0.99)) < 32 / steps  # a step
    assert float((1 - found.r2).max()) < 0.002
    # Nothing that is held is said to be known.
    lowest = 32 / steps / 3
    for name in NAMES[5:]:
        held = found[name] <= lowest
        assert held.any()
        assert np.isnan(found[f"{name}_stderr"].where(held)).all()
        assert (found.status.where(held, 2) == 2).all()


def test_imprinted_and_tilted_loops() -> None:
    truth = draw((200,), 5)
    truth[:, 2] = np.random.default_rng(6).uniform(-6, 4, 200)
    truth[:, 3] = truth[:, 2] + 1.5
    truth[:, 4] = -0.15  # electrostatics may outweigh the loop
    clean = loops(triangle(64), is_rising(64), truth)
    coords = coordinates(V=(triangle(64), "spectroscopic", "V"))
    found = usidx.loop_fit(xr.DataArray(clean * np.exp(2j), dims=("X", "V"), coords=coords))
    assert found.converged.all()
    assert float((abs(found.v_plus - truth[:, 3]) < 1e-4).mean()) == 1.0


def test_hopeless_loops_are_flagged_and_touch_no_other() -> None:
    data, _ = scan((4, 5), noise=0.02)
    alone = usidx.loop_fit(data)
    spoiled = data.copy(deep=True)
    spoiled[1, 1] = np.nan
    spoiled[1, 2] = 3.0 + 1.0j
    spoiled[2, 2, 5:] = np.nan
    rng = np.random.default_rng(0)
    spoiled[3, 0] = rng.normal(size=64) + 1j * rng.normal(size=64)
    spoiled[3, 1] = 0.1 * triangle(64) + 0.02 * rng.normal(size=64)
    found = usidx.loop_fit(spoiled)
    for y, x, status in ((1, 1, -2), (1, 2, -3), (2, 2, -2)):
        assert found.status.values[y, x] == status
        assert not found.converged.values[y, x]
        assert np.isnan([found[n].values[y, x] for n in (*NAMES, "v_plus_stderr", "imprint", "aic_loop", "r2")]).all()
    for y, x in ((1, 1), (1, 2), (2, 2), (3, 0), (3, 1)):
        assert not found.is_loop.values[y, x]
    others = np.ones((4, 5), dtype=bool)
    others[[1, 1, 2, 3, 3], [1, 2, 2, 0, 1]] = False
    assert found.is_loop.values[others].all()
    for name in found.data_vars:
        assert_array_equal(found[name].values[others], alone[name].values[others], err_msg=str(name))


def test_how_the_array_is_cut_changes_nothing() -> None:
    data, _ = scan((6, 7), noise=0.1)
    eager = usidx.loop_fit(data)
    for chunks in ({"Y": 1, "X": 1}, {"Y": 4, "X": 3, "DC_Offset": 9}, {}):
        lazy = usidx.loop_fit(data.chunk(chunks))
        assert all(v.chunks is not None for v in lazy.data_vars.values())
        xr.testing.assert_identical(bare(lazy.compute()), bare(eager))
    one = usidx.loop_fit(data.isel(Y=3, X=2))
    xr.testing.assert_equal(bare(one), bare(eager.isel(Y=3, X=2)))


def test_missing_steps_are_left_out() -> None:
    data, truth = scan((5, 5), noise=0.0)
    holey = data.copy(deep=True)
    holey[..., [3, 20, 21, 60]] = np.nan
    found = usidx.loop_fit(holey)
    assert (found.samples == 60).all()
    assert_allclose(found.v_plus, truth[..., 3], atol=2e-5)
    assert_allclose(found.v_minus, truth[..., 2], atol=2e-5)
    assert np.isnan(found.projected_loops[..., 20]).all()


def test_a_mask_leaves_samples_out() -> None:
    data, truth = scan((3, 3), noise=0.0)
    spoilt = data.copy(deep=True)
    spoilt[..., [3, 20, 21, 60]] = 50.0
    steps = xr.DataArray(np.isin(np.arange(data.shape[-1]), [3, 20, 21, 60]), dims=str(data.dims[-1]))
    found = usidx.loop_fit(spoilt, mask=steps)
    assert (found.samples == 60).all()
    assert_allclose(found.v_plus, truth[..., 3], atol=2e-5)
    assert_allclose(found.v_minus, truth[..., 2], atol=2e-5)
    assert np.isnan(found.projected_loops[..., 20]).all()
    with pytest.raises(RoleError, match="other cells along"):
        usidx.loop_fit(spoilt, mask=steps[:-1])


def test_one_cycle_and_many() -> None:
    data, truth = scan((3, 4), noise=0.0)
    counted = {"Cycle": ("Cycle", [0], {"usid_role": "spectroscopic"})}
    one = usidx.loop_fit(data.expand_dims(Cycle=1, axis=2).assign_coords(counted))
    assert one.v_plus.dims == ("Y", "X", "Cycle")
    assert one.projected_loops.dims == ("Y", "X", "Cycle", "DC_Offset")
    assert_allclose(one.v_plus[..., 0], truth[..., 3], atol=2e-5)
    many = usidx.loop_fit(xr.concat([data, -2 * data], dim="Cycle"))
    assert_allclose(many.switchable_polarization.isel(Cycle=1), 2 * truth[..., 1], atol=5e-5)


@pytest.mark.parametrize("lazy", [False, True])
def test_reversal_curves_of_growing_voltage(lazy: bool) -> None:
    """Each goes further than the one before, so steps, bounds and branches are its own."""
    highest = np.array([3.0, 6.0, 12.0])
    voltage = np.stack([triangle(64, v) for v in highest])
    truth = draw((2, 3), 4)
    truth[..., 2:4] *= 0.25 * highest[:, None]
    truth[..., 5:] *= 0.1 * highest[:, None]
    response = np.exp(1j) * np.stack([loops(v, is_rising(64), truth[:, k]) for k, v in enumerate(voltage)], axis=1)
    swept = xr.Variable(("FORC", "DC_Offset"), voltage, {"usid_role": "spectroscopic", "units": "V"})
    coords = coordinates(X=(np.arange(2), "position", "m"), FORC=(np.arange(3), "spectroscopic", ""))
    data = xr.DataArray(response, dims=("X", "FORC", "DC_Offset"), coords=coords)
    data = data.assign_coords(xr.Coordinates({"DC_Offset": swept}, indexes={}))
    found = usidx.loop_fit(data.chunk({"FORC": 2, "X": 1}) if lazy else data)
    assert found.v_plus.dims == ("X", "FORC")
    assert found.converged.all()
    for k, name in enumerate(NAMES):
        assert_allclose(found[name], truth[..., k], rtol=1e-4, atol=1e-5, err_msg=name)
    assert_allclose(usidx.evaluate(found), found.projected_loops, atol=1e-6)


def test_read_voltages_each_have_their_loop() -> None:
    """As in contact Kelvin probe work: the write voltage makes the loop, and both are in volts."""
    data, truth = scan((2, 3), steps=32, noise=0.0)
    read = xr.Variable("read_bias", [-1.0, 0.0, 1.0], {"usid_role": "spectroscopic", "units": "V"})
    turned = np.exp(-1j * np.angle(np.sum((data - data.mean("DC_Offset")) ** 2, axis=-1)) / 2)
    both = (data * turned[..., None] + xr.DataArray(read)).rename(DC_Offset="write_bias").assign_coords(read_bias=read)
    found = usidx.loop_fit(both)
    assert found.v_plus.dims == ("Y", "X", "read_bias")
    assert found.converged.all()
    assert_allclose(found.v_plus.std("read_bias"), 0.0, atol=1e-5)
    assert_allclose(found.imprint[..., 0], truth[..., 2:4].mean(axis=-1), atol=1e-3)


def test_from_a_fit_of_oscillators_to_simulated_band_excitation() -> None:
    raw, truth = usidx.simulate.beps((6, 6), 48, dc_steps=64, noise=0.005)
    oscillators = raw.usid.sho_fit()
    found = oscillators.usid.loop_fit()
    assert [s["tool"] for s in read_steps(found)][-2:] == ["sho_fit", "loop_fit"]
    assert found.v_plus.dims == ("Y", "X")
    assert found.area.attrs["units"] == "V^2"
    assert found.is_loop.all()
    for name in ("v_plus", "v_minus"):
        error = found[name] - truth[name]
        assert abs(float(error.mean())) < 0.05
        assert float(error.std()) < 0.2
    assert_allclose(found.switchable_polarization, truth.switchable_polarization, rtol=0.05)


def test_information_criteria() -> None:
    data, _ = scan((2, 2), noise=0.1)
    found = usidx.loop_fit(data)
    loop, voltage = found.projected_loops.values[0, 0], triangle(64)
    line = np.sum((loop - np.polyval(np.polyfit(voltage, loop, 1), voltage)) ** 2)
    for name, rss, count in (("loop", float(found.chi2[0, 0]), 9), ("line", line, 2)):
        likely = 64 * np.log(rss / 64)
        assert found[f"aic_{name}"].values[0, 0] == pytest.approx(likely + 2 * count)
        assert found[f"bic_{name}"].values[0, 0] == pytest.approx(likely + np.log(64) * count)


def test_noise_is_seldom_taken_for_a_loop() -> None:
    rng = np.random.default_rng(2)
    coords = coordinates(V=(triangle(64), "spectroscopic", "V"))
    noise = rng.normal(size=(400, 64)) + 1j * rng.normal(size=(400, 64))
    found = usidx.loop_fit(xr.DataArray(noise, dims=("X", "V"), coords=coords))
    assert float(found.is_loop.mean()) < 0.01
    assert_array_equal(np.isnan(found.v_plus), ~found.converged)


def test_units_titles_and_the_recorded_step() -> None:
    data, _ = scan((2, 2))
    found = usidx.loop_fit(data, nuc_threshold=0.1)
    units = {
        "v_plus": "V",
        "r_minus": "pm",
        "slope": "pm/V",
        "work_of_switching": "pm V",
        "nucleation_bias_1_guess": "V",
    }
    assert {n: found[n].attrs["units"] for n in units} == units
    assert found.v_plus.attrs["long_name"] == "V+"
    assert found.imprint_guess.attrs["long_name"] == "Guess of Imprint"
    meanings = dict(zip(found.status.attrs["flag_values"], found.status.attrs["flag_meanings"].split(), strict=True))
    assert (meanings[-6], meanings[-5], meanings[1]) == ("model_undefined_at_a_sample", "stuck", "converged")
    step = find_last_step(found)
    assert step is not None
    assert step["tool"] == "loop_fit"
    assert step["parameters"]["nuc_threshold"] == 0.1
    assert usidx.evaluate(found).attrs["units"] == "pm"
    later = usidx.loop_fit(data)
    assert (found.nucleation_bias_1 > later.nucleation_bias_1).all()
    xr.testing.assert_identical(later, usidx.loop_fit(data))


def test_bounds_can_be_given() -> None:
    data, truth = scan((3, 3), noise=0.0)
    found = usidx.loop_fit(data, bounds={"v_plus": (0.0, 1.5), "slope": (0.0, 1.0)})
    assert (found.v_plus <= 1.5).all()
    assert (found.slope >= 0.0).all()
    assert (truth[..., 3] > 1.5).any()


@pytest.mark.parametrize("lazy", [False, True])
def test_no_loops_and_no_voltage(lazy: bool) -> None:
    data, _ = scan((3, 4))
    none = data.isel(Y=slice(0))
    assert usidx.loop_fit(none.chunk() if lazy else none).v_plus.shape == (0, 4)
    assert usidx.project_loops(none.chunk() if lazy else none).area.shape == (0, 4)
    voltage = np.where(np.arange(3)[:, None] == 1, np.nan, triangle(64))
    known = data.assign_coords(bias=(("Y", "DC_Offset"), voltage)).chunk({"Y": 1} if lazy else {})
    known = known.assign_coords(bias=known.bias.chunk())  # in memory it would be refused at once
    found = usidx.loop_fit(known, "DC_Offset", coordinate="bias")
    assert_array_equal(found.converged, np.array([True, False, True])[:, None] & np.ones(4, bool))
    assert_array_equal(found.status.isel(Y=1), -2)


@pytest.mark.parametrize("size", [1e-12, 1e6])
def test_the_units_do_not_matter(size: float) -> None:
    data, _ = scan((3, 4), noise=0.02)
    found = usidx.loop_fit(data)
    scaled = usidx.loop_fit(size * data)
    assert_allclose(scaled.v_plus, found.v_plus, rtol=1e-6)
    assert_allclose(scaled.switchable_polarization, size * found.switchable_polarization, rtol=1e-6)
    millivolts = xr.Variable("DC_Offset", 1e3 * triangle(64), {"usid_role": "spectroscopic", "units": "mV"})
    finer = usidx.loop_fit(data.assign_coords(xr.Coordinates({"DC_Offset": millivolts}, indexes={})))
    assert_allclose(finer.v_plus, 1e3 * found.v_plus, rtol=1e-6)
    assert_array_equal(finer.status, found.status)


@pytest.mark.parametrize("dtype", ["complex64", "float32", "int16"])
def test_any_number_will_do(dtype: str) -> None:
    truth = draw((5,), 0)
    clean = 1000 * loops(triangle(64), is_rising(64), truth)
    coords = coordinates(V=(triangle(64), "spectroscopic", "V"))
    found = usidx.loop_fit(xr.DataArray(-clean.astype(dtype), dims=("X", "V"), coords=coords))
    assert found.v_plus.dtype == np.float64
    assert_allclose(found.v_plus, truth[:, 3], atol=0.01)
    assert_allclose(found.rotation_angle, np.pi)


def test_errors_say_what_to_do() -> None:
    data, _ = scan((1, 1))
    with pytest.raises(SelectionError, match="bounds: no parameter 'a_2' in the model; its parameters are"):
        usidx.loop_fit(data, bounds={"a_2": (0.0, 1.0)})
    with pytest.raises(UsidError, match=r"bounds: 'v_plus' has the bounds \(2.0, 1.0\)"):
        usidx.loop_fit(data, bounds={"v_plus": (2.0, 1.0)})
    with pytest.raises(UsidError, match=r"nuc_threshold=1\.5 is no share"):
        usidx.loop_fit(data, nuc_threshold=1.5)
