"""What holds for every target: nothing is overwritten, nothing half made is left, the source stays as it is."""

import os
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

import usidx
from tests.instruments.export.odd_files import GZIP, build
from usidx.cli import main
from usidx.errors import ExistsError, MissingFileError, SelectionError, UsidError, WriteError

TARGETS = ("nexus", "kerchunk", "netcdf", "zarr", "hspy", "csv")


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    return build(tmp_path / "scan.h5").path


@pytest.mark.parametrize("to", TARGETS)
def test_target_that_is_there_is_kept(to: Any, scan: Path, tmp_path: Path) -> None:
    if to == "zarr":
        pytest.importorskip("zarr", reason="zarr is not installed")
    target = tmp_path / "out"
    target.write_text("precious")
    with pytest.raises(ExistsError, match=r"'.*out' is there already.*overwrite=True"):
        usidx.export(scan, target, to=to)
    assert target.read_text() == "precious"
    before = scan.read_bytes()
    for _ in range(2):
        usidx.export(scan, target, to=to, overwrite=True)
    assert scan.read_bytes() == before
    left = {"scan.h5", "out", "out.json"} if to == "csv" else {"scan.h5", "out"}
    assert {p.name for p in tmp_path.iterdir()} == left


@pytest.mark.parametrize("to", TARGETS)
def test_source_is_never_the_target(to: Any, scan: Path, tmp_path: Path) -> None:
    (tmp_path / "link.h5").symlink_to(scan)
    before = scan.read_bytes()
    for target in (scan, tmp_path / "link.h5"):
        with pytest.raises(ExistsError, match="is the file that is exported"):
            usidx.export(scan, target, to=to, overwrite=True)
    assert scan.read_bytes() == before


