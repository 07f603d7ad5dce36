"""A tree has the paths of the file, and opens all that can be opened."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

import usidx
from tests.kit.agreement import WITHOUT_INDEXES, assert_opens
from usidx.errors import SelectionError, UsidWarning
from usidx.testing import measurements
from usidx.testing.files import build_sparse
from usidx.testing.measurements import distinct

BIAS = [("Bias", "V", np.linspace(-1, 1, 6))]


def test_a_tree_has_the_paths_of_the_file(tmp_path: Path) -> None:
    built = measurements.beps_file(tmp_path / "scan.h5")
    tree = usidx.open_tree(built.path)
    assert_opens(tree[built.main].Raw_Data, built)
    assert tree.attrs["sample_name"] == "PZT"
    assert tree["Measurement_000"].attrs["IO_rate"] == "NaN"
    channel = tree["Measurement_000/Channel_000"].ds
    assert set(channel.data_vars) == {"Noise_Floor", "UDVS", "Bin_Frequencies"}
    np.testing.assert_array_equal(channel.UDVS, np.arange(12.0).reshape(4, 3))
    assert channel.UDVS.attrs["labels"] == ["step_num", "dc_offset", "ac_amp"]
    assert channel.Noise_Floor.dtype.names == ("super_band", "inter_bin_band")


def test_a_tree_below_a_group(tmp_path: Path) -> None:
    built = measurements.shared_file(tmp_path / "scan.h5")
    tree = usidx.open_tree(built[1].path, group="Channel_001")
    assert [n.path for n in tree.subtree] == ["/", "/Raw_Data"]
    assert_opens(tree["Raw_Data"].Raw_Data, built[1])
    with pytest.raises(SelectionError, match="There is no group 'Channel_009'"):
        usidx.open_tree(built[1].path, group="Channel_009")


def test_groups_may_hold_extras_of_one_name_and_other_sizes(tmp_path: Path) -> None:
    built = measurements.snake_file(tmp_path / "scan.h5")
    with h5py.File(built.path, "r+") as file:
        for path, shape in {"": (3,), "Measurement_000": (4,), "Measurement_000/Channel_000": (4, 4)}.items():
            file[f"{path}/Extra"] = np.ones(shape)
            file[f"{path}/size_4"] = np.ones((4, 2))
            file[f"{path}/Bias"] = np.ones((2, 2))
    tree = usidx.open_tree(built.path)
    assert_opens(tree[built.main].Raw_Data, built)
    assert [tree[p].Extra.shape for p in ("/", "Measurement_000", "Measurement_000/Channel_000")] == [
        (3,),
        (4,),
        (4, 4),
    ]
    assert set(tree["Measurement_000"].ds.data_vars) == {"Extra", "size_4", "Bias"}


@pytest.mark.parametrize("chunks", [{}, None])
def test_extras_of_every_kind(tmp_path: Path, chunks: Any) -> None:
    built = measurements.snake_file(tmp_path / "scan.h5")
    with h5py.File(built.path, "r+") as file:
        file["scalar"] = 3.5
        file["empty"] = np.zeros((0, 3))
        file["null"] = h5py.Empty("f4")
        file["text"] = "µm"
        file["latin"] = np.bytes_(b"\xb5m")
        file["texts"] = np.array(["a", "bc"], dtype=h5py.string_dtype())
        file["references"] = np.array([file.ref], dtype=h5py.ref_dtype)
        file["flags"] = np.array([True, False])
        file["big"] = np.arange(3, dtype=">i4")
        file["ragged"] = h5py.Empty("i4")
        file.create_dataset("vlen", (2,), dtype=h5py.vlen_dtype("i4"))
        file["named_type"] = np.dtype("f4")
    data = usidx.open_tree(built.path, chunks=chunks).to_dataset()
    assert set(data.data_vars) == {"scalar", "empty", "text", "latin", "texts", "flags", "big"}
    assert (float(data.scalar), data.empty.shape, str(data.text.values)) == (3.5, (0, 3), "µm")
    assert data.texts.values.tolist() == ["a", "bc"]
    assert data.flags.values.tolist() == [True, False]
    assert data.big.values.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(data.big.isel(size_3=[-1, 0]), [2, 0])


def test_the_rest_of_a_file_opens_beside_a_broken_main(tmp_path: Path) -> None:
    built = measurements.shared_file(tmp_path / "scan.h5")
    with h5py.File(built[0].path, "r+") as file:
        file[built[0].main].attrs["quantity"] = 3.5
    with pytest.warns(usidx.errors.UsidWarning, match="Channel_000/Raw_Data' in .* claims to be a main dataset but br"):
        tree = usidx.open_tree(built[0].path)
    assert_opens(tree[built[1].main].Raw_Data, built[1])
    assert "Raw_Data" in tree["Measurement_000/Channel_000"].ds
    assert usidx.open_tree(built[0].path, group="Channel_001").children  # no warning of what lies elsewhere


def test_arrays_survive_netcdf(tmp_path: Path) -> None:
    built = measurements.forc_file(tmp_path / "scan.h5")
    array = usidx.open_main(built.path)
    array.to_netcdf(tmp_path / "scan.nc", engine="h5netcdf")
    with xr.open_dataarray(tmp_path / "scan.nc", engine="h5netcdf", **WITHOUT_INDEXES) as again:
        np.testing.assert_array_equal(again, built.array)
        assert usidx.position_dims(again) == ("Y", "X")


def test_sparse_round_trip(tmp_path: Path) -> None:
    where = [("X", "nm", [0.0, 1.0, 0.0]), ("Y", "nm", [0.0, 0.0, 1.0])]
    built = build_sparse(tmp_path / "scan.h5", distinct((3, 6)), where, BIAS)
    assert_opens(usidx.open_main(built.path), built)


def test_what_cannot_be_read_does_not_hide_the_rest(tmp_path: Path) -> None:
    built = measurements.snake_file(tmp_path / "scan.h5")
    with h5py.File(built.path, "r+") as file:
        group = file["Measurement_000"]
        texts = np.array(["a long remark"] * 500, dtype=object)
        notes = group.create_dataset("notes", data=texts, dtype=h5py.string_dtype(), chunks=(500,), compression="gzip")
        stored = notes.id.get_chunk_info(0)
        h5py.h5d.create(group.id, b"when", h5py.h5t.UNIX_D32LE, h5py.h5s.create_simple((3,)))
        group["good"] = [1, 2, 3]
    with open(built.path, "r+b") as raw:
        raw.seek(stored.byte_offset)
        raw.write(b"\xff" * stored.size)
    with pytest.warns(UsidWarning) as warned:
        tree = usidx.open_tree(built.path)
    told = sorted(str(one.message) for one in warned)
    assert [text.split(" in ")[0] for text in told] == ["'/Measurement_000/notes'", "'/Measurement_000/when'"]
    assert all("is left out: it is damaged, or of an unknown type" in text for text in told)
    np.testing.assert_array_equal(tree["Measurement_000"]["good"], [1, 2, 3])
    np.testing.assert_array_equal(tree[built.main].to_dataset()["Raw_Data"], built.array)


def test_texts_that_claim_much_memory_stay_unread(tmp_path: Path) -> None:
    built = measurements.snake_file(tmp_path / "scan.h5")
    with h5py.File(built.path, "r+") as file:
        file["Measurement_000"].create_dataset("blank", (10_000,), dtype="S1000000", chunks=(1,))
    assert "blank" not in usidx.open_tree(built.path)["Measurement_000"].data_vars


def test_a_shape_that_claims_petabytes_costs_nothing(tmp_path: Path) -> None:
    """Dask would take gigabytes to count its blocks."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("claim", (1 << 20, 1 << 30), "f8", chunks=(1 << 10, 1 << 10))
        file.create_dataset("large", (1 << 20, 1 << 20), "f8", chunks=(1 << 10, 1 << 10))
    tree = usidx.open_tree(tmp_path / "a.h5")
    assert tree.ds["claim"].chunks is None
    assert tree.ds["claim"].shape == (1 << 20, 1 << 30)
    assert not tree.ds["claim"][3, :2].any()
    assert tree.ds["large"].chunks is not None


