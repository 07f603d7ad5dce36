"""The builder against what h5py reads back, cell by cell."""

from itertools import product
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest

from usidx.testing.files import Expected, build_main, build_sparse
from usidx.testing.sides import DimSpec, Order, order_of_cells

POSITION = [("Y", "m", [0.0, 1.0, 2.0]), ("X", "m", [5.0, 6.0])]
SPECTROSCOPIC = [("Cycle", "", [0.0, 1.0]), ("Bias", "V", [-1.0, 0.0, 1.0, 2.0])]
ARRAY = np.arange(48.0).reshape(3, 2, 2, 4)


def tables(file: h5py.File, built: Expected, what: str) -> list[list[dict[str, float]]]:
    """Read the ancillaries: for each side, for each row (column), a number by label."""
    main = file[built.main]
    found = []
    for side in ("Position", "Spectroscopic"):
        dataset = file[main.attrs[f"{side}_{what}"]]
        table = dataset[()] if side == "Position" else dataset[()].T
        labels = np.atleast_1d(dataset.attrs["labels"]).tolist()
        labels = [label.decode() if isinstance(label, bytes) else label for label in labels]
        found.append([dict(zip(labels, row.tolist(), strict=True)) for row in table])
    return found


def coordinate(built: Expected, name: str) -> tuple[tuple[str, ...], list[float]]:
    dims, values = built.coords[name]
    return dims, values.tolist()


def check_every_cell(built: Expected) -> None:
    """Check that the indices of each row and column lead to the cell of the array that is stored there."""
    with h5py.File(built.path) as file:
        matrix = file[built.main][()]
        rows, columns = tables(file, built, "Indices")
        values = tables(file, built, "Values")
    assert matrix.shape == (len(rows), len(columns))
    for (r, row), (c, column) in product(enumerate(rows), enumerate(columns)):
        cell = tuple(int((row | column)[dim]) for dim in built.dims)
        assert matrix[r, c] == built.array[cell]
    for side, stored in ((rows, values[0]), (columns, values[1])):
        for indices, found in zip(side, stored, strict=True):
            for name, value in found.items():
                dims, coord = built.coords[name]
                assert coord[tuple(int(indices[d]) for d in dims)] == value


@pytest.mark.parametrize("row_order", ["raster", "snake", "right_to_left", "reversed", "random", [5, 0, 3, 1, 2, 4]])
@pytest.mark.parametrize("columns", ["fastest_first", "slowest_first"])
def test_each_cell_is_where_its_indices_say(tmp_path: Path, row_order: Order, columns: str) -> None:
    built = build_main(
        tmp_path / "a.h5", ARRAY, POSITION, SPECTROSCOPIC, row_order=row_order, position_columns=columns, seed=1
    )
    assert built.dims == ("Y", "X", "Cycle", "Bias")
    check_every_cell(built)


@pytest.mark.parametrize("step_order", ["reversed", "random"])
def test_columns_of_the_main_can_be_in_any_order(tmp_path: Path, step_order: str) -> None:
    built = build_main(tmp_path / "a.h5", ARRAY, POSITION, SPECTROSCOPIC, step_order=step_order)
    check_every_cell(built)
    with h5py.File(built.path) as file:
        assert file[built.main][0].tolist() != ARRAY[0, 0].ravel().tolist()


@pytest.mark.parametrize("index_dtype", ["u2", "u4", "f8", "i4"])
@pytest.mark.parametrize("value_dtype", ["f4", "f8"])
@pytest.mark.parametrize("label_storage", ["bytes", "vlen"])
def test_tables_are_stored_as_asked(tmp_path: Path, index_dtype: str, value_dtype: str, label_storage: str) -> None:
    options: dict[str, Any] = {"index_dtype": index_dtype, "value_dtype": value_dtype, "label_storage": label_storage}
    built = build_main(tmp_path / "a.h5", ARRAY, POSITION, SPECTROSCOPIC, **options)
    check_every_cell(built)
    with h5py.File(built.path) as file:
        assert file[built.position.paths[0]].dtype == index_dtype
        assert file[built.position.paths[1]].dtype == value_dtype
        assert (file[built.position.paths[0]].attrs["labels"].dtype.kind == "S") == (label_storage == "bytes")
    assert built.coords["X"][1].dtype == value_dtype


def test_first_column_is_the_fastest_unless_told_otherwise(tmp_path: Path) -> None:
    built = build_main(tmp_path / "a.h5", ARRAY, POSITION, SPECTROSCOPIC)
    with h5py.File(built.path) as file:
        assert file[built.position.paths[0]][:3].tolist() == [[0, 0], [1, 0], [0, 1]]
        assert file[built.spectroscopic.paths[0]].attrs["labels"].tolist() == [b"Bias", b"Cycle"]


def test_one_label_can_be_a_single_string(tmp_path: Path) -> None:
    built = build_main(tmp_path / "a.h5", np.arange(3.0), [("X", "m", [0, 1, 2])], label_storage="scalar")
    with h5py.File(built.path) as file:
        assert file[built.position.paths[0]].attrs["labels"] == "X"


