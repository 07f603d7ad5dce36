"""Repositories of Icechunk, as xarray reads them: the same cells, none of them copied."""

import sys
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

import usidx
from tests.instruments.export.odd_files import IN_FILE, build
from usidx.errors import ExistsError, MissingExtraError, UsidError


def open_repository(path: str | Path, group: str | None = None) -> xr.Dataset:
    icechunk = pytest.importorskip("icechunk", reason="icechunk is not installed")
    storage = icechunk.local_filesystem_storage(str(path))
    folders = icechunk.Repository.fetch_config(storage).virtual_chunk_containers
    repository = icechunk.Repository.open(storage, authorize_virtual_chunk_access=dict.fromkeys(folders))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Numcodecs codecs are not in the Zarr version 3")
        store = repository.readonly_session("main").store
        shown: xr.Dataset = xr.open_zarr(store, group=group, consolidated=False).load()
        return shown


@pytest.mark.parametrize(
    "kind", ["contiguous", "parts of lines", "complex64", "big-endian", "snake", "band excitation"]
)
def test_array_is_bit_equal(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("icechunk", reason="icechunk is not installed")
    built = IN_FILE[kind](tmp_path / "scan.h5")
    made = usidx.export(built.path, tmp_path / "scan.icechunk", to="icechunk")
    dims, array = built.squeezed
    shown = open_repository(made)["Raw_Data"]
    assert shown.dims == dims
    np.testing.assert_array_equal(shown.values, array)
    assert shown.attrs["units"] == built.unit
    for name, (along, values) in built.coords.items():
        if name in shown.coords and set(along) & set(dims):
            np.testing.assert_array_equal(shown[name].values, np.squeeze(values))


def test_no_cell_is_copied_and_nothing_is_overwritten(tmp_path: Path) -> None:
    pytest.importorskip("icechunk", reason="icechunk is not installed")
    built = build(tmp_path / "scan.h5", rows=2000)
    made = Path(usidx.export(built.path, tmp_path / "scan.icechunk", to="icechunk"))
    assert sum(f.stat().st_size for f in made.rglob("*") if f.is_file()) < built.path.stat().st_size / 4
    with pytest.raises(ExistsError, match="overwrite=True"):
        usidx.export(built.path, made, to="icechunk")
    usidx.export(built.path, made, to="icechunk", overwrite=True)
    np.testing.assert_array_equal(open_repository(made)["Raw_Data"].values, built.array)


def test_what_is_out_of_date_is_found_out(tmp_path: Path) -> None:
    pytest.importorskip("icechunk", reason="icechunk is not installed")
    built = build(tmp_path / "scan.h5")
    made = usidx.export(built.path, tmp_path / "scan.icechunk", to="icechunk", group=built.main)
    usidx.check_export(made)
    with h5py.File(built.path, "r+") as file:
        del file[built.main]
    with pytest.raises(UsidError):
        usidx.check_export(made)


def test_missing_package_is_told_by_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "icechunk", None)
    with pytest.raises(MissingExtraError, match=r"usidx\[icechunk\]"):
        usidx.export(build(tmp_path / "scan.h5").path, tmp_path / "out", to="icechunk")
    assert [p.name for p in tmp_path.iterdir()] == ["scan.h5"]
