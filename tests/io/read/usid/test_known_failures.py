"""What the older reader got wrong, each case answered right; the numbers are those of the list of its failures."""

import pickle
from pathlib import Path

import dask
import h5py
import numpy as np
import pytest
import xarray as xr

import usidx
from tests.kit.agreement import assert_coordinates, assert_opens
from tests.kit.legacy import add_sho_fit, add_svd, results_group
from usidx.errors import GridError, SelectionError
from usidx.testing.files import Expected, build_main
from usidx.testing.measurements import (
    aborted_file,
    beps_file,
    distinct,
    forc_file,
    raster,
    relaxation_file,
    snake_file,
    sparse_file,
)

BIAS = [("Bias", "V", np.linspace(-1, 1, 6))]


@pytest.mark.parametrize("shape", [(5, 4), (2, 4), (4, 2), (2, 2)])
def test_02_and_03_snake_scans_are_unfolded(tmp_path: Path, shape: tuple[int, int]) -> None:
    built = build_main(tmp_path / "a.h5", distinct((*shape, 6)), raster(*shape), BIAS, row_order="snake")
    assert_opens(usidx.open_main(built.path), built)


def test_04_any_order_of_acquisition_is_sorted(tmp_path: Path) -> None:
    built = build_main(tmp_path / "a.h5", distinct((5, 4, 6)), raster(5, 4), BIAS, row_order="random")
    assert_opens(usidx.open_main(built.path), built, ordered=False)


def test_05_right_to_left_is_turned(tmp_path: Path) -> None:
    built = build_main(tmp_path / "a.h5", distinct((5, 4, 6)), raster(5, 4), BIAS, row_order="right_to_left")
    assert_opens(usidx.open_main(built.path), built)


def test_06_positions_are_counted_from_zero_whatever_the_file_counts_from(tmp_path: Path) -> None:
    built = build_main(tmp_path / "a.h5", distinct((3, 4, 6)), raster(), BIAS)
    with h5py.File(built.path, "r+") as file:
        file[built.position.paths[0]][...] += 2
    np.testing.assert_array_equal(usidx.open_main(built.path).isel(X=0), built.array[:, 0])


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("positions", [1, 2])
def test_07_fewer_rows_than_dims_are_not_turned_over(tmp_path: Path, positions: int, steps: int) -> None:
    where = [("Y", "m", [4.0]), ("X", "m", np.arange(positions))]
    swept = [("C", "", [7.0]), ("B", "", [8.0]), ("A", "", np.arange(steps))]
    built = build_main(tmp_path / "a.h5", distinct((1, positions, 1, 1, steps)), where, swept)
    assert_opens(usidx.open_main(built.path), built)
    assert_opens(usidx.open_main(built.path, squeeze=False), built, squeeze=False, ordered=False)


@pytest.mark.parametrize("label", ["arb", "Time"])
def test_08_one_label_on_both_sides_is_told_apart(tmp_path: Path, label: str) -> None:
    built = build_main(tmp_path / "a.h5", distinct((3, 4)), [(label, "s", range(3))], [(label, "s", range(4))])
    array = usidx.open_main(built.path)
    assert array.dims == (label, f"{label}_spectroscopic")
    assert_opens(array, built)


@pytest.mark.parametrize("marks", [None, {"X": 1, "Y": 1}])
def test_09_and_10_sparse_positions_stay_places_marked_or_not(tmp_path: Path, marks: dict[str, int] | None) -> None:
    built = sparse_file(tmp_path / "a.h5", dim_types=marks)
    array = usidx.open_main(built.path)
    assert array.dims == ("position", "Frequency")
    assert_opens(array, built)


def test_11_an_aborted_raster_can_be_padded(tmp_path: Path) -> None:
    built = aborted_file(tmp_path / "a.h5")
    grid = usidx.to_grid(usidx.open_main(built.path))
    assert grid.sizes == {"Y": 5, "X": 7, "Bias": 6}
    assert int(grid.isnull().any("Bias").sum()) == 4


@pytest.mark.parametrize("marks", [None, {"Field": 2}])
def test_11_a_dimension_that_depends_is_a_coordinate_marked_or_not(
    tmp_path: Path, marks: dict[str, int] | None
) -> None:
    built = relaxation_file(tmp_path / "a.h5", dim_types=marks)
    array = usidx.open_main(built.path)
    assert_opens(array, built)
    assert array.Field.dims == ("Repeats",)


def test_12_values_of_every_cycle_are_there(tmp_path: Path) -> None:
    built = forc_file(tmp_path / "a.h5")
    assert float(usidx.open_main(built.path).DC_Offset.max()) == 3
    assert_coordinates(usidx.open_main(built.path), built)


def test_13_equal_neighbours_stay_two_steps(tmp_path: Path) -> None:
    built = build_main(tmp_path / "a.h5", distinct((2, 6)), [("X", "m", [0, 1])], [("Bias", "V", [0, 1, 2, 2, 1, 0])])
    assert_opens(usidx.open_main(built.path), built)


def test_16_complex_stays_complex_until_asked(tmp_path: Path) -> None:
    built = beps_file(tmp_path / "a.h5")
    array = usidx.open_main(built.path)
    assert array.dtype == np.complex64
    assert array.real.dtype == np.float32
    np.testing.assert_array_equal(array.imag, built.array.imag)


def test_17_fields_can_be_chosen_and_reduced(tmp_path: Path) -> None:
    built = beps_file(tmp_path / "a.h5")
    found = add_sho_fit(built)
    with pytest.raises(SelectionError, match="holds 5 fields"):
        usidx.open_main(built.path, "SHO_Fit_000/Fit")
    phase = usidx.open_main(built.path, "SHO_Fit_000/Fit", field="Phase [rad]")
    np.testing.assert_allclose(phase.mean(("Y", "X")), found["Fit"]["Phase [rad]"].mean((0, 1)))
    assert phase.attrs["units"] == "rad"


