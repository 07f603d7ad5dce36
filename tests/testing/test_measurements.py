"""The whole-file makers: shapes and traps that they promise, and agreement with what h5py reads back."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.testing.test_files import check_every_cell, coordinate
from usidx.testing import measurements


@pytest.mark.parametrize("maker", ["beps_file", "forc_file", "relaxation_file", "snake_file", "image_file"])
def test_each_cell_is_where_its_indices_say(tmp_path: Path, maker: str) -> None:
    built = getattr(measurements, maker)(tmp_path / "a.h5")
    check_every_cell(built)
    assert len(np.unique(built.array)) == built.array.size


def test_beps_file(tmp_path: Path) -> None:
    built = measurements.beps_file(tmp_path / "a.h5")
    assert built.dims == ("Y", "X", "Cycle", "DC_Offset", "Field", "Frequency")
    assert built.array.dtype == "c8"
    with h5py.File(built.path) as file:
        indices = file[built.spectroscopic.paths[0]]
        assert indices.attrs["labels"].tolist() == [b"Frequency", b"DC_Offset", b"Field", b"Cycle"]
        changes = (np.diff(indices[()].astype(int), axis=1) != 0).sum(axis=1)
        assert file["Measurement_000/Channel_000/UDVS"].shape == (4, 3)
    assert changes[2] > changes[1]
    assert len(np.unique(built.coords["DC_Offset"][1])) < 8


def test_forc_file(tmp_path: Path) -> None:
    built = measurements.forc_file(tmp_path / "a.h5")
    dims, values = built.coords["DC_Offset"]
    assert dims == ("FORC", "DC_Offset")
    assert values.max(axis=1).tolist() == [1, 2, 3]


def test_relaxation_file(tmp_path: Path) -> None:
    built = measurements.relaxation_file(tmp_path / "a.h5")
    assert coordinate(built, "Field") == (("Repeats",), [1, 0, 0, 0, 0])
    with h5py.File(built.path) as file:
        indices = file[built.spectroscopic.paths[0]][()]
    sizes = [len(np.unique(row)) for row in indices]
    assert int(np.prod(sizes)) == 210
    assert indices.shape[1] == 105


def test_sparse_file(tmp_path: Path) -> None:
    built = measurements.sparse_file(tmp_path / "a.h5")
    assert built.dims == ("position", "Frequency")
    with h5py.File(built.path) as file:
        assert file[built.main][()].tolist() == built.array.tolist()


def test_aborted_file(tmp_path: Path) -> None:
    built = measurements.aborted_file(tmp_path / "a.h5")
    assert built.array.shape == (31, 6)
    with h5py.File(built.path) as file:
        assert file[built.position.paths[0]][-1].tolist() == [2, 4]


def test_shared_file(tmp_path: Path) -> None:
    channels = measurements.shared_file(tmp_path / "a.h5")
    with h5py.File(channels[0].path) as file:
        targets = {file[file[c.main].attrs["Position_Indices"]].name for c in channels}
    assert len(channels) == 3
    assert len(targets) == 1
