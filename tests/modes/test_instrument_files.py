"""From a file of an instrument to its maps and back: what a microscopist does, on files made with h5py alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import usidx
from tests.kit import instrument_files as files
from tests.kit.instrument_files import Scan
from usidx.demo.run import run_demo
from usidx.errors import ResultError, SelectionError, UnitsError, UsidWarning
from usidx.testing.measurements import image_file

Make = Callable[..., Scan]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "scan.h5"


def raw_of(scan: Scan) -> xr.DataArray:
    return usidx.open_main(scan.path, scan.main)


def turn(difference: xr.DataArray) -> xr.DataArray:
    """Bring a difference of phases to (-pi, pi]."""
    return np.pi - (np.pi - difference) % (2 * np.pi)


@pytest.mark.parametrize("text", ["bytes", "str"])
def test_the_oscillators_of_a_line_are_found(path: Path, text: str) -> None:
    scan = files.be_line(path, text=text)
    found = usidx.sho_fit(raw_of(scan)).compute()
    assert found.converged.all()
    assert found.frequency.attrs["units"] == "Hz"
    assert found.amplitude.attrs["units"] == "V"
    for name, known in (("amplitude", "amplitude"), ("frequency", "center"), ("quality_factor", "quality")):
        pulls = (found[name] - scan.truth[known]) / found[f"{name}_stderr"]
        assert 0.8 < float(pulls.std()) < 1.2
    assert abs(turn(found.phase - scan.truth["phase"])).max() < 0.02


def test_pixels_that_were_not_acquired_are_nan_and_stay_so(path: Path) -> None:
    scan = files.be_line(path, padded=5)
    raw = raw_of(scan)
    usidx.sho_fit(raw).usid.write()
    found = usidx.open_result(scan.path, "Raw_Data-SHO_Fit_000").compute()
    missing = found.frequency.values.ravel()
    assert np.isnan(missing[-5:]).all()
    assert not np.isnan(missing[:-5]).any()
    assert not found.converged.values.ravel()[-5:].any()
    signed = usidx.response(usidx.correct_phase(found))
    np.testing.assert_array_equal(np.isnan(signed), np.isnan(found.frequency))


@pytest.mark.parametrize(
    "options",
    [
        {"padded": 1},
        {"field": "out-of-field", "cycles": 1},
        {"field": "in-field"},
        {"forcs": 3, "cycles": 1},
        {"forcs": 3, "cycles": 2, "steps": 24},
    ],
    ids=["both fields", "out of field", "in field", "reversal curves", "reversal curves of two cycles"],
)
def test_loops_are_found_after_each_step_was_stored(path: Path, options: dict[str, Any]) -> None:
    scan = files.beps(path, **options)
    fit = usidx.open_result(scan.path, usidx.sho_fit(raw_of(scan)).usid.write())
    assert usidx.phase_offset(fit) == pytest.approx(0.6, abs=1e-3)
    signed = usidx.response(usidx.correct_phase(fit)).compute()
    signed = signed.transpose(*(d for d in scan.dims if d in signed.dims))
    expected = np.where(signed.isnull(), np.nan, np.squeeze(scan.truth["signed"]))
    np.testing.assert_allclose(signed, expected, atol=4e-6)
    for part in [fit.sel(Field=k) for k in (0, 1)] if "Field" in fit.dims else [fit]:
        group = usidx.loop_fit(part).usid.write()
        loops = usidx.open_result(scan.path, group).compute()
        reached = abs(loops.DC_Offset).max("DC_Offset") > 4  # smaller loops do not switch
        for name in ("v_minus", "v_plus"):
            known = xr.DataArray(scan.truth[name], dims=("Y", "X"))
            assert abs(loops[name].where(reached) - known).median() < 0.3  # of steps of 1 V
            assert loops[name].attrs["units"] == "V"


def test_contact_kelvin_probe_spectra_lead_to_the_surface_potential(path: Path) -> None:
    scan = files.ckpfm(path)
    fit = usidx.sho_fit(raw_of(scan)).compute()
    signed = usidx.response(fit).transpose(*scan.dims)
    assert abs(signed - scan.truth["signed"]).median() < 2e-7
    line = usidx.fit(signed.sel(Field=0), usidx.models.Linear(), dim="read_bias").compute()
    np.testing.assert_allclose(line.slope, 1e-5, rtol=0.05)


def test_times_of_relaxation_are_found(path: Path) -> None:
    scan = files.relaxation(path)
    signed = usidx.response(usidx.correct_phase(usidx.sho_fit(raw_of(scan)), 0.6))
    found = usidx.relaxation_fit(signed).compute()
    known = xr.DataArray(scan.truth["time_constant"], dims=("Y", "X"))
    assert abs(found.time_constant / known - 1).max() < 0.1
    assert found.time_constant.attrs["units"] == "s"


def test_steps_of_two_excitations_are_not_fitted_as_one(path: Path) -> None:
    scan = files.two_waves(path)
    raw = raw_of(scan)
    with pytest.raises(SelectionError, match=r"goes up and down along 'spectroscopic'.*data\['UDVS_Step'\]"):
        usidx.sho_fit(raw)
    for step in range(4):
        found = usidx.sho_fit(raw.isel(spectroscopic=raw.UDVS_Step.values == step)).compute()
        assert found.frequency.attrs["units"] == "Hz"
        assert abs(found.frequency - scan.truth["center"]).max() < 40
    together = usidx.sho_fit(raw, coordinate="Frequency").compute()
    assert abs(together.frequency - scan.truth["center"]).max() < 20
    stored = usidx.open_result(scan.path, together.usid.write())
    xr.testing.assert_allclose(stored.frequency, together.frequency)
    size = abs(raw).max()
    assert abs(usidx.evaluate(stored) - raw).max() < 0.01 * size


def test_frequencies_may_differ_from_step_to_step(path: Path) -> None:
    scan = files.two_waves(path, bins=(21, 21))
    found = usidx.sho_fit(raw_of(scan)).compute()
    assert found.frequency.dims == ("Y", "X", "UDVS_Step")
    assert abs(found.frequency - scan.truth["center"][..., None]).max() < 40


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("cycles", [1, 2])
def test_results_of_the_old_programs_go_on(path: Path, dtype: str, cycles: int) -> None:
    scan = files.beps(path, field="out-of-field" if cycles == 1 else "in and out-of-field", cycles=cycles)
    files.add_sho_fit(scan, dtype=dtype)
    files.add_loop_fit(scan, dtype=dtype)
    fit = usidx.open_result(scan.path, "Raw_Data-SHO_Fit_000")
    assert usidx.phase_offset(fit) == pytest.approx(0.6, abs=1e-5)
    before = usidx.open_result(scan.path, "Fit-Loop_Fit_000").compute()
    again = usidx.loop_fit(fit).compute()
    assert before.v_plus.sizes == again.v_plus.sizes
    assert abs(before.v_plus - again.v_plus).median() < 0.3


def test_what_a_main_calls_its_fields_is_not_taken_for_a_fit(path: Path) -> None:
    scan = files.be_line(path)
    files.add_sho_fit(scan)
    fields = usidx.open_dataset(scan.path, "Raw_Data-SHO_Fit_000/Fit")
    with pytest.raises(ResultError, match=r"'Amplitude'.*usidx\.open_result"):
        usidx.phase_offset(fields)


@pytest.mark.parametrize("dtype", ["f2", "f4", "i2"])
def test_lines_of_samples_open_with_the_excitation(path: Path, dtype: str) -> None:
    scan = files.gmode_line(path, dtype=dtype)
    raw = raw_of(scan)
    assert raw.dims == scan.dims
    np.testing.assert_array_equal(raw, scan.truth["signal"].astype(dtype))
    parts = raw.usid.svd(2).compute()
    assert np.isfinite(parts.scores).all()


def test_gaps_of_tunnelling_spectra_are_found(path: Path) -> None:
    scan = files.sts(path)
    found = usidx.gap(usidx.didv(raw_of(scan)), threshold=0.5).compute()
    assert abs(found["gap"] - scan.truth["gap"]).max() < 0.1


def test_files_that_tell_no_units_are_analysed_all_the_same(path: Path) -> None:
    scan = files.be_line(path)
    files.forget_units(scan)
    with pytest.warns(UsidWarning, match="is missing.* it is not known"):
        raw = raw_of(scan)
    assert "units" not in raw.attrs
    found = usidx.sho_fit(raw).compute()
    assert abs(found.frequency - scan.truth["center"]).max() < 40
    assert "units" not in found.frequency.attrs


def test_a_guess_alone_can_be_taken_for_the_fit(path: Path) -> None:
    scan = files.beps(path)
    files.add_sho_fit(scan, fitted=False)
    guess = usidx.open_result(scan.path, "Raw_Data-SHO_Fit_000")
    with pytest.raises(ResultError, match=r"a guess alone; take that as fit\.rename\(amplitude_guess="):
        usidx.phase_offset(guess)
    taken = guess.rename(amplitude_guess="amplitude", phase_guess="phase")
    assert usidx.phase_offset(taken) == pytest.approx(0.6, abs=1e-5)


@pytest.mark.parametrize("verb", [usidx.phase_offset, usidx.correct_phase, usidx.response])
def test_what_is_no_fit_in_rad_is_refused(path: Path, verb: Callable[..., Any]) -> None:
    raw = raw_of(files.be_line(path))
    with pytest.raises(ResultError, match=r"it is a DataArray\. Fit with"):
        verb(raw)
    fit = usidx.sho_fit(raw)
    degrees = fit.assign(phase=np.rad2deg(fit.phase).assign_attrs(units="deg"))
    with pytest.raises(UnitsError, match="The phase is in 'deg', and 'rad' is wanted"):
        verb(degrees)


def test_what_was_never_fitted_is_not_passed_off_as_a_fit(path: Path) -> None:
    scan = files.beps(path)
    files.add_sho_fit(scan)
    files.stop_halfway(scan, rows=10)
    with pytest.warns(UsidWarning, match="not finished: 'completed_fit_positions' tells of 10 of 20 positions"):
        fit = usidx.open_result(scan.path, "Raw_Data-SHO_Fit_000")
    assert usidx.phase_offset(fit) == pytest.approx(0.6, abs=1e-5)
    loops = usidx.loop_fit(fit).compute()
    assert not loops.converged.isel(Y=slice(2, None)).any()
    assert loops.v_plus.isel(Y=slice(2, None)).isnull().all()


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 5), (4, 1)])
def test_a_point_or_a_line_of_spectra_is_reported(path: Path, rows: int, columns: int) -> None:
    scan = files.be_line(path, rows, columns)
    report = run_demo(scan.path, report=path.with_suffix(".html"))
    assert "Some fits" in report.page.read_text(encoding="utf-8")
    assert report.results == path.with_name("scan-results.h5")
    fit = usidx.open_result(report.results, "Raw_Data-SHO_Fit_000")
    np.testing.assert_allclose(np.ravel(fit.frequency), scan.truth["center"].ravel(), atol=40)


def test_phases_that_run_the_other_way_round_are_told(path: Path) -> None:
    scan = files.be_line(path, padded=3)
    turned = raw_of(scan).conj()
    for data in (turned, turned.compute(), turned.chunk(X=5)):
        with pytest.warns(UsidWarning, match=r"other convention of time.*Fit data\.conj\(\)"):
            usidx.sho_fit(data).compute()
    found = usidx.sho_fit(turned.conj()).compute()
    assert np.nanmax(abs(found.frequency - scan.truth["center"])) < 40


def test_noise_is_not_taken_for_the_other_convention() -> None:
    random = np.random.default_rng(0)
    noise = random.normal(size=(300, 40)) + 1j * random.normal(size=(300, 40))
    data = xr.DataArray(noise, dims=("X", "Frequency"), coords={"Frequency": np.linspace(3e5, 4e5, 40)})
    usidx.sho_fit(data)


def test_loops_are_reported_where_the_voltage_went_up_and_down(path: Path) -> None:
    scan = files.beps(path, 3, 4, 24, 21, cycles=1, padded=1)
    left = run_demo(scan.path, report=path.with_suffix(".html"), write=True)
    page = left.page.read_text(encoding="utf-8")
    assert "Maps of the fitted parameters, at DC Offset 0 V, Field 0." in page
    assert "Hysteresis loops" in page
    loops = usidx.open_result(scan.path, "Fit-Loop_Fit_000").compute()
    assert int(loops.Field) == 0
    known = xr.DataArray(scan.truth["v_plus"], dims=("Y", "X"))
    assert abs(loops.v_plus - known).median() < 16 / 24  # half a step of the voltage


@pytest.mark.slow
def test_no_loops_are_reported_where_the_voltage_went_one_way(path: Path) -> None:
    scan = files.relaxation(path, 2, 3, times=6, bins=15)
    left = run_demo(scan.path, report=path.with_suffix(".html"))
    assert "Hysteresis loops" not in left.page.read_text(encoding="utf-8")
    assert not any("Loop_Fit" in group for group in left.groups)


def test_of_a_single_image_nothing_is_written(path: Path) -> None:
    image_file(path)
    before = path.read_bytes()
    left = run_demo(path, report=path.with_suffix(".html"))
    page = left.page.read_text(encoding="utf-8")
    assert "A single image has nothing to decompose" in page
    assert "Nothing but this page." in page
    assert not left.groups
    assert path.read_bytes() == before
    assert list(path.parent.glob("*.h5")) == [path]
