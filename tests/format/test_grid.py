"""Rows land on their cells whatever the order of rows, of labels, of columns."""

from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from usidx.errors import GridError
from usidx.format.grid import Coordinate, Grid, find_grid
from usidx.format.layout import Role, Side

Array = npt.NDArray[Any]


def side(indices: npt.ArrayLike, labels: tuple[str, ...], values: npt.ArrayLike | None = None, **more: Any) -> Side:
    counters = np.asarray(indices, dtype=np.int64).reshape(-1, len(labels))
    found = counters.astype("f4") if values is None else np.asarray(values).reshape(counters.shape)
    role: Role = more.pop("role", "position")
    return Side(role, labels, ("m",) * len(labels), counters, found, **more)


def table(*sizes: int) -> list[tuple[int, ...]]:
    """List the counters of nested loops, the last the fastest."""
    return list(product(*(range(n) for n in sizes)))


def cells_of(grid: Grid, given: Side) -> Array:
    """Return the counters of the row that the grid puts in each cell, by the names of the grid's dims."""
    rows = np.arange(given.size) if grid.rows is None else grid.rows
    columns = [[c.name for c in grid.coordinates].index(d) for d in grid.dims]
    counters: Array = given.indices[rows][:, columns]
    return counters.reshape(*grid.shape, len(grid.dims))


def coordinate(grid: Grid, name: str) -> Coordinate:
    return next(c for c in grid.coordinates if c.name == name)


