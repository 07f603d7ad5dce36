"""What is said of files that are not there, may not be opened, or are of other formats."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.errors import MissingFileError, SelectionError, UsidError, WriteError


def make_array() -> xr.DataArray:
    return usidx.set_roles(xr.DataArray(np.ones((2, 3)), dims=("Y", "Bias"), name="Raw_Data"), position="Y")


def test_a_missing_file_is_named_with_what_is_like_it(tmp_path: Path) -> None:
    (tmp_path / "scan_1.h5").touch()
    with pytest.raises(MissingFileError, match=r"There is no file '.*scan1.h5'. Its folder holds 'scan_1.h5'"):
        usidx.open_main(tmp_path / "scan1.h5")
    with pytest.raises(FileNotFoundError, match=r"there is no folder '.*gone' to look in"):
        usidx.list_mains(tmp_path / "gone" / "scan.h5")
    with pytest.raises(MissingFileError, match=r"There is no folder '.*gone' to make 'scan.h5' in"):
        usidx.write(make_array(), tmp_path / "gone" / "scan.h5")


def test_paths_may_be_bytes_and_nothing_else(tmp_path: Path) -> None:
    path = bytes(tmp_path / "scan.h5")
    usidx.write(make_array(), path)  # type: ignore[arg-type]
    assert usidx.open_main(path).dims == ("Y", "Bias")  # type: ignore[arg-type]
    with pytest.raises(UsidError, match="A NoneType where the path or the URL of a file is expected"):
        usidx.open_main(None)  # type: ignore[arg-type]


def test_folders_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(UsidError, match="is a folder, not an HDF5 file"):
        usidx.open_main(tmp_path)
    with pytest.raises(UsidError, match="is a folder"):
        usidx.write(make_array(), tmp_path)


def test_a_file_that_may_not_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "scan.h5"
    usidx.write(make_array(), path)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("usidx.io.write.transaction.open_locked", refuse)
    with pytest.raises(WriteError, match=r"scan.h5' cannot be written \(Permission denied\). Ask for the right"):
        usidx.write(make_array() * 2, path, reuse=False)


@pytest.mark.parametrize("name", ["a\udcff", "\ud800"])
def test_names_that_no_file_can_hold_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsidError, match="is no UTF-8 text"):
        usidx.write(make_array(), tmp_path / "scan.h5", name=name)


@pytest.mark.parametrize(
    ("name", "head", "said"),
    [
        ("force.ibw", b"\x05\x00" + bytes(600), r"Igor binary wave.*usidx.read_instrument\('.*force.ibw'\)"),
        ("topo.gwy", b"GWYP" + bytes(600), "Gwyddion file.*usidx.read_instrument"),
        ("grid.3ds", b'Grid dim="10 x 10"', "Nanonis grid.*usidx.read_instrument"),
        ("scan.sxm", b":NANONIS_VERSION:\n2", "Nanonis scan.*usidx.read_instrument"),
        (
            "eels.dm4",
            b"\x00\x00\x00\x04" + bytes(600),
            "DigitalMicrograph.*read_instrument.*install 'usidx.em.'",
        ),
        ("stack.tif", b"II*\x00" + bytes(600), "TIFF image.*read_instrument.*install 'usidx.tiff.'"),
        ("tomo.mrc", bytes(208) + b"MAP " + bytes(300), "MRC file.*usidx.read_instrument"),
        ("scan.sm4", bytes(2) + "STiMage 5".encode("utf-16-le") + bytes(300), "RHK file.*usidx.read_instrument"),
        ("notes.ibw", b"hello", "it is no HDF5 file"),
        ("scan.h5", b"hello", "it is no HDF5 file"),
    ],
)
def test_files_of_other_formats_are_named_with_what_opens_them(
    tmp_path: Path, name: str, head: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(head)
    with pytest.raises(UsidError, match=said):
        usidx.open_main(tmp_path / name)


def fill_nsid(file: h5py.File) -> None:
    file.create_dataset("Channel_000/generic/generic", data=np.ones((3, 4))).attrs["nsid_version"] = "0.0.1"


def fill_nexus(file: h5py.File) -> None:
    file.create_dataset("entry/data/counts", data=np.ones(3))
    file["entry"].attrs["NX_class"] = "NXentry"


def fill_emd(file: h5py.File) -> None:
    file.attrs["version_major"], file.attrs["version_minor"] = 0, 2
    file.create_dataset("data/image/data", data=np.ones(3))
    file["data/image"].attrs["emd_group_type"] = 1


def fill_velox(file: h5py.File) -> None:
    file.create_dataset("Data/Image/1/Data", data=np.ones(3))
    file.create_group("Presentation")
    file["Version"] = "1"


def fill_hyperspy(file: h5py.File) -> None:
    file.attrs["file_format"] = "HyperSpy"
    file.create_dataset("Experiments/a/data", data=np.ones(3))


@pytest.mark.parametrize(
    ("fill", "said"),
    [
        (fill_nsid, "an NSID file. Open it with usidx.read_instrument"),
        (fill_nexus, "a NeXus file. Open it with usidx.read_instrument"),
        (fill_emd, "an EMD file. Open it with usidx.read_instrument"),
        (fill_velox, "an EMD file. Open it with usidx.read_instrument"),
        (fill_hyperspy, "a HyperSpy file. Open it with usidx.read_instrument"),
    ],
)
def test_other_hdf5_files_are_named_too(tmp_path: Path, fill: Callable[[h5py.File], None], said: str) -> None:
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        fill(file)
    with pytest.raises(SelectionError, match=said + r"\('.*other.h5'\)"):
        usidx.open_main(path)


def test_a_hyphen_alone_makes_no_results_group(tmp_path: Path) -> None:
    path = usidx.example_file(tmp_path / "scan.h5")
    with h5py.File(path, "r+") as file:
        file.create_group("provenance/mean_2025-12-17-15:38:06.145850")
        file.create_group("Measurement_000/Channel_000/Raw_Data-Peak_012")
    assert usidx.list_results(path) == ["/Measurement_000/Channel_000/Raw_Data-Peak_012"]


def test_no_message_of_opening_or_writing_names_an_argument_that_only_recover_has() -> None:
    package = Path(usidx.__file__).parent
    naming = [f for f in package.rglob("*.py") if "pass lock=False" in f.read_text(encoding="utf-8")]
    assert naming == []


@pytest.mark.parametrize("name", ["a" * 253 + ".h5", "folder/" * 1000 + "a.h5", "a\0b.h5"])
@pytest.mark.parametrize(
    "ask",
    [usidx.open_main, usidx.open_tree, usidx.list_mains, usidx.list_results, usidx.read_instrument],
)
def test_a_name_that_no_file_can_have_is_told_in_words(tmp_path: Path, ask: Callable[[str], object], name: str) -> None:
    with pytest.raises(UsidError, match=r"too long for this system|holds a NUL"):
        ask(f"{tmp_path}/{name}")


@pytest.mark.parametrize("name", ["a" * 253 + ".h5", "folder/" * 1000 + "a.h5", "a\0b.h5"])
def test_nothing_is_written_under_a_name_that_no_file_can_have(tmp_path: Path, name: str) -> None:
    array = usidx.simulate.current_voltage((2, 2), 5)[0]
    with pytest.raises(UsidError, match=r"too long for this system|holds a NUL"):
        usidx.write(array, f"{tmp_path}/{name}")


def test_validate_reports_a_name_that_no_file_can_have(tmp_path: Path) -> None:
    assert "too long for this system" in str(usidx.validate(f"{tmp_path}/{'a' * 253}.h5"))