def test_folder_of_somebody_else_is_kept(scan: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("precious")
    for target in (tmp_path / "mine", tmp_path):
        with pytest.raises(ExistsError, match="a folder that no export made"):
            usidx.export(scan, target, to="zarr", overwrite=True)
    assert (tmp_path / "mine" / "notes.txt").is_file()


def test_nothing_is_left_of_what_fails(scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("usidx.instruments.export.nexus.iterate_blocks", fail)
    for to in ("nexus", "hspy"):
        with pytest.raises(WriteError, match=r"out.*No space left"):
            usidx.export(scan, tmp_path / "out", to=to)
    assert [p.name for p in tmp_path.iterdir()] == ["scan.h5"]


def test_wrong_names_are_refused_in_words(scan: Path, tmp_path: Path) -> None:
    with pytest.raises(SelectionError, match="no target to='nexsu'; there are 'nexus', 'kerchunk'"):
        usidx.export(scan, tmp_path / "out", to="nexsu")  # type: ignore[arg-type]
    with pytest.raises(SelectionError, match="'Raw_Dat'"):
        usidx.export(scan, tmp_path / "out", group="Raw_Dat")
    with pytest.raises(UsidError, match="'netcdf' always copies"):
        usidx.export(scan, tmp_path / "out", to="netcdf", copy=False)
    with pytest.raises(MissingFileError, match="no folder"):
        usidx.export(scan, tmp_path / "no" / "out")
    with pytest.raises(MissingFileError, match="missing"):
        usidx.export(tmp_path / "missing.h5", tmp_path / "out")
    with pytest.raises(UsidError, match="needs the file that holds it"):
        usidx.export(usidx.open_main(scan), tmp_path / "out", copy=False)
    with pytest.raises(UsidError, match=r"'https://host/a.h5' is a URL. Download it first"):
        usidx.export("https://host/a.h5", tmp_path / "out", to="kerchunk")
    with h5py.File(tmp_path / "empty.h5", "w"):
        pass
    with pytest.raises(SelectionError, match="no data to export"):
        usidx.export(tmp_path / "empty.h5", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_group_is_a_main_a_result_or_what_lies_below(tmp_path: Path) -> None:
    path = usidx.example_file(tmp_path / "scan.h5")
    usidx.open_main(path).usid.svd(2).usid.write()
    shown = {}
    for group in ("Raw_Data", "/Measurement_000/Channel_000/Raw_Data", "SVD_000", "Measurement_000", "Channel_000"):
        with h5py.File(usidx.export(path, tmp_path / "out.nxs", group=group, overwrite=True)) as file:
            shown[group] = sorted(file["entry"])
    assert shown == {
        "Raw_Data": ["Raw_Data"],
        "/Measurement_000/Channel_000/Raw_Data": ["Raw_Data"],
        "SVD_000": ["Raw_Data-SVD_000"],
        "Measurement_000": ["Channel_000"],
        "Channel_000": ["Raw_Data", "Raw_Data-SVD_000"],
    }


def test_array_exports_itself(scan: Path, tmp_path: Path) -> None:
    raw = usidx.open_main(scan)
    with h5py.File((raw * 2).usid.export(tmp_path / "twice.nxs")) as file:
        np.testing.assert_array_equal(file["entry/Raw_Data/Raw_Data"], 2 * raw.values)
    tree = usidx.open_tree(scan)
    with h5py.File(tree.usid.export(tmp_path / "tree.nxs")) as file:
        np.testing.assert_array_equal(file["entry/Measurement_000/Channel_000/Raw_Data/Raw_Data"], raw.values)


@pytest.mark.parametrize("to", ["nexus", "kerchunk"])
class TestReferences:
    """What shows data of another file notices when that is not the same any more."""

    def test_results_that_are_added_do_no_harm(self, to: Any, scan: Path, tmp_path: Path) -> None:
        made = usidx.export(scan, tmp_path / "view", to=to, copy=False, group="Raw_Data")
        usidx.open_main(scan).usid.svd(2).usid.write()
        usidx.check_export(made)

    def test_another_dataset_in_its_place_is_found(self, to: Any, scan: Path, tmp_path: Path) -> None:
        made = usidx.export(scan, tmp_path / "view", to=to, copy=False)
        scan.unlink()
        build(scan, rows=5, storage={"chunks": (6, 6), **GZIP})
        with pytest.raises(UsidError, match=r"out of date.*scan.h5.*Raw_Data.*Export it again"):
            usidx.check_export(made)

    def test_other_coordinates_are_found(self, to: Any, scan: Path, tmp_path: Path) -> None:
        made = usidx.export(scan, tmp_path / "view", to=to, copy=False)
        with h5py.File(scan, "a") as file:
            file["Measurement_000/Channel_000/Position_Values"][:, 0] += 1
        os.utime(scan, ns=(1, 1))
        with pytest.raises(UsidError, match=r"out of date.*X"):
            usidx.check_export(made)

    def test_missing_file_is_found(self, to: Any, scan: Path, tmp_path: Path) -> None:
        made = usidx.export(scan, tmp_path / "view", to=to, copy=False)
        scan.unlink()
        with pytest.raises(MissingFileError, match=r"scan.h5.*is not there"):
            usidx.check_export(made)


def test_check_of_anything_else_is_refused(scan: Path, tmp_path: Path) -> None:
    with pytest.raises(UsidError, match=r"nothing that usidx\.export made"):
        usidx.check_export(scan)
    with pytest.raises(UsidError, match="refers to no other file"):
        usidx.check_export(usidx.export(scan, tmp_path / "copy.nxs"))
    (tmp_path / "list.json").write_text("[1, 2]")
    with pytest.raises(UsidError, match=r"nothing that usidx\.export made"):
        usidx.check_export(tmp_path / "list.json")
    with pytest.raises(MissingFileError, match="no file"):
        usidx.check_export(tmp_path / "none.json")


def test_file_that_changes_meanwhile_gives_nothing(scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from usidx.instruments.export import export as module

    def write_and_change(*given: Any) -> None:
        Path(given[0]).write_text("{}")
        os.utime(scan, ns=(1, 1))

    monkeypatch.setitem(module._WRITERS, "kerchunk", write_and_change)
    with pytest.raises(UsidError, match="changed while it was exported"):
        usidx.export(scan, tmp_path / "out", to="kerchunk")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("file_name", "to"),
    [
        ("pycroscopy_chip.h5", "kerchunk"),
        ("pyUSID_SingFreqPFM_0003.h5", "nexus"),
        ("pyUSID_sparse_sampling_a.h5", "netcdf"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*is not finished")
def test_real_files(file_name: str, to: Any, real_files: Any, tmp_path: Path) -> None:
    path = real_files(f"usid/{file_name}")
    measured = [name for name in usidx.list_mains(path) if "-" not in name]
    for number, name in enumerate(measured):
        made = usidx.export(path, tmp_path / f"{number}", to=to, group=name)
        with h5py.File(path) as file:
            stored = file[name][()]
        if to == "nexus":
            with h5py.File(made) as file:
                shown = file[f"entry/{name.rsplit('/', 1)[-1]}"]
                assert shown[shown.attrs["signal"]].size == stored.size
                np.testing.assert_array_equal(np.ravel(shown[shown.attrs["signal"]]), stored.ravel())
        elif to == "netcdf":
            with xr.open_dataset(made) as data:
                np.testing.assert_array_equal(np.ravel(data[name.rsplit("/", 1)[-1]]), stored.ravel())
        else:
            pytest.importorskip("kerchunk", reason="kerchunk is not installed")
            found = xr.open_dataset(made, engine="kerchunk")["Raw_Data"]
            np.testing.assert_array_equal(found.values.ravel(), stored.ravel())


def test_whole_tree_can_be_moved_beside_its_view(scan: Path, tmp_path: Path) -> None:
    folder = tmp_path / "together"
    folder.mkdir()
    shutil.move(scan, folder / "scan.h5")
    made = usidx.export(folder / "scan.h5", folder / "view.nxs", copy=False)
    usidx.check_export(made)
    shutil.move(folder, tmp_path / "elsewhere")
    usidx.check_export(tmp_path / "elsewhere" / "view.nxs")


def test_command_exports_and_checks(scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "scan.nc"
    assert main(["export", str(scan), str(target)]) == 0
    assert capsys.readouterr().out.strip() == str(target)
    with xr.open_dataset(target) as shown:
        assert shown["Raw_Data"].attrs["units"] == "nA"
    assert main(["export", str(scan), str(target)]) == 2
    assert "is there already" in capsys.readouterr().err
    view = tmp_path / "view.nxs"
    assert main(["export", str(scan), str(view), "--no-copy", "--group", "Raw_Data", "--overwrite"]) == 0
    assert main(["export", "--check", str(view)]) == 0
    scan.unlink()
    assert main(["export", "--check", str(view)]) == 2
    assert "is not there" in capsys.readouterr().err
    assert main(["export", str(view)]) == 2
    assert "Name the file to make" in capsys.readouterr().err


def test_file_of_an_instrument_is_exported(tmp_path: Path) -> None:
    heights = np.arange(12, dtype="<f4").reshape(3, 4)
    head = b"Gwyddion Simple Field 1.0\nXRes = 4\nYRes = 3\nXReal = 4e-6\nYReal = 3e-6\nXYUnits = m\nZUnits = m\n"
    (tmp_path / "a.gsf").write_bytes(head + b"\0" * (4 - len(head) % 4) + heights.tobytes())
    tree = usidx.read_instrument(tmp_path / "a.gsf")
    (leaf,) = tree.leaves
    with h5py.File(usidx.export(tmp_path / "a.gsf", tmp_path / "a.nxs")) as file:
        shown = file[f"entry{leaf.path}"]
        np.testing.assert_array_equal(shown[shown.attrs["signal"]], heights)
        assert shown[shown.attrs["signal"]].attrs["units"] == "m"
    named = usidx.export(tmp_path / "a.gsf", tmp_path / "a.nc", to="netcdf", group=leaf.path)
    with xr.open_dataset(named) as data:
        np.testing.assert_array_equal(data[leaf.name].values, heights)
    with pytest.raises(SelectionError, match=r"no channel 'Hight' in '.*a\.gsf'; there are '/"):
        usidx.export(tmp_path / "a.gsf", tmp_path / "b.nc", to="netcdf", group="Hight")


def test_hdf5_file_of_an_instrument_is_exported_as_its_reader_reads_it(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.emd", "w") as file:
        group = file.create_group("experiments/image")
        group.attrs["emd_group_type"] = 1
        group["data"] = np.arange(12.0).reshape(3, 4)
        for number, (name, size) in enumerate((("y", 3), ("x", 4)), 1):
            group[f"dim{number}"] = np.arange(size) * 0.5
            group[f"dim{number}"].attrs.update({"name": name, "units": "[n_m]"})
    made = usidx.export(tmp_path / "a.emd", tmp_path / "a.nc", to="netcdf")
    with xr.open_dataset(made, engine="h5netcdf") as data:
        shown = next(iter(data.data_vars.values()))
        assert (shown.dims, shown.y.attrs["units"]) == (("y", "x"), "nm")
        np.testing.assert_array_equal(shown.x, [0, 0.5, 1, 1.5])
