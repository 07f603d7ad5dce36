"""Simulated scans in files as instruments leave them: what plain h5py and pyUSID find there, and the way to maps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.errors import UsidError
from usidx.testing.instrument import instrument_file

CHANNEL = "Measurement_000/Channel_000"
Made = tuple[xr.DataArray, xr.Dataset]
SCANS: dict[str, Callable[[], Made]] = {
    "BELineData": lambda: usidx.simulate.band_excitation((3, 4), 32),
    "BEPSData": lambda: usidx.simulate.beps((3, 4), 32, dc_steps=16, cycles=2, in_field=True, noise=0.005),
    "cKPFMData": lambda: usidx.simulate.ckpfm((3, 4), 32, write_steps=8, read_steps=3),
}


@pytest.mark.parametrize("kind", SCANS)
@pytest.mark.parametrize("chunks", [None, {"Y": 2}])
def test_the_scan_is_found_again(tmp_path: Path, kind: str, chunks: Any) -> None:
    scan, _ = SCANS[kind]()
    path = tmp_path / "scan.h5"
    main = instrument_file(path, scan if chunks is None else scan.chunk(chunks))
    found = usidx.open_main(path, main)
    assert found.dims == scan.dims
    np.testing.assert_array_equal(found, scan)
    for dim in scan.dims:
        np.testing.assert_allclose(found[dim], scan[dim], rtol=1e-6)
        assert found[dim].attrs["units"] == scan[dim].attrs["units"]
    assert usidx.list_mains(path) == [f"/{CHANNEL}/Raw_Data"]
    assert not usidx.validate(path)


def test_plain_h5py_finds_what_translators_add(tmp_path: Path) -> None:
    scan, _ = SCANS["BEPSData"]()
    instrument_file(tmp_path / "scan.h5", scan)
    with h5py.File(tmp_path / "scan.h5") as file:
        assert file.attrs["data_type"] == "BEPSData"
        told = file["Measurement_000"].attrs
        assert (told["grid_num_rows"], told["grid_num_cols"], told["num_bins"], told["num_udvs_steps"]) == (
            3,
            4,
            32,
            64,
        )
        assert (told["VS_mode"], told["VS_measure_in_field_loops"]) == ("DC modulation mode", "in and out-of-field")
        channel = file[CHANNEL]
        raw = channel["Raw_Data"]
        assert (raw.shape, raw.dtype, raw.chunks) == ((12, 2048), np.dtype("c8"), (1, 2048))
        assert list(channel["Spectroscopic_Indices"].attrs["labels"]) == [
            b"Frequency",
            b"Field",
            b"DC_Offset",
            b"Cycle",
        ]
        np.testing.assert_array_equal(
            channel["UDVS"][:, 1], np.tile(np.repeat(scan.DC_Offset.values, 2), 2).astype("f4")
        )
        np.testing.assert_array_equal(channel["UDVS_Indices"], np.repeat(np.arange(64), 32))
        for number, name in enumerate(("out-of-field", "in-field")):
            group = channel[f"Spatially_Averaged_Plot_Group_{number:03d}"]
            assert group.attrs["Name"] == name
            mean = scan.isel(Field=number).mean(("Y", "X")).values.reshape(32, 32)
            np.testing.assert_allclose(group["Mean_Spectrogram"], mean, atol=1e-9)
            assert raw[raw.attrs[f"{name}_Plot_Group"]].size == 12 * 32


def test_pyusid_takes_the_file(tmp_path: Path) -> None:
    usid = pytest.importorskip("pyUSID")
    scan, _ = SCANS["BEPSData"]()
    instrument_file(tmp_path / "scan.h5", scan)
    with h5py.File(tmp_path / "scan.h5") as file:
        main = usid.USIDataset(file[f"{CHANNEL}/Raw_Data"])
        assert dict(zip(main.spec_dim_labels, main.spec_dim_sizes, strict=True)) == {
            "Frequency": 32, "Field": 2, "DC_Offset": 16, "Cycle": 2,
        }  # fmt: skip


def test_from_the_file_to_switching_voltages(tmp_path: Path) -> None:
    scan, truth = SCANS["BEPSData"]()
    path = tmp_path / "scan.h5"
    raw = usidx.open_main(path, instrument_file(path, scan))
    fit = usidx.open_result(path, raw.usid.sho_fit().usid.write())
    loops = usidx.open_result(path, fit.sel(Field=0).usid.loop_fit().usid.write()).compute()
    assert float(abs(loops.v_plus - truth.v_plus.values[..., None]).median()) < 0.5  # half a step of the voltage


def test_refuses(tmp_path: Path) -> None:
    curves, _ = usidx.simulate.current_voltage((2, 2), 9)
    with pytest.raises(UsidError, match=r"\('Y', 'X', 'Bias'\) of dtype float64 is no band-excitation scan"):
        instrument_file(tmp_path / "scan.h5", curves)
    scan, _ = SCANS["BELineData"]()
    instrument_file(tmp_path / "scan.h5", scan)
    with pytest.raises(FileExistsError):
        instrument_file(tmp_path / "scan.h5", scan)