def test_groups_are_followed_to_a_depth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usidx.io.read.usid.inventory._DEEPEST", 20)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        group = file
        for level in range(1, 25):
            group = group.create_group(f"g{level}")
            group["x"] = [level]
    with pytest.warns(UsidWarning, match="g20' in .*a.h5' lies too deep to look into"):
        found = usidx.open_tree(tmp_path / "a.h5")
    assert found.depth == 20
    assert found["/" + "/".join(f"g{level}" for level in range(1, 20))].ds["x"].values == 19


def test_mains_with_equal_tables_share_no_coordinate_that_can_be_written_to(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        for number in range(2):
            channel = file.create_group(f"Measurement_000/Channel_00{number}")
            build_sparse(
                channel,
                np.zeros((3, 2)),
                [("X", "m", [0.0, 1.0, 5.0]), ("Y", "m", [2.0, 2.0, 3.0])],
                [("Bias", "V", [0.0, 1.0])],
            )
    tree = usidx.open_tree(path)
    one, other = (tree[f"Measurement_000/Channel_00{number}/Raw_Data"].Raw_Data for number in range(2))
    one.coords["X"].values[0] = 9.0
    one.coords["X"].attrs["units"] = "nm"
    assert (other.coords["X"].values[0], other.coords["X"].attrs["units"]) == (0.0, "m")
    assert usidx.open_tree(path)["Measurement_000/Channel_000/Raw_Data"].Raw_Data.coords["X"].values[0] == 0.0