def test_18_any_index_that_numpy_takes(tmp_path: Path) -> None:
    built = snake_file(tmp_path / "a.h5")
    for chunks in ({"Y": 2}, None):
        array = usidx.open_main(built.path, chunks=chunks)
        np.testing.assert_array_equal(array.isel(Y=[3, 0], X=[2, 1]), built.array[[3, 0]][:, [2, 1]])
        np.testing.assert_array_equal(array.isel(Y=np.uint32(3), X=-1), built.array[3, -1])
        np.testing.assert_array_equal(array.isel(Y=np.int64(-2)), built.array[-2])


def test_21_double_precision_values_are_kept(tmp_path: Path) -> None:
    times = 1.5e9 + 10.0 * np.arange(4)
    swept = [("Time", "s", times)]
    built = build_main(tmp_path / "a.h5", distinct((2, 4)), [("X", "m", [0, 1])], swept, value_dtype="f8")
    array = usidx.open_main(built.path)
    np.testing.assert_array_equal(array.Time, times)
    assert float(array.sel(Time=1500000020)[1]) == built.array[1, 2]


def test_21_values_that_single_precision_made_equal_carry_no_index(tmp_path: Path) -> None:
    swept = [("Time", "s", 1.5e9 + 10.0 * np.arange(4))]
    built = build_main(tmp_path / "a.h5", distinct((2, 4)), [("X", "m", [0, 1])], swept, value_dtype="f4")
    array = usidx.open_main(built.path)
    assert array.dims == ("X", "Time")
    assert "Time" not in array.xindexes
    np.testing.assert_array_equal(array, built.array)


def test_22_a_label_that_is_one_string(tmp_path: Path) -> None:
    built = build_main(tmp_path / "a.h5", distinct((3, 1)), [("X", "m", range(3))], label_storage="scalar")
    assert_opens(usidx.open_main(built.path), built)


def test_23_results_of_a_source_whose_name_begins_alike(tmp_path: Path) -> None:
    built = snake_file(tmp_path / "a.h5")
    found = add_svd(built)
    with h5py.File(built.path, "r+") as file:
        other = build_main(
            file[built.main].parent, 2 * built.array, built.position, built.spectroscopic, name="Raw_Data_2"
        )
        group = results_group(file, other.main, "SVD")
        build_main(group, built.array, built.position, built.spectroscopic, name="U")
    np.testing.assert_array_equal(usidx.open_result(built.path, "Raw_Data-SVD_000").components, found["V"])
    assert "U" in usidx.open_result(built.path, "Raw_Data_2-SVD_000")
    with pytest.raises(SelectionError, match="'SVD_000' is ambiguous"):
        usidx.open_result(built.path, "SVD_000")


def test_24_groups_without_a_number_do_no_harm(tmp_path: Path) -> None:
    built = snake_file(tmp_path / "a.h5")
    add_svd(built)
    with h5py.File(built.path, "r+") as file:
        file[built.main].parent.create_group("Raw_Data-Fit_final")
    assert usidx.list_results(built.path) == ["/Measurement_000/Channel_000/Raw_Data-SVD_000"]
    assert usidx.open_result(built.path, "SVD_000").scores.shape == (5, 4, 2)


def read_whole(built: Expected) -> xr.DataArray:
    return usidx.open_main(built.path, chunks={"Y": 2})


def test_25_arrays_pickle_and_outlive_their_file_handle(tmp_path: Path) -> None:
    built = snake_file(tmp_path / "a.h5")
    assert_opens(pickle.loads(pickle.dumps(read_whole(built))), built)
    with dask.config.set(scheduler="threads"):
        assert_opens(read_whole(built), built)


def test_28_xarray_opens_usid(tmp_path: Path) -> None:
    built = beps_file(tmp_path / "a.h5", region_references=True)
    with xr.open_dataset(built.path, engine="usid") as data:
        assert_coordinates(data.Raw_Data, built)
    with xr.open_datatree(built.path, engine="usid") as tree:
        np.testing.assert_array_equal(tree[built.main].Raw_Data, built.array)


def test_29_values_that_repeat_do_not_pretend_to_label(tmp_path: Path) -> None:
    heights = np.concatenate([np.linspace(0, 1, 20), np.linspace(1, 0, 20)])
    built = build_main(tmp_path / "a.h5", distinct((1, 40)), [("X", "", [1.0])], [("Z", "m", heights)])
    curve = usidx.open_main(built.path)
    assert "Z" not in curve.xindexes
    np.testing.assert_array_equal(curve.where(curve.Z > 0.9, drop=True), built.array[0, built.coords["Z"][1] > 0.9])


def test_places_on_no_grid_are_refused_not_guessed(tmp_path: Path) -> None:
    built = sparse_file(tmp_path / "a.h5")
    with h5py.File(built.path, "r+") as file:
        values = file[built.position.paths[1]]
        values[...] = np.random.default_rng(0).random(values.shape)
    flat = usidx.open_main(built.path)
    grid = usidx.to_grid(flat)  # few places: a rectangle of all their values is still small
    assert grid.sizes == {"X": 8, "Y": 8, "Frequency": 3}
    with h5py.File(built.path, "r+") as file:
        file[built.position.paths[1]][0] = file[built.position.paths[1]][1]
    with pytest.raises(GridError, match="measured more than once"):
        usidx.to_grid(usidx.open_main(built.path))
