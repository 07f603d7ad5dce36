"""xarray's own functions open USID through the engine."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

import usidx
from tests.kit.agreement import WITHOUT_INDEXES, assert_opens
from tests.kit.broken import broken_file
from usidx.errors import SelectionError, UsidWarning
from usidx.io.read.backend import UsidBackend
from usidx.testing.measurements import beps_file, image_file, shared_file, snake_file


@pytest.mark.parametrize("chunks", [{}, None, "auto", {"Y": 5}], ids=str)
def test_open_dataset(tmp_path: Path, chunks: Any) -> None:
    built = snake_file(tmp_path / "scan.h5")
    with xr.open_dataset(built.path, engine="usid", group="Channel_000/Raw_Data", chunks=chunks) as data:
        assert_opens(data.Raw_Data, built)
        assert (data.Raw_Data.chunks is None) == (chunks is None)


def test_one_main_needs_no_name(tmp_path: Path) -> None:
    built = snake_file(tmp_path / "scan.h5")
    with xr.open_dataset(built.path, engine="usid") as data:
        assert_opens(data.Raw_Data, built)


def test_options(tmp_path: Path) -> None:
    built = image_file(tmp_path / "scan.h5")
    with xr.open_dataset(built.path, engine="usid", squeeze=False, drop_variables=["arb"]) as data:
        assert data.Raw_Data.dims[:2] != ("Y", "X") or data.Raw_Data.ndim == 3
        assert "arb" not in data.coords
    with xr.open_dataset(built.path, engine="usid", drop_variables="arb") as data:
        assert set(data.coords) == {"Y", "X"}


def test_a_group_gives_its_extras_and_attributes(tmp_path: Path) -> None:
    built = beps_file(tmp_path / "scan.h5")
    with xr.open_dataset(built.path, engine="usid", group="Measurement_000/Channel_000") as data:
        assert set(data.data_vars) == {"Noise_Floor", "UDVS", "Bin_Frequencies"}
    with xr.open_dataset(built.path, engine="usid", group="Measurement_000") as data:
        assert data.attrs["VS_mode"] == "DC modulation mode"


@pytest.mark.parametrize("chunks", [{}, None], ids=str)
def test_open_datatree(tmp_path: Path, chunks: Any) -> None:
    built = shared_file(tmp_path / "scan.h5")
    with xr.open_datatree(built[0].path, engine="usid", chunks=chunks) as tree:
        for each in built:
            assert_opens(tree[each.main].Raw_Data, each)
            assert (tree[each.main].Raw_Data.chunks is None) == (chunks is None)
    with xr.open_datatree(built[0].path, engine="usid", group="Measurement_000/Channel_001") as tree:
        assert_opens(tree["Raw_Data"].Raw_Data, built[1])


def test_open_groups(tmp_path: Path) -> None:
    built = shared_file(tmp_path / "scan.h5", channels=2)
    groups = xr.open_groups(built[0].path, engine="usid")
    assert set(groups) == {
        "/", "/Measurement_000", "/Measurement_000/Channel_000", "/Measurement_000/Channel_001",
        built[0].main, built[1].main,
    }  # fmt: skip


def test_preferred_chunks_reach_xarray(tmp_path: Path) -> None:
    built = snake_file(tmp_path / "scan.h5")
    with xr.open_dataset(built.path, engine="usid", chunks=None) as data:
        assert data.Raw_Data.encoding["preferred_chunks"] == {"Y": 5, "X": 4, "Bias": 6}


def test_names_that_say_too_little(tmp_path: Path) -> None:
    built = shared_file(tmp_path / "scan.h5")
    with pytest.raises(SelectionError, match="is ambiguous"):
        xr.open_dataset(built[0].path, engine="usid", group="Raw_Data")


def test_a_broken_main_does_not_hide_the_others(tmp_path: Path) -> None:
    built = broken_file(tmp_path / "scan.h5", "indices not whole")
    with pytest.warns(UsidWarning, match=r"left out of the tree: .*whole numbers; found 0\.5"):
        groups = xr.open_groups(built.path, engine="usid")
    assert built.main not in groups


def test_what_can_be_opened(tmp_path: Path) -> None:
    built = snake_file(tmp_path / "scan.h5")
    guess = UsidBackend().guess_can_open
    assert guess(built.path)
    assert guess(str(built.path))
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = np.arange(3)
    (tmp_path / "text.h5").write_text("text")
    (tmp_path / "folder.h5").mkdir()
    (tmp_path / "cut.h5").write_bytes(built.path.read_bytes()[:5000])
    built.path.rename(tmp_path / "scan.dat")
    for name in ("other.h5", "text.h5", "folder.h5", "cut.h5", "scan.dat", "none.h5", "https://example.org/a.h5"):
        assert not guess(tmp_path / name)
    assert not guess(b"bytes")
    assert not guess(3)


def test_the_engine_is_found() -> None:
    engines = xr.backends.list_engines()
    assert isinstance(engines["usid"], UsidBackend)


def test_opening_by_xarray_and_by_usidx_agree(tmp_path: Path) -> None:
    built = beps_file(tmp_path / "scan.h5")
    with xr.open_dataset(built.path, engine="usid", **WITHOUT_INDEXES) as data:
        xr.testing.assert_equal(data.drop_indexes(list(data.xindexes)), by_usidx(built.path))


def by_usidx(path: Path) -> xr.Dataset:
    data = usidx.open_dataset(path)
    return data.drop_indexes(list(data.xindexes))
