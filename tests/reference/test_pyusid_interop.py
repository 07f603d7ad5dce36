"""pyUSID on files of the builder: it takes them for what they are, and reads the same array where it reads rightly."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.kit import legacy
from tests.kit.broken import broken_file
from tests.kit.pyusid import accepts, main_datasets, old_numpy, open_with_pyusid
from usidx.testing import measurements
from usidx.testing.files import Expected, build_main

Maker = Callable[..., Expected]
MAKERS: list[Maker] = [
    measurements.beps_file,
    measurements.forc_file,
    measurements.relaxation_file,
    measurements.sparse_file,
    measurements.aborted_file,
    measurements.snake_file,
    measurements.image_file,
]


@pytest.mark.parametrize("maker", MAKERS, ids=lambda maker: str(maker.__name__))
@pytest.mark.parametrize("label_storage", ["bytes", "vlen"])
def test_each_measurement_is_a_main_dataset(tmp_path: Path, maker: Maker, label_storage: str) -> None:
    built = maker(tmp_path / "a.h5", label_storage=label_storage)
    assert accepts(built.path, built.main)
    assert main_datasets(built.path) == [built.main]


@pytest.mark.parametrize("maker", [measurements.beps_file, measurements.forc_file, measurements.image_file])
@pytest.mark.parametrize("order", ["fastest_first", "slowest_first"])
def test_a_raster_reads_the_same(tmp_path: Path, maker: Maker, order: str) -> None:
    built = maker(tmp_path / "a.h5", position_columns=order)
    seen = open_with_pyusid(built.path, built.main)
    np.testing.assert_array_equal(seen.in_order(*built.dims), built.array)
    assert (seen.quantity, seen.unit) == (built.quantity, built.unit)
    assert seen.units == built.units


@pytest.mark.parametrize("dtype", ["i2", "u1", "f4", ">f8", "c8", "c16"])
def test_each_dtype_reads_the_same(tmp_path: Path, dtype: str) -> None:
    array = measurements.distinct((3, 4, 5), dtype=dtype)
    position = [("Y", "m", np.arange(3.0)), ("X", "m", np.arange(4.0))]
    built = build_main(tmp_path / "a.h5", array, position, [("Bias", "V", np.arange(5.0))])
    seen = open_with_pyusid(built.path, built.main)
    np.testing.assert_array_equal(seen.in_order("Y", "X", "Bias"), array)
    for dim in ("Y", "X", "Bias"):
        np.testing.assert_array_equal(seen.values[dim], built.coords[dim][1])


def test_dims_of_one_step_can_be_left_out(tmp_path: Path) -> None:
    built = measurements.image_file(tmp_path / "a.h5")
    seen = open_with_pyusid(built.path, built.main)
    np.testing.assert_array_equal(seen.in_order("X", "Y"), built.array[..., 0].T)


def test_results_of_old_programs_are_main_datasets(tmp_path: Path) -> None:
    built = measurements.beps_file(tmp_path / "a.h5")
    found = legacy.add_svd(built)
    for add in (legacy.add_cluster, legacy.add_decomposition, legacy.add_sho_fit):
        add(built)
    channel = built.main.rsplit("/", 1)[0]
    assert main_datasets(built.path) == sorted(
        [
            built.main,
            *(f"{channel}/Raw_Data-SVD_000/{name}" for name in "UV"),
            *(f"{channel}/Raw_Data-Cluster_000/{name}" for name in ("Labels", "Mean_Response")),
            *(f"{channel}/Raw_Data-Decomposition_000/{name}" for name in ("Components", "Projection")),
            *(f"{channel}/Raw_Data-SHO_Fit_000/{name}" for name in ("Fit", "Guess")),
        ]
    )
    scores = open_with_pyusid(built.path, f"{channel}/Raw_Data-SVD_000/U")
    np.testing.assert_array_equal(scores.in_order("Y", "X", "Principal Component"), found["U"])


@pytest.mark.parametrize("maker", [measurements.sparse_file, measurements.aborted_file, measurements.relaxation_file])
def test_pyusid_has_no_array_for_what_fills_no_grid(tmp_path: Path, maker: Maker) -> None:
    built = maker(tmp_path / "a.h5")
    with pytest.raises(ValueError, match=r"(?i)dimension|not available"):
        open_with_pyusid(built.path, built.main)


@pytest.mark.parametrize(
    "fault", ["units missing", "Position_Values missing", "main has 3 dimensions", "labels disagree"]
)
def test_broken_files_are_refused(tmp_path: Path, fault: str) -> None:
    built = broken_file(tmp_path / "a.h5", fault)
    assert not accepts(built.path, built.main)


def test_numpy_is_left_as_it_was() -> None:
    before: dict[str, Any] = dict(vars(np))
    with old_numpy():
        assert np.__dict__["product"]([2, 3]) == 6
    assert set(vars(np)) - set(before) <= {"__warningregistry__"}
    assert "product" not in vars(np)