ORDERS = {
    "raster": np.arange(20),
    "reversed": np.arange(20)[::-1],
    "random": np.random.default_rng(1).permutation(20),
    "snake": np.concatenate([np.arange(4 * k, 4 * k + 4)[:: -1 if k % 2 else 1] for k in range(5)]),
    "right to left": np.concatenate([np.arange(4 * k, 4 * k + 4)[::-1] for k in range(5)]),
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("columns", [[0, 1], [1, 0]], ids=["slow first", "fast first"])
@pytest.mark.parametrize("slowest_first", [True, False])
def test_each_cell_holds_its_row(order: str, columns: list[int], slowest_first: bool) -> None:
    counters = np.array(table(5, 4))[ORDERS[order]][:, columns]
    labels = tuple("YX"[c] for c in columns)
    given = side(counters, labels, slowest_first=slowest_first)
    grid = find_grid(given)
    assert sorted(grid.dims) == ["X", "Y"]
    assert not grid.is_flat
    np.testing.assert_array_equal(cells_of(grid, given), np.moveaxis(np.indices(grid.shape), 0, -1))


@pytest.mark.parametrize("order", [k for k in ORDERS if k != "random"])
@pytest.mark.parametrize("labels", [("X", "Y"), ("Y", "X")])
def test_the_slowest_dim_comes_first(order: str, labels: tuple[str, str]) -> None:
    columns = [("Y", "X").index(name) for name in labels]
    given = side(np.array(table(5, 4))[ORDERS[order]][:, columns], labels)
    assert find_grid(given).dims == ("Y", "X")


@pytest.mark.parametrize(("slowest_first", "dims"), [(True, ("A", "B")), (False, ("B", "A"))])
def test_where_rows_tell_no_order_the_writer_does(slowest_first: bool, dims: tuple[str, ...]) -> None:
    given = side(np.array(table(5, 4))[ORDERS["random"]], ("A", "B"), slowest_first=slowest_first)
    assert find_grid(given).dims == dims


def test_a_raster_needs_no_permutation() -> None:
    assert find_grid(side(table(5, 4), ("Y", "X"))).rows is None


def test_counters_may_start_anywhere_and_skip() -> None:
    given = side([(y, x) for y in (2, 3) for x in (5, 10, 12)], ("Y", "X"))
    grid = find_grid(given)
    assert (grid.dims, grid.shape, grid.rows) == (("Y", "X"), (2, 3), None)
    np.testing.assert_array_equal(coordinate(grid, "X").values, [5, 10, 12])


def test_negative_counters_count_too() -> None:
    grid = find_grid(side([[-1], [1], [0]], ("X",)))
    np.testing.assert_array_equal(grid.rows, [0, 2, 1])


def test_equal_sizes_are_not_confused() -> None:
    given = side(np.array(table(3, 3, 3))[:, [1, 2, 0]], ("B", "C", "A"))
    grid = find_grid(given)
    assert grid.dims == ("A", "B", "C")
    np.testing.assert_array_equal(cells_of(grid, given), np.moveaxis(np.indices((3, 3, 3)), 0, -1))


def test_dims_of_one_step_come_first() -> None:
    grid = find_grid(side([(0, x, 0, y) for y in range(2) for x in range(3)], ("A", "X", "B", "Y")))
    assert (grid.dims, grid.shape) == (("B", "A", "Y", "X"), (1, 1, 2, 3))


def test_one_row() -> None:
    grid = find_grid(side([[7, 3]], ("X", "Y"), [[0.5, 0.25]]))
    assert (grid.shape, grid.rows, grid.is_flat) == ((1, 1), None, False)
    assert {c.name: c.values.item() for c in grid.coordinates} == {"X": 0.5, "Y": 0.25}


@pytest.mark.parametrize(
    "counters",
    [
        [(k, k) for k in range(8)],
        table(5, 7)[:31],
        [*table(2, 3), (0, 0)],
        [(0, 0), (0, 0), (1, 1), (1, 1)],
        [(0, 1), (1, 0), (2, 2), (1, 1)],
    ],
    ids=["sparse", "aborted", "repeated", "twice each", "holes"],
)
def test_rows_that_fill_no_grid_stay_flat(counters: list[tuple[int, int]]) -> None:
    given = side(counters, ("Y", "X"), np.random.default_rng(0).random((len(counters), 2)))
    grid = find_grid(given)
    assert grid.is_flat
    assert (grid.dims, grid.shape, grid.rows) == (("position",), (len(counters),), None)
    for column, name in enumerate(given.labels):
        assert coordinate(grid, name).dims == ("position",)
        np.testing.assert_array_equal(coordinate(grid, name).values, given.values[:, column])


def test_flat_steps_lie_along_a_spectroscopic_dim() -> None:
    grid = find_grid(side(table(3, 4)[:-1], ("Cycle", "Bias"), role="spectroscopic"))
    assert grid.dims == ("spectroscopic",)


def test_counters_are_kept_where_values_do_not_tell_them() -> None:
    jitter = np.array(table(2, 3)[:-1]) + np.linspace(0, 0.1, 10).reshape(5, 2)
    grid = find_grid(side(table(2, 3)[:-1], ("Y", "X"), jitter))
    np.testing.assert_array_equal(coordinate(grid, "X_index").values, [0, 1, 2, 0, 1])
    assert {c.name for c in find_grid(side(table(2, 3)[:-1], ("Y", "X"))).coordinates} == {"Y", "X"}


@pytest.mark.parametrize("labels", [("position", "Y"), ("position", "position_0"), ("X", "X_index"), ("X", "X")])
def test_names_of_flat_coordinates_never_clash(labels: tuple[str, str]) -> None:
    jitter = np.array(table(2, 3)[:-1]) + np.linspace(0, 0.1, 10).reshape(5, 2)
    grid = find_grid(side(table(2, 3)[:-1], labels, jitter))
    names = [*grid.dims, *(c.name for c in grid.coordinates)]
    assert len(set(names)) == len(names)
    for column, found in enumerate(grid.coordinates[:2]):
        assert found.label == labels[column]
        np.testing.assert_array_equal(found.values, jitter[:, column])


def test_a_dimension_that_another_determines_becomes_a_coordinate() -> None:
    given = side([(v, r, int(r == 0)) for v in range(7) for r in range(5)], ("Voltage", "Repeats", "Field"))
    grid = find_grid(given)
    assert (grid.dims, grid.shape) == (("Voltage", "Repeats"), (7, 5))
    assert coordinate(grid, "Field").dims == ("Repeats",)
    np.testing.assert_array_equal(coordinate(grid, "Field").values, [1, 0, 0, 0, 0])


def test_a_mark_tells_which_dimension_depends() -> None:
    counters = [(k, k) for k in range(4)]
    grid = find_grid(side(counters, ("Time", "Voltage"), role="spectroscopic", types=(0, 2)))
    assert grid.dims == ("Time",)
    assert coordinate(grid, "Voltage").dims == ("Time",)


def test_a_wrong_mark_does_no_harm() -> None:
    grid = find_grid(side(table(2, 3), ("Y", "X"), types=(0, 2)))
    assert (grid.dims, grid.is_flat) == (("Y", "X"), False)
    grid = find_grid(side(table(2, 3), ("Y", "X"), types=(1, 1)))
    assert (grid.dims, grid.is_flat) == (("Y", "X"), False)


def test_values_that_change_with_another_dim_lie_over_both() -> None:
    values = [(forc, (forc + 1) * bias) for forc in range(3) for bias in range(4)]
    grid = find_grid(side(table(3, 4), ("FORC", "Bias"), values))
    assert coordinate(grid, "FORC").dims == ("FORC",)
    assert coordinate(grid, "Bias").dims == ("FORC", "Bias")
    np.testing.assert_array_equal(coordinate(grid, "Bias").values, np.outer([1, 2, 3], range(4)))


def test_values_may_be_missing() -> None:
    values = [(y, np.nan if x == 1 else x) for y in range(2) for x in range(3)]
    grid = find_grid(side(table(2, 3), ("Y", "X"), values))
    assert coordinate(grid, "X").dims == ("X",)
    np.testing.assert_array_equal(coordinate(grid, "X").values, [0, np.nan, 2])


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (("X", "X"), ["X", "X_1"]),
        (("X", "X_1", "X"), ["X", "X_1", "X_2"]),
        (("a/b", " c  d\n", ""), ["a_b", "c d", "position_2"]),
        (("", ""), ["position_0", "position_1"]),
    ],
)
def test_names_are_unique_and_usable(labels: tuple[str, ...], names: list[str]) -> None:
    given = side(table(*range(2, 2 + len(labels))), labels)
    grid = find_grid(given)
    assert [c.name for c in grid.coordinates] == names
    assert [c.label for c in grid.coordinates] == list(labels)


def test_no_rows() -> None:
    with pytest.raises(GridError, match="The position side has 0 rows and 2 dimensions; both must be > 0"):
        find_grid(side(np.zeros((0, 2)), ("X", "Y")))


def test_too_many_dimensions() -> None:
    labels = tuple(f"D{k}" for k in range(13))
    with pytest.raises(GridError, match="The position side has 13 dimensions; at most 12 are read"):
        find_grid(side(np.zeros((1, 13)), labels))


def test_twelve_dimensions_that_fill_nothing_are_found_out_at_once() -> None:
    counters = np.random.default_rng(0).integers(0, 3, (4096, 12))
    assert find_grid(side(counters, tuple(f"D{k}" for k in range(12)))).is_flat


@pytest.mark.parametrize("huge", [2**32 - 1, 2**62])
def test_huge_counters_take_no_memory(huge: int) -> None:
    grid = find_grid(side([[0], [huge], [1]], ("X",)))
    assert grid.shape == (3,)
    np.testing.assert_array_equal(grid.rows, [0, 2, 1])
