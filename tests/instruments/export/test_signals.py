"""What other libraries make of a file or an array: HyperSpy, sidpy and pyUSID themselves are asked, where installed."""

import sys
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

import usidx
from tests.instruments.export.odd_files import ODD, build, build_fields
from tests.kit.pyusid import accepts
from usidx.errors import MissingExtraError, RoleError, UsidError, UsidWarning
from usidx.testing.measurements import beps_file


def load_hyperspy() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("hyperspy.api", reason="hyperspy is not installed")


def test_hspy_is_laid_out_as_hyperspy_reads_it(tmp_path: Path) -> None:
    built = build(tmp_path / "scan.h5")
    with h5py.File(usidx.export(built.path, tmp_path / "scan.hspy", to="hspy", group="Raw_Data")) as file:
        assert (file.attrs["file_format"], file.attrs["file_format_version"]) == ("HyperSpy", "3.3")
        signal = file["Experiments/Raw_Data"]
        np.testing.assert_array_equal(signal["data"], built.array)
        axes = [dict(signal[f"axis-{n}"].attrs) for n in range(3)]
        assert [(a["name"], a["units"], bool(a["navigate"])) for a in axes] == [
            ("Y", "m", True),
            ("X", "m", True),
            ("Frequency", "Hz", False),
        ]
        assert (axes[2]["offset"], axes[2]["scale"], axes[2]["size"]) == (1e5, 2e4, 6)


@pytest.mark.parametrize("kind", ["contiguous", "complex64", "snake", "dependent", "image", "one position", "bool"])
def test_hyperspy_loads_it(kind: str, tmp_path: Path) -> None:
    hyperspy = load_hyperspy()
    built = ODD[kind](tmp_path / "scan.h5")
    signal = hyperspy.load(usidx.export(built.path, tmp_path / "scan.hspy", to="hspy", group="Raw_Data"), lazy=True)
    dims, array = built.squeezed
    np.testing.assert_array_equal(np.asarray(signal.data), array)
    for dim in dims:
        along, values = built.coords[dim]
        axis = signal.axes_manager[dim]
        if along == (dim,):
            np.testing.assert_allclose(axis.axis, values, rtol=1e-5, atol=1e-12)
            assert str(axis.units) == built.units[dim]


def test_texts_are_no_signals(tmp_path: Path) -> None:
    data = xr.Dataset({"names": ("a", ["x", "y"]), "numbers": ("a", [1.0, 2.0])})
    with pytest.warns(UsidWarning, match="'names'.*left out"):
        made = usidx.export(data, tmp_path / "made.hspy", to="hspy")
    with h5py.File(made) as file:
        assert list(file["Experiments"]) == ["result_numbers"]


def test_array_becomes_a_signal(tmp_path: Path) -> None:
    load_hyperspy()
    built = beps_file(tmp_path / "scan.h5")
    raw = usidx.open_main(built.path)
    signal = raw.usid.to_hyperspy()
    assert signal._lazy
    assert signal.metadata.General.title == "Raw_Data"
    np.testing.assert_array_equal(np.asarray(signal.data), built.squeezed[1])
    swept = signal.original_metadata.usidx.coordinates.DC_Offset
    np.testing.assert_array_equal(swept["values"], np.squeeze(built.coords["DC_Offset"][1]))
    image = abs(raw).isel(Frequency=0, DC_Offset=0, Cycle=0, Field=0, drop=True).usid.to_hyperspy()
    assert type(image).__name__ in {"Signal2D", "LazySignal2D"}


def test_texts_are_refused_by_to_hyperspy() -> None:
    load_hyperspy()
    with pytest.raises(UsidError, match="hold numbers"):
        xr.DataArray(["a", "b"], dims="x", name="t").usid.to_hyperspy()


