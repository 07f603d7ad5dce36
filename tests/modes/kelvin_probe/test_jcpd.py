"""Junction potentials of contact Kelvin probe spectra: the truth within 0.02 V, and errors that hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.errors import ResultError, SelectionError, UnitsError, UsidError
from usidx.modes import jcpd
from usidx.simulate import ckpfm


@pytest.mark.parametrize("read_steps", [3, 7])
def test_potentials_are_those_of_the_truth_and_their_errors_hold(read_steps: int) -> None:
    scan, truth = ckpfm((6, 6), 40, noise=0.01, read_steps=read_steps)
    found = jcpd(usidx.sho_fit(scan))
    off = (found.junction_potential - truth.junction_potential) / found.junction_potential_stderr
    assert found.junction_potential.dims == ("Y", "X", "write_bias")
    assert bool(found.converged.all())
    assert float(abs(found.junction_potential - truth.junction_potential).median()) < 0.02  # V
    assert 0.6 <= float((abs(off) < 1).mean()) <= 0.75
    assert abs(float(off.mean())) < 0.2
    np.testing.assert_allclose(abs(found.slope), abs(truth.slope), rtol=0.2)
    assert (found.junction_potential.units, found.intercept.units) == ("V", "V")


def test_a_line_is_that_of_polyfit() -> None:
    rng = np.random.default_rng(0)
    volts = np.array([-2.0, -1.0, 0.5, 1.0, 3.0])
    rows = 3e-6 * (volts - 0.4) + 1e-7 * rng.standard_normal((8, 5))
    coords = {"read_bias": ("read_bias", volts, {"units": "V"})}
    signed = xr.DataArray(rows, coords, ("X", "read_bias"), attrs={"units": "pm"})
    found = jcpd(signed)
    for row, one in zip(rows, [found.isel(X=k) for k in range(8)], strict=True):
        (slope, intercept), covariance = np.polyfit(volts, row, 1, cov=True)
        np.testing.assert_allclose([one.slope, one.intercept], [slope, intercept], rtol=1e-9)
        np.testing.assert_allclose(
            [one.slope_stderr, one.intercept_stderr], np.sqrt(np.diagonal(covariance)), rtol=1e-9
        )
        by = np.array([intercept / slope**2, -1 / slope])
        np.testing.assert_allclose(one.junction_potential, -intercept / slope, rtol=1e-9)
        np.testing.assert_allclose(one.junction_potential_stderr, np.sqrt(by @ covariance @ by), rtol=1e-9)
    assert found.slope.units == "pm/V"


def test_samples_may_be_missing_and_what_is_flat_has_no_potential() -> None:
    volts = np.linspace(-3, 3, 7)
    rows = np.tile(2.0 * (volts - 1.0), (4, 1)) + 1e-3 * np.random.default_rng(1).standard_normal((4, 7))
    rows[1, 3] = np.nan
    rows[2, 1:] = np.nan
    rows[3] = np.random.default_rng(0).standard_normal(7)
    found = jcpd(xr.DataArray(rows, {"read_bias": volts}, ("X", "read_bias")))
    np.testing.assert_allclose(found.junction_potential[:2], 1.0, atol=2e-3)
    assert np.isnan(found.junction_potential[2:]).all()
    told = dict(zip(found.status.flag_values.tolist(), found.status.flag_meanings.split(), strict=True))
    assert [told[int(s)] for s in found.status] == ["converged", "converged", "too_few_samples", "no_slope"]
    assert found.converged.values.tolist() == [True, True, False, False]
    assert np.isfinite(found.slope[3])


def test_a_response_that_is_no_line_has_the_error_of_its_scatter() -> None:
    scan, _ = ckpfm((3, 3), 40, noise=0.001)
    fitted = usidx.sho_fit(scan)
    bent = fitted.assign(amplitude=fitted.amplitude * (1 + 0.1 * fitted.read_bias**2))
    alone = jcpd(usidx.response(bent, offset=-0.4))
    both = jcpd(bent, offset=-0.4)
    np.testing.assert_allclose(both.junction_potential_stderr, alone.junction_potential_stderr, rtol=1e-6)


def test_lazily_through_a_file_and_again(tmp_path: Path) -> None:
    scan, _ = ckpfm((4, 3), 24, write_steps=4)
    usidx.write(scan, tmp_path / "scan.h5", progress=False)
    raw = usidx.open_main(tmp_path / "scan.h5", chunks={"Y": 2})
    fitted = usidx.open_result(tmp_path / "scan.h5", raw.usid.sho_fit().usid.write(progress=False), chunks={"Y": 2})
    made = fitted.usid.modes.jcpd()
    assert all(v.chunks is not None for v in made.data_vars.values())
    group = made.usid.write(progress=False)
    again = usidx.open_result(tmp_path / "scan.h5", group)
    xr.testing.assert_allclose(again.compute(), jcpd(fitted.compute()))
    assert usidx.replay(tmp_path / "scan.h5", group).equal
    assert again.usid.plot.maps(variables=["junction_potential"]).axes


@pytest.mark.parametrize(
    ("change", "options", "kind", "text"),
    [
        (lambda f: f[["amplitude"]], {}, ResultError, "no variable 'phase'"),
        (lambda f: usidx.response(f), {"offset": 0.1}, UsidError, "offset=0.1 is for oscillators"),
        (lambda f: f.amplitude * 1j, {}, UsidError, "a response is real"),
        (lambda f: f, {"coordinate": "bias"}, SelectionError, "No coordinate 'bias' along 'read_bias'"),
        (lambda f: f.assign_coords(read_bias=[0.0, np.nan, 1.0]), {}, UnitsError, "'read_bias' has values"),
    ],
)
def test_refuses(change: Any, options: dict[str, Any], kind: type[Exception], text: str) -> None:
    scan, _ = ckpfm((2, 2), 16, write_steps=4, read_steps=3)
    with pytest.raises(kind, match=text):
        jcpd(change(usidx.sho_fit(scan)), **options)