def test_two_labels_cannot_be_a_single_string(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Cannot store \\['X', 'Y'\\] as 'scalar'"):
        build_main(tmp_path / "a.h5", ARRAY, POSITION, SPECTROSCOPIC, label_storage="scalar")


def test_unknown_order_is_refused() -> None:
    with pytest.raises(ValueError, match="Unknown order 'spiral'"):
        order_of_cells("spiral", (2, 3))


@pytest.mark.parametrize(
    ("order", "cells"),
    [
        ("raster", [0, 1, 2, 3, 4, 5]),
        ("snake", [0, 1, 2, 5, 4, 3]),
        ("right_to_left", [2, 1, 0, 5, 4, 3]),
        ("reversed", [5, 4, 3, 2, 1, 0]),
        ([3, 1], [3, 1]),
    ],
)
def test_order_of_cells(order: Order, cells: list[int]) -> None:
    assert order_of_cells(order, (2, 3)).tolist() == cells


def test_rows_that_were_never_acquired_leave_one_position_dim(tmp_path: Path) -> None:
    built = build_main(tmp_path / "a.h5", ARRAY, POSITION, SPECTROSCOPIC, rows=5)
    assert built.dims == ("position", "Cycle", "Bias")
    assert built.array.tolist() == ARRAY.reshape(6, 2, 4)[:5].tolist()
    assert coordinate(built, "X") == (("position",), [5, 6, 5, 6, 5])
    with h5py.File(built.path) as file:
        assert file[built.main].shape == (5, 8)


def test_sparse_positions_count_alike_in_each_index_column(tmp_path: Path) -> None:
    places = [("X", "m", [3.0, 1.0, 2.0]), ("Y", "m", [0.0, 7.0, 7.0])]
    built = build_sparse(tmp_path / "a.h5", ARRAY[:, 0], places, SPECTROSCOPIC)
    assert built.dims == ("position", "Cycle", "Bias")
    assert built.coords["Y"][1].tolist() == [0, 7, 7]
    with h5py.File(built.path) as file:
        assert file[built.position.paths[0]][()].tolist() == [[0, 0], [1, 1], [2, 2]]
        assert file[built.position.paths[1]][()].tolist() == [[3, 0], [1, 7], [2, 7]]
        assert file[built.main][()].tolist() == ARRAY[:, 0].reshape(3, 8).tolist()


@pytest.mark.parametrize(
    "dtype", ["i2", ">i4", "u1", "f4", ">f8", "c8", "c16", "?", [("Amplitude [V]", "f4"), ("Phase [rad]", "f8")]]
)
def test_any_dtype(tmp_path: Path, dtype: npt.DTypeLike) -> None:
    array = np.zeros((3, 2), dtype=dtype)
    array.flat[1] = 1
    built = build_main(tmp_path / "a.h5", array, POSITION)
    with h5py.File(built.path) as file:
        stored = file[built.main]
        assert stored.dtype == np.dtype(dtype)
        assert stored[:, 0].tolist() == array.ravel().tolist()


def test_storage_options_reach_the_main(tmp_path: Path) -> None:
    storage = {"chunks": (2, 4), "compression": "gzip", "shuffle": True, "fletcher32": True, "maxshape": (None, 8)}
    built = build_main(tmp_path / "a.h5", ARRAY, POSITION, SPECTROSCOPIC, storage=storage)
    with h5py.File(built.path) as file:
        main = file[built.main]
        assert (main.chunks, main.compression, main.shuffle, main.fletcher32) == ((2, 4), "gzip", True, True)
        assert main.maxshape == (None, 8)
    check_every_cell(built)


def test_units_are_written_as_given_and_expected_stripped(tmp_path: Path) -> None:
    built = build_main(tmp_path / "a.h5", np.arange(2.0), [("X", " m\n", [0, 1])])
    with h5py.File(built.path) as file:
        assert file[built.position.paths[1]].attrs["units"].tolist() == [b" m\n"]
    assert built.units["X"] == "m"


def test_same_label_twice_and_dims_of_one_step(tmp_path: Path) -> None:
    built = build_main(tmp_path / "a.h5", np.ones((1, 1)), [("arb", "", [2.0])], [("arb", "", [3.0])])
    assert built.dims == ("arb", "arb_spectroscopic")
    assert built.squeezed[0] == ()
    assert built.squeezed[1] == 1
    assert coordinate(built, "arb_spectroscopic") == (("arb_spectroscopic",), [3.0])


def test_values_and_columns_that_depend_on_other_dims(tmp_path: Path) -> None:
    bias = np.array([[1.0, 2.0], [10.0, 20.0], [100.0, 200.0]])
    swept: list[DimSpec] = [("FORC", "", [0, 1, 2]), ("Bias", "V", bias)]
    pulse = np.array([[0], [1], [1]])
    built = build_main(
        tmp_path / "a.h5",
        np.arange(36.0).reshape(3, 2, 3, 2),
        POSITION,
        swept,
        spectroscopic_dependent=[("Pulse", "V", pulse, 4 * pulse)],
    )
    assert built.coords["Bias"][0] == ("FORC", "Bias")
    assert built.coords["Bias"][1].tolist() == bias.tolist()
    assert coordinate(built, "Pulse") == (("FORC",), [0, 4, 4])
    check_every_cell(built)
    with h5py.File(built.path) as file:
        assert file[built.spectroscopic.paths[0]][2].tolist() == [0, 0, 1, 1, 1, 1]


def test_marks_on_the_ancillaries(tmp_path: Path) -> None:
    options: dict[str, Any] = {"dim_types": {"X": 1}, "region_references": True, "prefixes": {"position": "Own_"}}
    built = build_main(tmp_path / "a.h5", ARRAY, POSITION, SPECTROSCOPIC, **options)
    with h5py.File(built.path) as file:
        indices = file["Measurement_000/Channel_000/Own_Indices"]
        assert indices.attrs["type"].tolist() == [1, 0]
        assert indices[indices.attrs["Y"]].ravel().tolist() == [0, 0, 1, 1, 2, 2]


def test_a_second_main_shares_the_sides_of_the_first(tmp_path: Path) -> None:
    first = build_main(tmp_path / "a.h5", ARRAY, POSITION, SPECTROSCOPIC, row_order="snake")
    second = build_main(tmp_path / "a.h5", ARRAY + 50, first.position, first.spectroscopic, name="Other")
    check_every_cell(second)
    assert second.position.paths == first.position.paths
