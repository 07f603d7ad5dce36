"""Fits in files: the old compound datasets, and the same Dataset again."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

import usidx


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    data, _ = usidx.simulate.band_excitation((6, 5), 48, seed=1)
    usidx.write(data, tmp_path / "scan.h5")
    return tmp_path / "scan.h5"


def test_a_fit_is_stored_as_the_old_tools_store_it(scan: Path) -> None:
    group = usidx.open_main(scan).usid.fit(usidx.models.SHO(), dim="Frequency").usid.write()
    assert group.endswith("/Raw_Data-SHO_Fit_000")
    with h5py.File(scan) as file:
        stored = file[f"{group}/Fit"]
        assert stored.dtype.names == (
            "Amplitude [V]",
            "Frequency [Hz]",
            "Quality Factor",
            "Phase [rad]",
            "R2 Criterion",
        )
        assert stored.shape == (30, 1)
        assert stored.attrs["quantity"] == "SHO"
        assert stored.attrs["units"] == "compound"
        assert file[group].attrs["tool"] == "SHO_Fit"
        source = file[file[group].attrs["source_000"]]
        assert file[stored.attrs["Position_Values"]] == file[source.attrs["Position_Values"]]


@pytest.mark.parametrize("sweep", [None, 4])
def test_a_fit_opens_as_the_dataset_that_was_written(tmp_path: Path, sweep: int | None) -> None:
    data, _ = usidx.simulate.band_excitation((4, 3), 48, dc_steps=sweep, seed=2)
    usidx.write(data, tmp_path / "scan.h5")
    fit = usidx.open_main(tmp_path / "scan.h5").usid.fit(usidx.models.SHO(), dim="Frequency")
    again = usidx.open_result(tmp_path / "scan.h5", fit.usid.write())
    fit = fit.compute()
    assert list(again.data_vars) == list(fit.data_vars)
    assert {n: v.dtype for n, v in again.data_vars.items()} == {n: v.dtype for n, v in fit.data_vars.items()}
    xr.testing.assert_identical(again.compute(), fit)
    xr.testing.assert_identical(again.compute().usid.evaluate(), fit.usid.evaluate())
    xr.testing.assert_equal(again.usid.evaluate().compute(), fit.usid.evaluate())


def test_a_fitted_parameter_finds_its_way_back(scan: Path) -> None:
    fit = usidx.open_main(scan).usid.fit(usidx.models.SHO(), dim="Frequency")
    group = fit.amplitude.usid.write(name="Amplitude")
    assert group.endswith("/Raw_Data-Amplitude_000") or group.endswith("/Raw_Data-SHO_Fit_000")
    np.testing.assert_array_equal(usidx.open_result(scan, group).Amplitude, fit.amplitude)
