"""Results groups of the old programs: names, quirks, and values that fit their source."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest

from tests.kit.legacy import SHO_FIELDS, add_cluster, add_decomposition, add_sho_fit, add_svd
from usidx.testing.files import Expected, build_main
from usidx.testing.measurements import beps_file, snake_file

Array = npt.NDArray[Any]
Maker = Callable[[Path], Expected]

CHANNEL = "Measurement_000/Channel_000"


def rows_of(built: Expected, values: Array) -> Array:
    """Lay positions out in the order of the file."""
    return values.reshape(len(built.position.cells), -1)[built.position.cells]


@pytest.mark.parametrize("maker", [snake_file, beps_file])
def test_svd_rebuilds_its_source(tmp_path: Path, maker: Maker) -> None:
    built = maker(tmp_path / "a.h5")
    kept = min(len(built.position.cells), len(built.spectroscopic.cells))
    found = add_svd(built, components=kept, dtype="f8")
    rebuilt = np.tensordot(found["U"] * found["S"], found["V"], axes=1)
    np.testing.assert_allclose(rebuilt, built.array, rtol=1e-4)
    with h5py.File(built.path) as file:
        group = file[f"{CHANNEL}/Raw_Data-SVD_000"]
        assert file[group.attrs["source_000"]].name == built.main
        assert group["V"].dtype == built.array.dtype
        assert group["V"].attrs["quantity"] == built.quantity[0]
        assert file[group["U"].attrs["Position_Indices"]].name == built.position.paths[0]
        np.testing.assert_array_equal(group["U"][()], rows_of(built, found["U"]))


def test_cluster(tmp_path: Path) -> None:
    built = snake_file(tmp_path / "a.h5")
    found = add_cluster(built)
    with h5py.File(built.path) as file:
        group = file[f"{CHANNEL}/Raw_Data-Cluster_000"]
        assert {"Labels", "Mean_Response", "Cluster_Indices", "Mean_Resp_Pos_Values"} <= set(group)
        assert group["Labels"][()].tolist() == rows_of(built, found["Labels"]).tolist()
        assert group["Mean_Response"].attrs["quantity"] == "C"
    members = built.array[found["Labels"][..., 0] == 1]
    np.testing.assert_allclose(found["Mean_Response"][1], members.mean(axis=0))


def test_decomposition(tmp_path: Path) -> None:
    built = snake_file(tmp_path / "a.h5")
    found = add_decomposition(built)
    with h5py.File(built.path) as file:
        group = file[f"{CHANNEL}/Raw_Data-Decomposition_000"]
        assert group["Components"].shape == (2, 6)
        assert group["Projection"][()].tolist() == rows_of(built, found["Projection"]).tolist()


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_sho_fit_keeps_the_other_dims_of_its_source(tmp_path: Path, dtype: str) -> None:
    built = beps_file(tmp_path / "a.h5")
    found = add_sho_fit(built, dtype=dtype)
    assert found["Fit"].shape == (3, 4, 2, 8, 2)
    with h5py.File(built.path) as file:
        group = file[f"{CHANNEL}/Raw_Data-SHO_Fit_000"]
        assert group["Fit"].dtype.names == SHO_FIELDS
        assert group["Fit"].dtype["Amplitude [V]"] == dtype
        indices = group["Spectroscopic_Indices"]
        assert indices.attrs["labels"].tolist() == [b"DC_Offset", b"Field", b"Cycle"]
        assert indices[:, :3].T.tolist() == [[0, 0, 0], [0, 1, 0], [1, 0, 0]]
        assert group["Fit"][()].tolist() == found["Fit"].reshape(12, 32).tolist()


def test_sho_fit_that_was_stopped(tmp_path: Path) -> None:
    built = snake_file(tmp_path / "a.h5")
    energies = [("Frequency", "Hz", [1.0, 2.0, 3.0])]
    built = build_main(tmp_path / "b.h5", built.array[..., :3], built_again(built), energies, row_order="snake")
    found = add_sho_fit(built, completed=6)
    with h5py.File(built.path) as file:
        group = file[f"{CHANNEL}/Raw_Data-SHO_Fit_000"]
        assert group["completed_fit_positions"][()].tolist() == [1] * 6 + [0] * 14
        assert not group["Fit"]["Quality Factor"][6:].any()
        assert group["Fit"]["Quality Factor"][:6].all()
    assert not found["Fit"]["Quality Factor"][1, 0].any()
    assert found["Fit"]["Quality Factor"][1, 3].all()


def built_again(built: Expected) -> list[tuple[str, str, Array]]:
    return [(d, built.units[d], built.coords[d][1]) for d in ("Y", "X")]