def test_array_becomes_a_sidpy_dataset(tmp_path: Path) -> None:
    pytest.importorskip("sidpy", reason="sidpy is not installed")
    built = build(tmp_path / "scan.h5")
    made = usidx.open_main(built.path).usid.to_sidpy()
    np.testing.assert_array_equal(np.asarray(made), built.array)
    assert (made.quantity, made.units, made.data_type.name) == ("Current", "nA", "SPECTRAL_IMAGE")
    assert [made._axes[n].name for n in range(3)] == ["Y", "X", "Frequency"]
    np.testing.assert_array_equal(np.asarray(made._axes[2]), built.coords["Frequency"][1])
    assert made._axes[2].units == "Hz"


def test_what_has_no_unit_is_generic_to_sidpy(tmp_path: Path) -> None:
    pytest.importorskip("sidpy", reason="sidpy is not installed")
    np.save(tmp_path / "map.npy", np.arange(12.0).reshape(3, 4))
    plain = usidx.read_instrument(tmp_path / "map.npy")["map"]["map"]
    made = plain.usid.to_sidpy()
    assert (made.units, made._axes[1].units) == ("generic", "generic")
    again = usidx.read_instrument(made)["map"]["map"]
    assert (again.attrs["units"], again.X.attrs["units"]) == ("", "")


@pytest.mark.parametrize("kind", ["contiguous", "snake", "complex64"])
def test_pyusid_opens_what_was_left_alone_where_it_lies(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("pyUSID", reason="pyUSID is not installed")
    built = ODD[kind](tmp_path / "scan.h5")
    made = usidx.open_main(built.path).usid.to_pyusid()
    try:
        assert (made.file.filename, made.name, made.file.mode) == (str(built.path), built.main, "r")
    finally:
        made.file.close()


def test_pyusid_opens_a_copy_of_what_was_changed(tmp_path: Path) -> None:
    pytest.importorskip("pyUSID", reason="pyUSID is not installed")
    built = build(tmp_path / "scan.h5")
    changed = usidx.open_main(built.path).isel(Y=slice(1, 3)) * 2
    made = changed.usid.to_pyusid(tmp_path / "changed.h5")
    np.testing.assert_array_equal(made[()], 2 * built.array[1:3].reshape(12, 6))
    made.file.close()
    assert accepts(tmp_path / "changed.h5", "/Measurement_000/Channel_000/Raw_Data")
    beside = changed.usid.to_pyusid()
    assert Path(beside.file.filename) != built.path
    np.testing.assert_array_equal(beside[()], 2 * built.array[1:3].reshape(12, 6))
    beside.file.close()


def test_pyusid_needs_roles(tmp_path: Path) -> None:
    pytest.importorskip("pyUSID", reason="pyUSID is not installed")
    with pytest.raises(RoleError, match="role"):
        xr.DataArray(np.zeros((2, 3)), dims=("a", "b"), name="x").usid.to_pyusid(tmp_path / "x.h5")


def test_a_field_is_no_main_of_its_own(tmp_path: Path) -> None:
    pytest.importorskip("pyUSID", reason="pyUSID is not installed")
    built = build_fields(tmp_path / "scan.h5")
    made = usidx.open_main(built.path, field="Phase").usid.to_pyusid(tmp_path / "phase.h5")
    np.testing.assert_array_equal(made[()].ravel(), built.array["Phase [rad]"].ravel())
    made.file.close()


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "sidpy", None)
    monkeypatch.setitem(sys.modules, "hyperspy", None)
    monkeypatch.setitem(sys.modules, "hyperspy.api", None)
    monkeypatch.setitem(sys.modules, "zarr", None)
    array = xr.DataArray(np.zeros(3), dims="x", name="x")
    with pytest.raises(MissingExtraError, match=r"'sidpy'.*usidx\[pyusid\]"):
        array.usid.to_sidpy()
    with pytest.raises(MissingExtraError, match=r"'hyperspy'.*usidx\[hyperspy\]"):
        array.usid.to_hyperspy()
    with pytest.raises(MissingExtraError, match=r"'zarr'.*usidx\[zarr\]"):
        usidx.export(array, tmp_path / "x.zarr", to="zarr")
    assert not list(tmp_path.iterdir())
