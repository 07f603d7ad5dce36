"""NeXus as h5py, nexusformat and viewers see it: by the attributes of the standard, values by the file's truth."""

import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

import usidx
from tests.instruments.export.odd_files import ODD, build, build_fields
from usidx.errors import GridError
from usidx.testing.measurements import forc_file

COPIED = ("complex64", "bool", "snake", "one cell", "band excitation", "sparse", "odd names")


def find_default(file: h5py.File) -> h5py.Group:
    """Follow `default` as viewers do."""
    group: Any = file
    while "default" in group.attrs:
        group = group[group.attrs["default"]]
    assert group.attrs["NX_class"] == "NXdata"
    return group


@pytest.mark.parametrize(
    ("kind", "copy"),
    [*((kind, False) for kind in ODD if kind != "compound"), *((kind, True) for kind in COPIED)],
)
def test_default_plot_is_the_main(kind: str, copy: bool, tmp_path: Path) -> None:
    built = ODD[kind](tmp_path / "scan.h5")
    made = usidx.export(built.path, tmp_path / "scan.nxs", copy=copy)
    dims, array = built.squeezed
    with h5py.File(made) as file:
        shown = find_default(file)
        signal = shown[shown.attrs["signal"]]
        assert signal.dtype == array.dtype.newbyteorder("=")
        np.testing.assert_array_equal(signal[()], array)
        assert signal.is_virtual == (not copy and array.ndim > 0)
        assert signal.attrs["units"] == " ".join(built.unit.split())
        assert signal.attrs["long_name"] == built.quantity
        axes = list(shown.attrs.get("axes", []))
        assert len(axes) == array.ndim
        for dim, axis in zip(dims, axes, strict=True):
            along, values = built.coords.get(dim, ((), None))
            if values is not None and along == (dim,):
                np.testing.assert_array_equal(shown[axis], values)
                assert shown[axis].attrs["units"] == built.units[dim]


def test_dependent_coordinate_says_which_dims_it_is_over(tmp_path: Path) -> None:
    built = forc_file(tmp_path / "scan.h5")
    with h5py.File(usidx.export(built.path, tmp_path / "scan.nxs", copy=False)) as file:
        shown = find_default(file)
        dims, values = built.coords["DC_Offset"]
        kept = [d for d in built.squeezed[0] if d in dims]
        assert [built.squeezed[0][i] for i in shown.attrs["DC_Offset_indices"]] == kept
        np.testing.assert_array_equal(shown["DC_Offset"], values.squeeze())
        assert shown.attrs["axes"][built.squeezed[0].index("DC_Offset")] == "."


def test_fields_are_a_signal_each(tmp_path: Path) -> None:
    built = build_fields(tmp_path / "scan.h5")
    for copy in (True, False):
        made = usidx.export(built.path, tmp_path / "scan.nxs", copy=copy, group="Raw_Data", overwrite=True)
        with h5py.File(made) as file:
            np.testing.assert_array_equal(file["entry/Raw_Data/Phase/Phase"], built.array["Phase [rad]"][..., 0])
            assert file["entry/Raw_Data/Amplitude/Amplitude"].attrs["units"] == "V"


def test_standard_errors_are_the_errors_of_their_signal(tmp_path: Path) -> None:
    path = usidx.example_file(tmp_path / "scan.h5")
    group = usidx.open_main(path).usid.fit(usidx.models.SHO(), dim="Frequency").usid.write()
    made = usidx.export(path, tmp_path / "fit.nxs", group=group)
    with h5py.File(path) as file, h5py.File(made) as exported:
        shown = exported["entry"]["Raw_Data-SHO_Fit_000"]["amplitude"]
        assert shown["amplitude_errors"].attrs["units"] == "V"
        stored = file[group]["Fit_stderr"]["Amplitude [V]"]
        np.testing.assert_array_equal(shown["amplitude_errors"][()].ravel(), stored.ravel())


