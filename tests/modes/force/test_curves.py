"""Force curves against simulated truth: without bias, errors that hold, whatever the order, units and segments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.errors import RoleError, SelectionError, UnitsError, UsidError
from usidx.modes import force_curves
from usidx.simulate import force_map

COVERED = (0.58, 0.78)


def pull(found: xr.Dataset, truth: xr.Dataset, name: str) -> Any:
    """Return errors in units of the standard errors."""
    return ((found[name] - truth[name]) / found[f"{name}_stderr"]).values.ravel()


@pytest.mark.parametrize("model", ["hertz", "cone", "jkr"])
def test_figures_are_those_of_the_truth_and_their_errors_hold(model: Any) -> None:
    curves, truth = force_map((16, 16), 400, model=model, noise=0.01)
    found = force_curves(curves, model=model)
    assert bool(found.converged.all())
    for name in ("contact_point", "modulus", "stiffness", "adhesion", "work"):
        off = pull(found, truth, name)
        assert COVERED[0] <= np.mean(abs(off) < 1) <= COVERED[1], name
        assert 0.8 < off.std() < 1.2, name
        assert abs(off.mean()) < (0.6 if name == "adhesion" else 0.4), name
    assert abs(found.contact_point - truth.contact_point).median() < 0.01 * truth.indentation.mean()
    assert abs(found.modulus / truth.modulus - 1).mean() < 0.02
    assert abs(found.adhesion / truth.adhesion - 1).median() < 0.07
    assert abs(found.work / truth.work - 1).median() < 0.05
    assert abs(found.indentation / truth.indentation - 1).max() < 0.05
    if model == "jkr":
        expected = truth.adhesion / (1.5 * np.pi * 2.5e-6)
        assert abs(found.surface_energy / expected - 1).median() < 0.05
    else:
        assert abs(found.snap_in / truth.snap_in - 1).median() < 0.05


def test_without_adhesion_the_contact_point_is_as_good_as_the_noise_allows() -> None:
    """Signal to noise about 20: the bound of Cramer and Rao, which the standard errors are, is reached."""
    curves, truth = force_map((16, 16), 500, noise=0.05, adhesion=0.0)
    found = force_curves(curves)
    off = pull(found, truth, "contact_point")
    assert COVERED[0] <= np.mean(abs(off) < 1) <= COVERED[1]
    assert 0.85 < off.std() < 1.2
    assert float(abs((found.modulus / truth.modulus - 1).mean())) < 0.01
    assert float((found.snap_in > 0).mean()) < 0.02
    assert float((found.adhesion > 0).mean()) < 0.02


def test_jumps_as_small_as_the_noise_are_found_and_their_errors_hold() -> None:
    """Signal to noise 20: the tip is drawn down by one to three times the noise of a sample."""
    curves, truth = force_map((20, 20), 500, noise=0.05)
    found = force_curves(curves)
    assert float((found.snap_in > 0).mean()) > 0.75
    for name in ("contact_point", "modulus"):
        assert 0.57 <= np.mean(abs(pull(found, truth, name)) < 1) <= 0.77, name
    assert float((abs(found.contact_point - truth.contact_point) / truth.indentation).median()) < 0.01


@pytest.mark.parametrize("make", [
    lambda c: c.isel(time=slice(0, 300)),  # only the approach
    lambda c: c.where(c.time < 0.45),  # filled up with NaN
    lambda c: np.round(c * 1e12).astype("i4").assign_attrs({**c.attrs, "units": "pN"}),
    lambda c: c.assign_coords(height=(-c.height).assign_attrs(units="m")),
], ids=["approach alone", "NaN at the end", "whole numbers", "a height that rises"])  # fmt: skip
def test_curves_of_all_kinds_have_their_contact_within_them(make: Any) -> None:
    curves, truth = force_map((4, 4), 300, pause=40)
    given = make(curves)
    found = force_curves(usidx.set_roles(given, spectroscopic="time"))
    assert bool(found.converged.all())
    sign = 1 if float(given.height[0]) > 0 else -1
    np.testing.assert_allclose(sign * found.contact_point, truth.contact_point, atol=6e-9)
    assert bool(((sign * found.contact_point > 0) & (sign * found.contact_point < 1e-6)).all())


def test_flat_and_reversed_curves_are_flagged() -> None:
    curves, _ = force_map((2, 2), 300)
    flat = curves.copy(data=np.full(curves.shape, 3e-9))
    turned = (-curves).assign_attrs(curves.attrs)  # attracted ever more
    for given in (flat, turned):
        found = force_curves(given)
        assert not bool(found.converged.any())
        assert bool(found.contact_point.isnull().all())
        assert bool((found.status < 0).all())


def test_the_contact_point_is_within_a_hundredth_of_the_indentation_at_a_signal_of_twenty() -> None:
    """Forces over the way of the tip itself, a thousand samples of the approach, half of them in contact."""
    rng = np.random.default_rng(2)
    z = np.linspace(0, 1e-6, 1000)
    clean = 20e-9 * (np.clip(z - 0.5e-6, 0, None) / 0.5e-6) ** 1.5 + 1e-3 * z
    noisy = clean + 1e-9 * rng.standard_normal((64, 1000))
    curves = xr.DataArray(noisy, {"z": ("z", z, {"units": "m"})}, ("X", "z"), attrs={"units": "N"})
    found = force_curves(curves, radius=1e-6, dim="z")
    off = found.contact_point - 0.5e-6
    assert float(np.sqrt((off**2).mean())) < 0.01 * 0.5e-6
    assert abs(float(off.mean())) < 0.003 * 0.5e-6
    expected = 0.75 * 20e-9 / (0.5e-6) ** 1.5 / 1e-3 * 0.75  # C / (4/3 sqrt(R)) (1 - nu^2)
    assert abs(float(found.modulus.mean()) / expected - 1) < 0.01
    assert not found.adhesion.notnull().any()  # there is no retract


def test_units_order_and_direction_of_the_height_do_not_matter() -> None:
    curves, _ = force_map((3, 3), 300, pause=30)
    plain = force_curves(curves)
    bent = (curves / 0.2 * 1e9).assign_attrs({**curves.attrs, "units": "nm"})
    rising = (-curves.height * 1e9).assign_attrs(units="nm")
    turned = force_curves(bent.assign_coords(height=rising))
    np.testing.assert_allclose(turned.contact_point, -1e9 * plain.contact_point, rtol=1e-6)
    np.testing.assert_allclose(turned.tilt, -plain.tilt, rtol=1e-5)
    assert (turned.contact_point.units, turned.adhesion.units) == ("nm", "N")
    for name in ("modulus", "adhesion", "work", "stiffness", "snap_in"):
        np.testing.assert_allclose(turned[name], plain[name], rtol=1e-5)
    volts = (curves / 0.2 / -5e-8).assign_attrs(units="V")
    seen = force_curves(volts, spring_constant=0.2, sensitivity=-5e-8, radius=2.5e-6)
    np.testing.assert_allclose(seen.modulus, plain.modulus, rtol=1e-5)
    small = force_curves((curves * 1e9).assign_attrs({**curves.attrs, "units": "nN"}))
    np.testing.assert_allclose(small.adhesion, 1e9 * plain.adhesion, rtol=1e-6)
    assert small.adhesion.units == "nN"


def test_segments_are_found_by_the_height_as_they_are_told() -> None:
    curves, _ = force_map((3, 3), 300, pause=40)
    told = force_curves(curves)
    found = force_curves(curves.drop_vars("segment"))
    # A sample at the turning point may be counted to the pause.
    np.testing.assert_allclose(found.contact_point, told.contact_point, rtol=5e-3)
    np.testing.assert_allclose(found.adhesion, told.adhesion, rtol=1e-6)
    longer = curves.pad(time=(0, 50), mode="edge")
    height = np.concatenate([curves.height.values, 1e-6 + 2e-8 * np.arange(1, 51)])
    away = longer.assign_coords(time=np.arange(690.0), height=("time", height, {"units": "m"})).drop_vars("segment")
    away = usidx.set_roles(away, spectroscopic="time")
    np.testing.assert_allclose(force_curves(away).contact_point, told.contact_point, rtol=5e-3)


def test_a_height_from_curve_to_curve_and_curves_that_end_early() -> None:
    curves, truth = force_map((3, 4), 500)
    shifts = xr.DataArray(np.linspace(0, 1e-6, 4), dims="X")
    height = (curves.height + shifts).transpose("X", "time").assign_attrs(units="m")
    cut = curves.where(curves.time < 0.9)
    found = force_curves(cut, height=height.where(cut.time < 0.9))
    np.testing.assert_allclose(found.contact_point - shifts, truth.contact_point, atol=3e-9)
    again = force_curves(cut.chunk(Y=1), height=height.where(cut.time < 0.9).chunk(X=2))
    xr.testing.assert_allclose(again.compute(), found)


def test_a_curve_that_cannot_be_fitted_is_missing_and_says_why() -> None:
    curves, _ = force_map((2, 3), 300)
    broken = curves.copy(data=curves.values.copy())
    rng = np.random.default_rng(0)
    broken[0, 0] = np.nan
    broken[0, 1] = 1e-9 * rng.standard_normal(600)
    broken[0, 2] = 0.0
    broken[1, 0] = 0.1 * (1e-6 - curves.height) + 1e-10 * rng.standard_normal(600)  # the whole way on something hard
    found = force_curves(broken)
    told = dict(zip(found.status.flag_values.tolist(), found.status.flag_meanings.split(), strict=True))
    assert [told[int(s)] for s in found.status.values.ravel()[:3]] == [
        "too_few_samples",
        "no_contact",
        "too_few_samples",
    ]
    assert found.converged.values.tolist() == [[False] * 3, [False, True, True]]
    failed = found.where(~found.converged, drop=True)
    assert all(np.isnan(failed[n].values[~found.converged.values]).all() for n in ("contact_point", "work", "noise"))
    whole = force_curves(curves)
    xr.testing.assert_equal(found.isel(Y=1, X=slice(1, None)), whole.isel(Y=1, X=slice(1, None)))


@pytest.mark.parametrize("seed", range(3))
def test_the_contact_point_never_lies_outside_the_curve(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = rng.uniform(-2, 2, (60, 5))
    s = np.linspace(0, 1, 200)
    curves = sum(c[:, None] * s**k for k, c in enumerate(shape.T)) + 0.3 * rng.standard_normal((60, 200))
    z = ("z", 1e-6 * s, {"units": "m"})
    found = force_curves(xr.DataArray(curves, {"z": z}, ("X", "z"), attrs={"units": "nN"}), radius=1e-6, dim="z")
    at = found.contact_point.values[found.converged.values]
    assert ((at >= 0) & (at <= 1e-6)).all()
    assert np.isnan(found.contact_point.values[~found.converged.values]).all()


def test_what_is_written_is_opened_and_replayed(tmp_path: Path) -> None:
    curves, _ = force_map((4, 3), 200, model="jkr")
    usidx.write(curves, tmp_path / "map.h5", progress=False)
    raw = usidx.open_main(tmp_path / "map.h5", chunks={"Y": 2})
    assert raw.spring_constant == 0.2
    made = raw.usid.modes.force_curves(model="jkr")
    assert all(v.chunks is not None for v in made.data_vars.values())
    group = made.usid.write(progress=False)
    assert group.endswith("/Raw_Data-Force_Curves_000")
    again = usidx.open_result(tmp_path / "map.h5", group)
    xr.testing.assert_allclose(again.compute(), force_curves(curves, model="jkr"))
    assert again.converged.dtype == bool
    assert again.modulus.units == "Pa"
    assert usidx.replay(tmp_path / "map.h5", group).equal
    assert len(again.usid.plot.maps(variables=["modulus", "adhesion"]).axes) >= 2


@pytest.mark.parametrize(
    ("change", "options", "kind", "text"),
    [
        ({"units": "A"}, {}, UnitsError, "has the unit 'A'; it should be a force"),
        ({"units": "V"}, {}, UnitsError, "is a voltage: give sensitivity="),
        ({"units": "m", "spring_constant": None}, {}, UnitsError, "is a deflection: give spring_constant="),
        ({}, {"spring_constant": -1.0}, UsidError, r"spring_constant=-1.0; it should be a number above 0"),
        ({}, {"model": "sneddon"}, UsidError, "model='sneddon'"),
        ({}, {"baseline": "bent"}, UsidError, "baseline='bent'"),
        ({}, {"poisson": 0.7}, UsidError, "poisson=0.7"),
        ({}, {"height": "depth"}, SelectionError, "height='depth' is no coordinate"),
        ({}, {"height": "Y"}, RoleError, r"height has the dims \('Y',\)"),
        ({}, {"height": "time"}, UnitsError, "has the unit 's'; a length"),
        ({}, {"height": xr.DataArray(np.arange(3.0), dims="time")}, SelectionError, "height has 3 along 'time'"),
    ],
)
def test_refuses(change: dict[str, Any], options: dict[str, Any], kind: type[Exception], text: str) -> None:
    curves, _ = force_map((2, 2), 40)
    with pytest.raises(kind, match=text):
        force_curves(curves.assign_attrs(change), **options)


def test_a_height_that_is_not_there_is_asked_for() -> None:
    curves, _ = force_map((2, 2), 40)
    with pytest.raises(SelectionError, match=r"No coordinate along 'time' is the height.*height="):
        force_curves(curves.drop_vars("height"))
