"""Phase offsets and signed responses against directions that were put in."""

from __future__ import annotations

import cmath
from typing import Any

import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.errors import ResultError, RoleError, UnitsError
from usidx.label.roles import set_roles


def fitted(offset: Any = 0.0, *, spread: float = 0.05, seed: int = 0) -> tuple[xr.Dataset, xr.DataArray]:
    """Return a fit with domains up and down about an offset, and which are up; dims (Y, X, DC_Offset)."""
    rng = np.random.default_rng(seed)
    shape = (6, 5, 20)
    up = xr.DataArray(rng.random(shape) < 0.7, dims=("Y", "X", "DC_Offset"))
    phase = offset + np.pi * ~up + spread * rng.normal(size=shape)
    phase = np.angle(np.exp(1j * phase))
    amplitude = xr.full_like(up, 1.0, float) + 0.1 * rng.random(shape)
    coords = {"Y": np.arange(6.0), "X": np.arange(5.0), "DC_Offset": np.arange(20.0)}
    fit = xr.Dataset(
        {
            "amplitude": amplitude.assign_attrs(units="V"),
            "phase": (up.dims, np.asarray(phase), {"units": "rad", "long_name": "Phase"}),
        },
        coords=coords,
    )
    return set_roles(fit, position=("Y", "X"), spectroscopic="DC_Offset"), up


@pytest.mark.parametrize("offset", [-1.5, -0.4, 0.0, 0.4, 1.0, 1.55])
def test_the_offset_is_found(offset: float) -> None:
    fit, _ = fitted(offset)
    found = usidx.phase_offset(fit)
    assert found.dims == ()
    assert found.item() == pytest.approx(offset, abs=0.01)
    assert found.attrs["units"] == "rad"


def test_it_is_half_the_direction_of_the_doubled_phases() -> None:
    fit, _ = fitted(0.3, spread=0.5)
    total = sum(a**2 * cmath.exp(2j * p) for a, p in zip(fit.amplitude.values.flat, fit.phase.values.flat, strict=True))
    assert usidx.phase_offset(fit).item() == pytest.approx(cmath.phase(total) / 2, rel=1e-12)


@pytest.mark.parametrize("middle", [0.2, 1.5, -1.56])
def test_offsets_of_positions_do_not_flip(middle: float) -> None:
    drift = xr.DataArray(np.linspace(-0.4, 0.4, 6), dims="Y")
    fit, _ = fitted(middle + drift)
    found = usidx.phase_offset(fit, per_position=True)
    assert found.dims == ("Y", "X")
    # All may be off by the half turn that no phase can tell, but all alike.
    off = found - (middle + drift)
    half_turns = np.round(off / np.pi)
    assert np.unique(half_turns).size == 1
    np.testing.assert_allclose(off - half_turns * np.pi, 0.0, atol=0.06)


@pytest.mark.parametrize("per_position", [False, True])
@pytest.mark.parametrize("lazy", [False, True])
def test_correcting_brings_domains_to_zero_and_a_half_turn(per_position: bool, lazy: bool) -> None:
    drift = xr.DataArray(np.linspace(-0.3, 0.3, 6), dims="Y") if per_position else 0.0
    fit, up = fitted(0.9 + drift)
    corrected = usidx.correct_phase(fit.chunk(Y=2) if lazy else fit, per_position=per_position)
    assert (corrected.phase.chunks is None) != lazy
    assert bool(((abs(corrected.phase) < 0.4) == up).all())
    assert bool(((corrected.phase > -np.pi) & (corrected.phase <= np.pi)).all())
    assert corrected.phase.attrs == fit.phase.attrs | {k: v for k, v in corrected.phase.attrs.items() if "usid" in k}
    signed = usidx.response(corrected)
    assert bool(((signed > 0) == up).all())
    np.testing.assert_allclose(abs(signed), fit.amplitude, rtol=0.05)


def test_the_upper_end_belongs_to_the_range() -> None:
    fit, _ = fitted()
    fit["phase"] = xr.full_like(fit.phase, np.pi)
    assert (usidx.correct_phase(fit, 0.0).phase == np.pi).all()
    assert (usidx.correct_phase(fit, 2 * np.pi).phase == np.pi).all()
    np.testing.assert_allclose(usidx.correct_phase(fit, -0.1).phase, 0.1 - np.pi)