def test_view_is_small_and_moves_with_its_file(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    built = build(tmp_path / "here" / "scan.h5")
    made = Path(usidx.export(built.path, tmp_path / "here" / "view.nxs", copy=False, group="Raw_Data"))
    assert made.stat().st_size < 12_000
    shutil.move(tmp_path / "here", tmp_path / "there")
    with h5py.File(tmp_path / "there" / "view.nxs") as file:
        np.testing.assert_array_equal(find_default(file)["Raw_Data"], built.array)


def test_view_of_a_missing_file_shows_no_zeros(tmp_path: Path) -> None:
    built = build(tmp_path / "scan.h5")
    made = usidx.export(built.path, tmp_path / "view.nxs", copy=False)
    built.path.unlink()
    with h5py.File(made) as file:
        assert np.isnan(find_default(file)["Raw_Data"]).all()


def test_order_that_takes_a_piece_per_cell_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usidx.instruments.export.view._MOST_PIECES", 10)
    built = build(tmp_path / "scan.h5", row_order="random")
    with pytest.raises(GridError, match=r"more than 10 pieces to show as 4 x 6.*copy=True"):
        usidx.export(built.path, tmp_path / "view.nxs", copy=False)
    assert not list(tmp_path.glob("*view*"))


def test_tree_keeps_groups_and_their_attributes(tmp_path: Path) -> None:
    built = build(tmp_path / "scan.h5")
    with h5py.File(built.path, "a") as file:
        file["Measurement_000"].attrs.update({"operator": "Ada", "signal": "lock-in", "gain": 3.5})
    with h5py.File(usidx.export(built.path, tmp_path / "scan.nxs")) as file:
        held = file["entry/Measurement_000"]
        assert held.attrs["NX_class"] == "NXcollection"
        assert (held.attrs["operator"], held.attrs["gain"], held.attrs["usid_signal"]) == ("Ada", 3.5, "lock-in")
        assert "usid_provenance" in file["entry/Measurement_000/Channel_000/Raw_Data"].attrs


def test_nexusformat_finds_signal_and_axes(tmp_path: Path) -> None:
    nexus = pytest.importorskip("nexusformat.nexus", reason="nexusformat is not installed")
    built = build(tmp_path / "scan.h5")
    with nexus.nxopen(usidx.export(built.path, tmp_path / "view.nxs", copy=False)) as file:
        shown = file.get_default()
        assert [axis.nxname for axis in shown.nxaxes] == ["Y", "X", "Frequency"]
        np.testing.assert_array_equal(shown.nxsignal.nxvalue, built.array)


def test_what_nexus_has_no_room_for_is_kept_under_another_name(tmp_path: Path) -> None:
    times = np.array(["2020-01-01", "2020-01-02"], "M8[ns]")
    array = xr.DataArray([1.0, 2.0], dims="t/u", coords={"t/u": times}, name="a/b", attrs={"": 3, "axes": "mine"})
    with h5py.File(usidx.export(array, tmp_path / "out.nxs")) as file:
        shown = find_default(file)
        signal = shown[shown.attrs["signal"]]
        assert (signal.attrs["_"], signal.attrs["usid_axes"], signal.attrs["usid_label"]) == (3, "mine", "a/b")
        assert list(shown.attrs["axes"]) == ["t_u"]
        assert shown["t_u"].asstr()[0].startswith("2020-01-01T00:00:00")


def test_view_of_a_file_with_signs_in_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "od d%20#ü"
    folder.mkdir()
    built = build(folder / "sc an#1%b.h5", name="Raw 50%")
    made = usidx.export(built.path, folder / "view %d.nxs", copy=False)
    monkeypatch.chdir("/")
    with h5py.File(made) as file:
        np.testing.assert_array_equal(find_default(file)["Raw 50%"], built.array)
    usidx.check_export(made)


@pytest.mark.parametrize(
    ("dims", "swept", "meant"),
    [
        (("Y", "X", "E"), ["E"], "spectrum"),
        (("Y", "X", "ky", "kx"), ["ky", "kx"], "image"),
        (("Y", "X", "V", "cycle", "E"), ["V", "cycle", "E"], "spectrum"),
        (("Y", "X"), [], "image"),
        (("E",), ["E"], "spectrum"),
    ],
)
def test_viewers_are_told_what_belongs_together(
    dims: tuple[str, ...], swept: list[str], meant: str, tmp_path: Path
) -> None:
    array = xr.DataArray(np.zeros((2,) * len(dims)), dims=dims, name="a")
    array = usidx.set_roles(array, position=[d for d in dims if d not in swept], spectroscopic=swept)
    with h5py.File(usidx.export(array, tmp_path / "a.nxs")) as file:
        shown = find_default(file)
        assert shown[shown.attrs["signal"]].attrs["interpretation"] == meant


def test_names_of_axes_have_no_spaces(tmp_path: Path) -> None:
    array = xr.DataArray([1.0, 2.0], dims="Bias calc", coords={"Bias calc": [3.0, 4.0]}, name="Input 3")
    with h5py.File(usidx.export(array, tmp_path / "a.nxs")) as file:
        shown = find_default(file)
        assert list(shown.attrs["axes"]) == ["Bias_calc"]
        np.testing.assert_array_equal(shown["Bias_calc"], [3.0, 4.0])
        assert shown["Bias_calc"].attrs["usid_label"] == "Bias calc"
