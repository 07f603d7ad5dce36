"""Guess and fit of an oscillator in files: as BGlib lays them out, resumed, and the same Dataset again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import h5py
import numpy as np
import pytest
import xarray as xr

import usidx
from tests.kit.legacy import add_sho_fit
from usidx.errors import UsidWarning
from usidx.io.write import checkpoint
from usidx.testing.files import Expected
from usidx.testing.measurements import beps_file, forc_file, relaxation_file, sparse_file

Build = Callable[..., Expected]

FIELDS = ("Amplitude [V]", "Frequency [Hz]", "Quality Factor", "Phase [rad]", "R2 Criterion")
VARIABLES = ("amplitude", "frequency", "quality_factor", "phase", "r2")


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    data, _ = usidx.simulate.band_excitation((6, 5), 48, dc_steps=4, cycles=2, seed=1)
    usidx.write(data, tmp_path / "scan.h5")
    return tmp_path / "scan.h5"


def test_guess_and_fit_are_laid_out_as_by_bglib(scan: Path) -> None:
    fitted = usidx.sho_fit(usidx.open_main(scan))
    group = fitted.usid.write()
    assert group.endswith("/Raw_Data-SHO_Fit_000")
    computed = fitted.compute()
    with h5py.File(scan) as file:
        found = file[group]
        source = file[found.attrs["source_000"]]
        assert found.attrs["tool"] == "SHO_Fit"
        assert found.attrs["guess-algorithm"] == "linear_form"
        assert {"guess-method", "fit-method", "fit-algorithm"} <= set(found.attrs)
        for name, ending in (("Guess", "_guess"), ("Fit", "")):
            stored = found[name]
            assert stored.dtype == np.dtype([(field, "f8") for field in FIELDS])
            assert stored.shape == (30, 8)
            assert (stored.attrs["quantity"], stored.attrs["units"]) == ("SHO", "compound")
            assert file[stored.attrs["Position_Indices"]] == file[source.attrs["Position_Indices"]]
            labels = file[stored.attrs["Spectroscopic_Indices"]].attrs["labels"]
            assert set(labels) == {b"Cycle", b"DC_Offset"}
            for field, variable in zip(FIELDS, VARIABLES, strict=True):
                by_step = computed[f"{variable}{ending}"].transpose("Y", "X", "Cycle", "DC_Offset").values
                assert sorted(stored[field].ravel()) == sorted(by_step.ravel())


def test_a_fit_that_was_computed_before_is_finished_for_bglib(scan: Path) -> None:
    """It looks for a status of each stage, and takes a group without them for one that was never begun."""
    group = usidx.sho_fit(usidx.open_main(scan)).compute().usid.write()
    with h5py.File(scan) as file:
        for name in ("completed_positions", "completed_guess_positions", "completed_fit_positions"):
            assert file[group][name].dtype == np.uint8
            assert file[group][name][()].tolist() == [1] * 30


def test_guess_and_fit_share_their_steps(scan: Path) -> None:
    group = usidx.sho_fit(usidx.open_main(scan)).usid.write()
    with h5py.File(scan) as file:
        guess, fit = file[f"{group}/Guess"], file[f"{group}/Fit"]
        for side in ("Spectroscopic_Indices", "Spectroscopic_Values", "Position_Values"):
            assert file[guess.attrs[side]] == file[fit.attrs[side]]


@pytest.mark.parametrize("chunks", [{}, {"Y": 2}])
def test_it_opens_as_the_dataset_that_was_written(scan: Path, chunks: Any) -> None:
    fitted = usidx.sho_fit(usidx.open_main(scan, chunks=chunks))
    again = usidx.open_result(scan, fitted.usid.write())
    assert again.amplitude.chunks is not None
    assert list(again.data_vars) == list(fitted.data_vars)
    xr.testing.assert_identical(again.compute(), fitted.compute())
    xr.testing.assert_identical(usidx.evaluate(again.compute()), usidx.evaluate(fitted.compute()))
    xr.testing.assert_equal(usidx.evaluate(again).compute(), usidx.evaluate(fitted).compute())


@pytest.mark.parametrize(
    ("build", "steps"),
    [
        (beps_file, ("Cycle", "DC_Offset", "Field")),
        (forc_file, ("FORC", "DC_Offset")),
        (relaxation_file, ("Voltage", "Repeats")),
        (sparse_file, ()),
    ],
)
def test_files_as_instruments_write_them(tmp_path: Path, build: Build, steps: tuple[str, ...]) -> None:
    built = build(tmp_path / "scan.h5")
    raw = usidx.open_main(built.path, built.main)
    fitted = usidx.sho_fit(raw.astype("c8"))
    assert tuple(d for d in fitted.amplitude.dims if d not in ("Y", "X", "position")) == steps
    assert fitted.frequency.attrs["units"] == raw.Frequency.attrs["units"]
    for name, coordinate in raw.coords.items():
        if "Frequency" not in coordinate.dims:
            xr.testing.assert_equal(fitted[name].drop_vars(fitted[name].coords), raw[name].drop_vars(raw[name].coords))
    again = usidx.open_result(built.path, fitted.usid.write())
    xr.testing.assert_identical(again.compute(), fitted.compute())


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_fits_of_older_programs_go_on(tmp_path: Path, dtype: str) -> None:
    built = beps_file(tmp_path / "beps.h5")
    stored = add_sho_fit(built, dtype=dtype)["Fit"]
    opened = usidx.open_result(built.path, "SHO_Fit_000")
    expected = stored["Amplitude [V]"].astype("f8") * np.cos(stored["Phase [rad]"].astype("f8"))
    signed = usidx.response(opened).transpose("Y", "X", "Cycle", "DC_Offset", "Field")
    np.testing.assert_allclose(signed, expected, rtol=1e-5)
    corrected = usidx.correct_phase(opened, 0.5)
    np.testing.assert_allclose(corrected.phase_guess, opened.phase_guess - 0.5, rtol=1e-5, atol=1e-6)


def test_a_corrected_fit_is_one_still(scan: Path) -> None:
    fitted = usidx.sho_fit(usidx.open_main(scan))
    for corrected in (usidx.correct_phase(fitted), usidx.correct_phase(fitted, per_position=True)):
        group = corrected.usid.write()
        assert "-SHO_Fit_" in group
        xr.testing.assert_identical(usidx.open_result(scan, group).compute(), corrected.compute())
    assert len(usidx.list_results(scan)) == 2


def test_corrections_that_differ_are_different_results(scan: Path) -> None:
    fitted = usidx.sho_fit(usidx.open_main(scan))
    one, other = (xr.DataArray(np.full(6, value), dims="Y") for value in (0.1, 0.2))
    first = usidx.correct_phase(fitted, one).usid.write()
    assert usidx.correct_phase(fitted, other).usid.write() != first
    assert usidx.correct_phase(fitted, one.copy()).usid.write() == first


@pytest.mark.parametrize("verb", ["sho_fit", "fit"])
def test_an_interrupted_fit_goes_on_where_it_stopped(verb: str, scan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "_COMMIT_EVERY", 0.0)
    store, calls = checkpoint._store_slab, list[int]()

    def breaks(*args: Any) -> None:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        store(*args)

    raw = usidx.open_main(scan, chunks={"Y": 1})
    fitted = usidx.sho_fit(raw) if verb == "sho_fit" else usidx.fit(raw, usidx.models.SHO(), "Frequency")
    monkeypatch.setattr(checkpoint, "_store_slab", breaks)
    with dask.config.set(scheduler="sync", num_workers=1), pytest.raises(KeyboardInterrupt):
        fitted.usid.write()
    monkeypatch.setattr(checkpoint, "_store_slab", store)
    (group,) = usidx.list_results(scan)
    with h5py.File(scan) as file:
        status = {name: values[()] for name, values in file[group].items() if name.startswith("completed")}
    assert len(status) == (3 if verb == "sho_fit" else 1)
    assert all(0 < done.sum() < 30 for done in status.values())
    with dask.config.set(scheduler="sync", num_workers=1), pytest.warns(UsidWarning, match="going on from there"):
        assert fitted.usid.write() == group
    with h5py.File(scan) as file:
        assert all(file[group][name][()].all() for name in status)
    xr.testing.assert_identical(usidx.open_result(scan, group).compute(), fitted.compute())


def test_the_same_call_finds_its_result(scan: Path) -> None:
    first = usidx.sho_fit(usidx.open_main(scan)).usid.write()
    assert usidx.sho_fit(usidx.open_main(scan)).usid.write() == first
    assert usidx.sho_fit(usidx.open_main(scan), loss="huber").usid.write() != first


def test_pyusid_reads_both(scan: Path) -> None:
    pyusid = pytest.importorskip("pyUSID")
    fitted = usidx.sho_fit(usidx.open_main(scan))
    group = fitted.usid.write()
    computed = fitted.compute()
    with h5py.File(scan) as file:
        for name, ending in (("Guess", "_guess"), ("Fit", "")):
            main = pyusid.USIDataset(file[f"{group}/{name}"])
            shape, ok = main.get_n_dim_form(), main.n_dim_labels
            labelled = xr.DataArray(np.asarray(shape)["Frequency [Hz]"], dims=ok)
            np.testing.assert_array_equal(
                labelled.transpose("Y", "X", "Cycle", "DC_Offset"), computed[f"frequency{ending}"]
            )