def test_a_given_offset_and_what_was_taken_out_altogether() -> None:
    fit, _ = fitted(0.5)
    once = usidx.correct_phase(fit, 0.2)
    twice = usidx.correct_phase(once)
    assert once.phase_offset.item() == 0.2
    assert twice.phase_offset.item() == pytest.approx(0.5, abs=0.01)
    assert [s["tool"] for s in usidx.history(twice)] == ["correct_phase", "correct_phase"]
    assert usidx.history(once)[0]["parameters"] == {"offset": 0.2, "per_position": False}


def test_failed_fits_are_left_out_and_stay_nan() -> None:
    fit, _ = fitted(0.4)
    bad = (fit.Y > 4) | ((fit.X == 1) & (fit.DC_Offset == 2))
    for name in ("amplitude", "phase"):
        fit[name] = fit[name].where(~bad)
    assert usidx.phase_offset(fit).item() == pytest.approx(0.4, abs=0.01)
    found = usidx.phase_offset(fit, per_position=True)
    np.testing.assert_array_equal(np.isnan(found), fit.amplitude.isnull().all("DC_Offset"))
    signed = usidx.response(usidx.correct_phase(fit))
    np.testing.assert_array_equal(np.isnan(signed), np.broadcast_to(bad, signed.shape))


@pytest.mark.parametrize("lazy", [False, True])
def test_where_every_fit_failed_there_is_no_offset(lazy: bool) -> None:
    fit, _ = fitted()
    for name in ("amplitude", "phase"):
        fit[name] = xr.full_like(fit[name], np.nan)
    fit = fit.chunk(Y=2) if lazy else fit
    for per_position in (False, True):
        assert np.isnan(usidx.phase_offset(fit, per_position=per_position)).all()
        assert np.isnan(usidx.correct_phase(fit, per_position=per_position).phase).all()
    assert np.isnan(usidx.response(fit)).all()


def test_the_response_is_the_real_part() -> None:
    fit, _ = fitted(0.3)
    turned = fit.amplitude.values * np.exp(1j * fit.phase.values)
    np.testing.assert_allclose(usidx.response(fit), turned.real, rtol=1e-12)
    np.testing.assert_allclose(usidx.response(fit, offset=0.3), (turned * np.exp(-0.3j)).real, rtol=1e-12)
    scaled = usidx.response(fit, sensitivity=85.0, units="pm")
    np.testing.assert_allclose(scaled, 85 * turned.real, rtol=1e-12)
    assert (usidx.response(fit).units, scaled.units) == ("V", "pm")
    assert scaled.dims == ("Y", "X", "DC_Offset")


def test_doors() -> None:
    fit, _ = fitted(0.3)
    xr.testing.assert_identical(fit.usid.phase_offset(), usidx.phase_offset(fit))
    xr.testing.assert_identical(fit.usid.correct_phase(0.1), usidx.correct_phase(fit, 0.1))
    xr.testing.assert_identical(fit.usid.response(), usidx.response(fit))


def test_refuses() -> None:
    fit, _ = fitted()
    with pytest.raises(ResultError, match="no variable 'phase'"):
        usidx.response(fit.drop_vars("phase"))
    with pytest.raises(RoleError, match="give one of the two"):
        usidx.correct_phase(fit, 0.1, per_position=True)
    with pytest.raises(RoleError, match="'Z' is not among"):
        usidx.correct_phase(fit, xr.DataArray([0.1], dims="Z"))
    with pytest.raises(UnitsError, match="in 'deg'"):
        usidx.response(fit, offset=xr.DataArray(20.0, attrs={"units": "deg"}))
    with pytest.raises(UnitsError, match=r"sensitivity=3\.0 and units=None"):
        usidx.response(fit, sensitivity=3.0)
    with pytest.raises(RoleError, match="one value for each position"):
        usidx.phase_offset(fit.isel(DC_Offset=[0]), per_position=True)
    bare = fit.drop_vars(["Y", "X"])
    with pytest.raises(RoleError, match="no position dims"):
        usidx.phase_offset(bare, per_position=True)
