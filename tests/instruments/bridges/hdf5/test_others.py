"""NeXus, EMD and HyperSpy within HDF5: small files as their descriptions say, and what marks each of them."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.kit.listed_values import get_leaf
from usidx.errors import TranslationError
from usidx.instruments.bridges.hdf5 import emd, hspy, nexus

CUBE = np.arange(24.0).reshape(2, 3, 4)


def make_nexus(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        group = file.create_group("entry/data")
        file["entry"].attrs["NX_class"], group.attrs["NX_class"] = "NXentry", "NXdata"
        group["current"], group["current_errors"] = CUBE, 0.1 * CUBE
        group["current"].attrs.update({"units": "nA", "long_name": "Tunnel current"})
        group["bias"], group["y"], group["x"] = np.linspace(-1, 1, 4), np.arange(2) * 2e-9, np.arange(3) * 1e-9
        group["bias"].attrs["units"] = "V"
        group["x"].attrs["units"] = group["y"].attrs["units"] = "m"
        group.attrs["signal"], group.attrs["axes"] = "current", ["y", "x", "bias"]
    return path


def test_nxdata_has_axes_units_and_errors(tmp_path: Path) -> None:
    tree = nexus.READER(make_nexus(tmp_path / "a.nxs"))
    current = get_leaf(tree, "entry/data")
    np.testing.assert_array_equal(current, CUBE)
    assert current.dims == ("y", "x", "bias")
    assert [current[dim].attrs["usid_role"] for dim in current.dims] == ["position", "position", "spectroscopic"]
    assert (current.attrs["units"], current.attrs["long_name"], current.bias.attrs["units"]) == (
        "nA",
        "Tunnel current",
        "V",
    )
    np.testing.assert_allclose(current.y, [0, 2e-9])
    np.testing.assert_array_equal(get_leaf(tree, "entry/data_errors"), 0.1 * CUBE)


def test_axes_of_nxdata_may_be_missing_or_elsewhere(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.nxs", "w") as file:
        group = file.create_group("data")
        group.attrs.update({"NX_class": "NXdata", "signal": "counts", "axes": [".", "energy"], "energy_indices": 1})
        group["counts"], group["energy"] = np.ones((3, 4), "i4"), np.arange(5) * 10.0  # edges of bins
        group["energy"].attrs["units"] = "eV"
    counts = get_leaf(nexus.READER(tmp_path / "a.nxs"), "data")
    assert counts.dims == ("dim_0", "energy")
    np.testing.assert_allclose(counts.energy, [5, 15, 25, 35])


def test_four_dims_of_py4dstem(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        group = file.create_group("root/datacube")
        group.attrs["emd_group_type"] = "array"
        group.create_dataset("data", data=np.arange(120, dtype="u2").reshape(2, 3, 4, 5), chunks=(1, 1, 4, 5))
        group["data"].attrs["units"] = "counts"
        for number, (name, units, step) in enumerate(
            [("Rx", "nm", 2.0), ("Ry", "nm", 2.0), ("Qx", "A^-1", 0.1), ("Qy", "A^-1", 0.1)]
        ):
            group[f"dim{number}"] = np.array([0, step])
            group[f"dim{number}"].attrs.update({"name": name, "units": units})
    cube = get_leaf(emd.READER(tmp_path / "a.h5"), "root/datacube")
    np.testing.assert_array_equal(cube, np.arange(120).reshape(2, 3, 4, 5))
    assert [cube[dim].attrs["usid_role"] for dim in cube.dims] == ["position"] * 2 + ["spectroscopic"] * 2
    np.testing.assert_allclose(cube.Qy, [0, 0.1, 0.2, 0.3, 0.4])
    np.testing.assert_array_equal(cube[1, :, 2, ::2], np.arange(120).reshape(2, 3, 4, 5)[1, :, 2, ::2])


def test_a_file_of_ncem_with_energy_first_is_turned(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.emd", "w") as file:
        group = file.create_group("data/eels")
        group.attrs["emd_group_type"] = 1
        group["data"] = CUBE
        for number, (name, units, size) in enumerate([("energy", "[eV]", 2), ("y", "[n_m]", 3), ("x", "[n_m]", 4)], 1):
            group[f"dim{number}"] = np.arange(size) * 1.5
            group[f"dim{number}"].attrs.update({"name": name, "units": units})
    cube = get_leaf(emd.READER(tmp_path / "a.emd"), "data/eels")
    assert cube.dims == ("y", "x", "energy")
    np.testing.assert_array_equal(cube, CUBE.transpose(1, 2, 0))
    assert (cube.y.attrs["units"], cube.energy.attrs["units"]) == ("nm", "eV")


def make_hspy(path: Path, dtype: str = "f4") -> Path:
    with h5py.File(path, "w") as file:
        file.attrs.update({"file_format": "HyperSpy", "file_format_version": "3.3"})
        group = file.create_group("Experiments/scan")
        group["data"] = CUBE.astype(dtype)
        axes = [("y", "nm", 2.0, 0.0, True), ("x", "nm", 1.0, 5.0, True), ("Energy", "eV", 0.5, 100.0, False)]
        for number, (name, units, scale, offset, navigate) in enumerate(axes):
            told = {"name": name, "units": units, "scale": scale, "offset": offset, "navigate": navigate, "size": 4}
            group.create_group(f"axis-{number}").attrs.update(told)
        group.create_group("metadata/Signal").attrs["quantity"] = "Intensity (counts)"
    return path


def test_a_file_of_hyperspy_is_read_without_it(tmp_path: Path) -> None:
    scan = get_leaf(hspy.READER(make_hspy(tmp_path / "a.hspy")), "scan")
    np.testing.assert_array_equal(scan, CUBE)
    assert scan.dtype == np.float32
    np.testing.assert_allclose(scan.x, [5, 6, 7])
    np.testing.assert_allclose(scan.Energy, [100, 100.5, 101, 101.5])
    assert (scan.attrs["units"], scan.attrs["long_name"], scan.Energy.attrs["usid_role"]) == (
        "counts",
        "Intensity",
        "spectroscopic",
    )


@pytest.mark.parametrize("make", [make_nexus, make_hspy])
def test_each_is_told_by_its_content_and_only_one_claims_it(tmp_path: Path, make: object) -> None:
    assert callable(make)
    path = make(tmp_path / "renamed.bin")
    head = path.read_bytes()[:4096]
    wanted = nexus.READER if make is make_nexus else hspy.READER
    assert [one.name for one in (nexus.READER, emd.READER, hspy.READER) if one.sniff(path, head)] == [wanted.name]


def test_a_dataset_that_lies_in_another_file_is_refused(tmp_path: Path) -> None:
    path = make_nexus(tmp_path / "a.nxs")
    (tmp_path / "secret").write_bytes(bytes(800))
    with h5py.File(path, "a") as file:
        del file["entry/data/current"]
        file["entry/data"].create_dataset("current", (2, 3, 4), "f8", external=[("/etc/hostname", 0, 192)])
    with pytest.raises(TranslationError, match=r"a\.nxs.*'nexus'"):
        nexus.READER(path)
