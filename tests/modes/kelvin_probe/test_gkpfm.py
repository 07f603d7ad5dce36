"""Contact potentials oscillation by oscillation: what was simulated, as sure as is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.errors import RoleError, SelectionError, UnitsError, UsidError
from usidx.modes import gkpfm
from usidx.signal import BandPass, LowPass, NoiseFloor


def test_a_jump_of_the_potential_is_found() -> None:
    scan, truth = usidx.simulate.gkpfm((6, 6), 32)
    found = gkpfm(scan, truth.transfer_function, 4e3)
    np.testing.assert_allclose(found.Time, truth.Time)
    off = abs(found.contact_potential - truth.contact_potential)
    quiet = np.r_[2:15, 17:30]  # not beside the jump and the ends
    assert float(off[..., quiet].max()) < 0.008
    jump = found.contact_potential[..., 16] - found.contact_potential[..., 15]
    wanted = truth.contact_potential[..., 16] - truth.contact_potential[..., 15]
    assert float(abs(jump - wanted).max()) < 0.05
    np.testing.assert_allclose(found.curvature[..., quiet].mean("Time"), truth.curvature, rtol=1e-2)
    assert (found.contact_potential.units, found.curvature.units, found.redchi.units) == ("V", "nN/V^2", "")
    assert float(found.redchi[..., 16].median()) > 20 * float(found.redchi[..., quiet].median())


@pytest.mark.parametrize(("noise", "seed"), [(0.002, 1), (0.02, 2)])
def test_errors_are_as_large_as_they_say(noise: float, seed: int) -> None:
    scan, truth = usidx.simulate.gkpfm((8, 8), 64, noise=noise, seed=seed)
    found = gkpfm(scan, truth.transfer_function, 4e3)
    for name in ("contact_potential", "curvature"):
        off = abs(found[name] - truth[name]) / found[f"{name}_stderr"]
        assert 0.60 < float((off < 1).mean()) < 0.75


def test_any_rate_of_samples_will_do() -> None:
    scan, truth = usidx.simulate.gkpfm((3, 3), 24)
    uneven = scan.isel(Time=slice(None, None, 3))  # 21 and 22 samples to an oscillation, and the last is not whole
    found = gkpfm(uneven.isel(Time=slice(0, -5)), truth.transfer_function, 4e3)
    assert found.sizes["Time"] == 23
    off = abs(found.contact_potential.values - truth.contact_potential.values[..., :23])
    assert np.median(off) < 0.004


def test_the_bias_is_a_sine_where_no_coordinate_is_one() -> None:
    scan, truth = usidx.simulate.gkpfm((2, 2), 12)
    wanted = gkpfm(scan, truth.transfer_function, 4e3)
    plain = scan.drop_vars("bias")
    found = gkpfm(plain, truth.transfer_function, 4e3, amplitude=3.0)
    np.testing.assert_allclose(found.contact_potential, wanted.contact_potential, rtol=1e-9)
    later = plain.assign_coords(Time=plain.Time + 1 / 16e3)
    found = gkpfm(later, truth.transfer_function, 4e3, amplitude=3.0, phase=-np.pi / 2)
    np.testing.assert_allclose(found.contact_potential, wanted.contact_potential, rtol=1e-6)
    named = scan.rename(bias="drive")
    found = gkpfm(named, truth.transfer_function, 4e3, coordinate="drive")
    np.testing.assert_allclose(found.contact_potential, wanted.contact_potential)


def test_the_transfer_function_may_be_a_fitted_oscillator() -> None:
    scan, truth = usidx.simulate.gkpfm((2, 2), 12)
    tune = truth.transfer_function.sel(Frequency=slice(60e3, 80e3)).assign_attrs(units="V")
    fitted = usidx.sho_fit(tune)
    found = gkpfm(scan, fitted, 4e3)
    wanted = gkpfm(scan, truth.transfer_function, 4e3)
    np.testing.assert_allclose(found.contact_potential, wanted.contact_potential, atol=1e-4)
    with pytest.raises(SelectionError, match="lacks 'phase'"):
        gkpfm(scan, fitted.drop_vars("phase"), 4e3)
    with pytest.raises(RoleError, match="should be one"):
        gkpfm(scan, fitted.expand_dims(X=2), 4e3)


@pytest.mark.parametrize("chunks", [{"Y": 1}, {"X": 2, "Time": 100}])
def test_lazy_is_eager(chunks: dict[str, int]) -> None:
    scan, truth = usidx.simulate.gkpfm((3, 3), 12)
    eager = gkpfm(scan, truth.transfer_function, 4e3)
    lazy = gkpfm(scan.chunk(chunks), truth.transfer_function, 4e3)
    assert all(v.chunks is not None for v in lazy.data_vars.values())
    xr.testing.assert_allclose(lazy.compute(), eager, rtol=1e-9)


def test_records_that_miss_a_sample_are_nan_and_no_others() -> None:
    scan, truth = usidx.simulate.gkpfm((2, 2), 12)
    scan[1, 0, 77] = np.nan
    scan[0, 0] = 0.0
    found = gkpfm(scan, truth.transfer_function, 4e3)
    wanted = np.array([[True, False], [True, False]])
    np.testing.assert_array_equal(found.contact_potential.isnull().all("Time"), wanted)
    np.testing.assert_array_equal(found.contact_potential_stderr.isnull().any("Time"), wanted)


def test_filters_decide_what_is_used() -> None:
    scan, truth = usidx.simulate.gkpfm((4, 4), 24)
    wide = gkpfm(scan, truth.transfer_function, 4e3, filters=LowPass(40e3))
    narrow = gkpfm(scan, truth.transfer_function, 4e3, filters=[LowPass(12e3, 4e3)])
    xr.testing.assert_allclose(narrow, gkpfm(scan, truth.transfer_function, 4e3))
    quiet = np.r_[4:8, 16:20]
    for found in (wide, narrow):
        assert float(abs(found.contact_potential - truth.contact_potential)[..., quiet].max()) < 0.01
    assert not wide.contact_potential.equals(narrow.contact_potential)
    with pytest.raises(UsidError, match=r"NoiseFloor.* is no band.*fft_filter"):
        gkpfm(scan, truth.transfer_function, 4e3, filters=NoiseFloor())  # type: ignore[arg-type]
    none = gkpfm(scan, truth.transfer_function, 4e3, filters=BandPass(125e3, 10.0))  # where nothing is known
    assert none.contact_potential.isnull().all()


def test_what_cannot_be_is_said_in_words() -> None:
    scan, truth = usidx.simulate.gkpfm((2, 2), 12)
    transfer = truth.transfer_function
    with pytest.raises(UnitsError, match="no frequencies: assign them to its dim 'Frequency'"):
        gkpfm(scan, transfer.drop_vars("Frequency"), 4e3)
    kilo = transfer.assign_coords(Frequency=(transfer.Frequency / 1e3).assign_attrs(units="kHz"))
    with pytest.raises(UnitsError, match=r"over 'kHz', the data over 1/s, 'Hz'"):
        gkpfm(scan, kilo, 4e3)
    with pytest.raises(RoleError, match=r"should be one spectrum.*DataArray over \{'Frequency': 241, 'X': 2\}"):
        gkpfm(scan, transfer.expand_dims(X=2, axis=1), 4e3)
    with pytest.raises(SelectionError, match=r"do not hold an oscillation of 1 with 4 samples"):
        gkpfm(scan, transfer, 1.0)
    with pytest.raises(
        SelectionError, match=r"'volt' is no coordinate along 'Time' alone; those are \('Time', 'bias'\)"
    ):
        gkpfm(scan, transfer, 4e3, coordinate="volt")
    with pytest.raises(UsidError, match="complex"):
        gkpfm(scan * 1j, transfer, 4e3)
    with pytest.raises(UsidError, match="runs backwards"):
        gkpfm(scan.isel(Time=slice(None, None, -1)), transfer, 4e3)
    with pytest.raises(UsidError, match=r"frequency=-1\.0"):
        gkpfm(scan, transfer, -1.0)


def test_through_a_file(tmp_path: Path) -> None:
    scan, truth = usidx.simulate.gkpfm((4, 3), 12)
    usidx.write(scan, tmp_path / "a.h5", progress=False)
    raw = usidx.open_main(tmp_path / "a.h5", chunks={"Y": 2})
    found = raw.usid.modes.gkpfm(truth.transfer_function, 4e3)
    group = found.usid.write(progress=False)
    assert group.endswith("Raw_Data-GKPFM_000")
    again = usidx.open_result(tmp_path / "a.h5", group)
    xr.testing.assert_allclose(again.compute().drop_attrs(), found.compute().drop_attrs(), rtol=1e-12)
    assert usidx.replay(tmp_path / "a.h5", group).attrs["equal"]
