"""A file is walked once; names mean one thing or say what they could mean."""

from pathlib import Path

import h5py
import numpy as np
import pytest

import usidx
from usidx.errors import NotMainError, SelectionError
from usidx.io.read.usid.inventory import find_group, find_main, list_extras, take_inventory
from usidx.testing.files import build_main
from usidx.testing.measurements import beps_file, distinct, shared_file, snake_file


def test_inventory(tmp_path: Path) -> None:
    built = beps_file(tmp_path / "scan.h5")
    with h5py.File(built.path) as file:
        found = take_inventory(file)
    assert found.groups == ("/", "/Measurement_000", "/Measurement_000/Channel_000")
    assert found.mains == (built.main,)
    assert {p.rsplit("/", 1)[1] for p in found.extras} == {"Noise_Floor", "UDVS", "Bin_Frequencies"}
    assert found.broken == ()


def test_each_object_is_met_once(tmp_path: Path) -> None:
    built = snake_file(tmp_path / "scan.h5")
    with h5py.File(built.path, "r+") as file:
        group = file["Measurement_000/Channel_000"]
        group["up"] = file["/"]
        group["self"] = group
        group["twin"] = file[built.main]
        found = take_inventory(file)
        assert found.groups == ("/", "/Measurement_000", "/Measurement_000/Channel_000")
        assert len(found.mains) == 1
        assert found.extras == ()
        assert find_main(file, None) == file[built.main]


def test_a_deep_file(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "deep.h5", "w") as file:
        group = file["/"]
        for _ in range(1200):
            group = group.create_group("g")
        built = build_main(group, distinct((2, 1)), [("X", "m", [0, 1])])
        assert take_inventory(file).mains == (built.main,)


def test_tables_of_a_broken_main_are_extras(tmp_path: Path) -> None:
    built = snake_file(tmp_path / "scan.h5")
    with h5py.File(built.path, "r+") as file:
        file[built.main].attrs["units"] = 3.5
        found = take_inventory(file)
    assert found.broken == (built.main,)
    assert len(found.extras) == 5


def test_list_mains(tmp_path: Path) -> None:
    built = shared_file(tmp_path / "scan.h5")
    assert usidx.list_mains(built[0].path) == [b.main for b in built]


def test_names_of_groups(tmp_path: Path) -> None:
    built = shared_file(tmp_path / "scan.h5", channels=2)
    with h5py.File(built[0].path, "r+") as file:
        for channel in ("Channel_000", "Channel_001"):
            file.create_group(f"Measurement_000/{channel}/Raw_Data-SVD_000")
        file.create_group("Measurement_000/Channel_000/Raw_Data_2-SVD_001")
        assert find_group(file, "SVD_001").name.endswith("Raw_Data_2-SVD_001")
        assert find_group(file, "Channel_001/Raw_Data-SVD_000").name.endswith("Channel_001/Raw_Data-SVD_000")
        assert find_group(file, "/Measurement_000/Channel_001").name == "/Measurement_000/Channel_001"
        with pytest.raises(
            SelectionError, match=r"'SVD_000' is ambiguous .* Candidates are: .*Channel_000.*Channel_001"
        ):
            find_group(file, "SVD_000")
        with pytest.raises(
            SelectionError, match=r"There is no group 'VD_001' .* Results groups are: '/Measurement_000"
        ):
            find_group(file, "VD_001")
        with pytest.raises(SelectionError, match="There is no group 'Raw_Data'"):
            find_group(file, "Raw_Data")


def test_many_candidates_are_cut_short(tmp_path: Path) -> None:
    built = shared_file(tmp_path / "scan.h5", channels=23)
    with pytest.raises(SelectionError, match=r"Channel_019/Raw_Data' and 3 more\."):
        usidx.open_main(built[0].path, "Raw_Data")


def test_a_dataset_that_is_no_main(tmp_path: Path) -> None:
    built = snake_file(tmp_path / "scan.h5")
    with h5py.File(built.path, "r+") as file:
        file["Measurement_000/extra"] = np.arange(3)
    with pytest.raises(NotMainError, match=r"extra' in .* it has the shape \(3,\)"):
        usidx.open_main(built.path, "Measurement_000/extra")
    with pytest.raises(SelectionError, match="has no main dataset 'extra'"):
        usidx.open_main(built.path, "extra")


def test_extras_of_one_group(tmp_path: Path) -> None:
    """What is a table of a main elsewhere is no extra, though nothing in its group says so."""
    built = snake_file(tmp_path / "scan.h5")
    with h5py.File(built.path, "r+") as file:
        group = file.create_group("Tables")
        main = file[built.main]
        for name in ("Position_Indices", "Position_Values"):
            moved = file[main.attrs[name]]
            file.move(moved.name, f"Tables/{name}")
        group["Noise"] = np.zeros((2, 3))
        group["Other"] = np.zeros((2, 3))
        group["Other"].attrs["labels"] = ["a", "b"]
        assert list_extras(group) == ["/Tables/Noise", "/Tables/Other"]
        assert list_extras(main.parent) == []
        assert list_extras(group) == [path for path in take_inventory(file).extras if path.startswith("/Tables/")]


def test_a_name_that_is_no_text_hides_nothing(tmp_path: Path) -> None:
    built = snake_file(tmp_path / "scan.h5")
    with h5py.File(built.path, "r+") as file:
        h5py.h5g.create(file.id, b"step \xb5m")
        file.create_group("after")
        assert {"/after", "/Measurement_000"} <= set(take_inventory(file).groups)
        assert take_inventory(file).mains == (built.main,)


def test_a_hyphen_alone_makes_no_results_group_of_a_group(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.create_group("provenance/mean_2025-12-17")
        with pytest.raises(
            SelectionError, match=r"There is no group 'no' .* Groups are: .*'/provenance/mean_2025-12-17'"
        ):
            find_group(file, "no")
        file.create_group("a/Raw-Mean_000")
        with pytest.raises(SelectionError, match=r"Results groups are: '/a/Raw-Mean_000'\."):
            find_group(file, "no")
