"""Laws of cells: each has one address, and the order in which a file lists them changes nothing."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import usidx
from tests.kit.agreement import assert_opens
from usidx.format.grid import find_grid
from usidx.format.layout import Side
from usidx.testing.files import Expected, build_main, build_sparse
from usidx.testing.strategies import acquisition_orders

Array = npt.NDArray[Any]
NAMES = ("A", "B", "C")
sizes = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)


def dims(shape: tuple[int, ...], prefix: str) -> list[tuple[str, str, Array]]:
    return [(prefix + n, "m", 1.5 * np.arange(k) - 1) for n, k in zip(NAMES, shape, strict=False)]


@st.composite
def files(draw: st.DrawFn) -> dict[str, Any]:
    """Draw everything that a complete grid can vary in."""
    position, spectroscopic = draw(sizes), draw(sizes)
    return {
        "array": np.random.default_rng(0).permutation(int(np.prod(position + spectroscopic))).astype("f4"),
        "position": dims(position, "p"),
        "spectroscopic": dims(spectroscopic, "s"),
        "row_order": draw(acquisition_orders(int(np.prod(position)))),
        "step_order": draw(acquisition_orders(int(np.prod(spectroscopic)))),
        "position_columns": draw(st.permutations([n for n, _, _ in dims(position, "p")])),
        "spectroscopic_columns": draw(st.permutations([n for n, _, _ in dims(spectroscopic, "s")])),
        "index_dtype": draw(st.sampled_from(["u1", "u4", "f8"])),
        "label_storage": draw(st.sampled_from(["bytes", "vlen"])),
        "storage": {"chunks": draw(st.sampled_from([None, True]))},
    }


@settings(max_examples=15)
@given(described=files())
def test_any_complete_grid_opens_as_it_was_measured(described: dict[str, Any]) -> None:
    with TemporaryDirectory() as folder:
        built = build_main(Path(folder) / "scan.h5", **described)
        assert_opens(usidx.open_main(built.path), built, ordered=False)
        assert_opens(usidx.open_main(built.path, squeeze=False, chunks=None), built, squeeze=False, ordered=False)


@settings(max_examples=15)
@given(described=files(), data=st.data())
def test_shuffled_rows_change_nothing(described: dict[str, Any], data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        built = build_main(Path(folder) / "scan.h5", **described)
        before = usidx.open_main(built.path).compute()
        shuffle(built, data)
        after = usidx.open_main(built.path).compute()
        assert set(after.dims) == set(before.dims)
        after = after.transpose(*before.dims)
        np.testing.assert_array_equal(after, before)
        for name, coordinate in before.coords.items():
            moved = after.coords[name].transpose(*coordinate.dims)
            xr.testing.assert_equal(moved.variable, coordinate.variable)
            assert moved.attrs == coordinate.attrs


def shuffle(built: Expected, data: st.DataObject) -> None:
    """Shuffle rows and columns of the file, its four tables along with them."""
    with h5py.File(built.path, "r+") as file:
        main = file[built.main]
        rows = data.draw(st.permutations(range(main.shape[0])))
        columns = data.draw(st.permutations(range(main.shape[1])))
        main[...] = main[()][rows][:, columns]
        for path in built.position.paths:
            file[path][...] = file[path][()][rows]
        for path in built.spectroscopic.paths:
            file[path][...] = file[path][()][:, columns]


@given(shape=sizes, data=st.data())
def test_addresses_are_one_to_one(shape: tuple[int, ...], data: st.DataObject) -> None:
    counters = np.moveaxis(np.indices(shape), 0, -1).reshape(-1, len(shape))
    order = data.draw(acquisition_orders(len(counters)))
    columns = data.draw(st.permutations(range(len(shape))))
    found = counters[order][:, columns]
    side = Side("position", tuple(NAMES[c] for c in columns), ("m",) * len(shape), found, 0.5 * found)
    grid = find_grid(side)
    rows = np.arange(len(counters)) if grid.rows is None else grid.rows
    assert sorted(rows.tolist()) == list(range(len(counters)))
    for coordinate in grid.coordinates:
        along = tuple(n if d in coordinate.dims else 1 for d, n in zip(grid.dims, grid.shape, strict=True))
        spread = np.broadcast_to(coordinate.values.reshape(along), grid.shape).reshape(-1)
        column = side.labels.index(coordinate.label)
        np.testing.assert_array_equal(side.values[rows, column], spread)


@given(
    counters=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(-1, 2)), min_size=1, max_size=14),
    types=st.sampled_from([(), (0, 0, 2), (1, 1, 0), (2, 2, 2), (7, -1, 3)]),
)
@settings(max_examples=200)
def test_any_counters_keep_every_row(counters: list[tuple[int, int, int]], types: tuple[int, ...]) -> None:
    """Whatever the counters say, each row has one cell, and that cell has the row's values."""
    indices = np.array(counters)
    values = np.random.default_rng(0).random(indices.shape)
    grid = find_grid(Side("position", NAMES, ("", "", ""), indices, values, types=types))
    assert int(np.prod(grid.shape)) == len(counters)
    rows = np.arange(len(counters)) if grid.rows is None else grid.rows
    assert sorted(rows.tolist()) == list(range(len(counters)))
    for column, coordinate in enumerate(grid.coordinates[:3]):
        along = tuple(n if d in coordinate.dims else 1 for d, n in zip(grid.dims, grid.shape, strict=True))
        spread = np.broadcast_to(coordinate.values.reshape(along), grid.shape).reshape(-1)
        np.testing.assert_array_equal(values[rows, column], spread)


@settings(max_examples=15)
@given(size=st.integers(2, 12), kept=st.data(), chunk=st.integers(1, 5))
def test_holes_come_back_from_the_grid(size: int, kept: st.DataObject, chunk: int) -> None:
    cells = kept.draw(st.lists(st.integers(0, 11), min_size=size, max_size=size, unique=True))
    where = [("X", "m", [c % 4 for c in cells]), ("Y", "m", [c // 4 for c in cells])]
    with TemporaryDirectory() as folder:
        built = build_sparse(Path(folder) / "scan.h5", np.arange(1.0, size + 1)[:, None], where)
        flat = usidx.open_main(built.path, chunks=chunk)
        if flat.dims != ("position",):
            return
        try:
            grid = usidx.to_grid(flat)
        except usidx.errors.GridError:
            assert len({(x, y) for x, y in zip(where[0][2], where[1][2], strict=True)}) == size
            raise
        measured = grid.stack(cell=grid.dims).isel(cell=grid.measured.values.ravel())
        assert sorted(measured.values.tolist()) == list(range(1, size + 1))
        for cell, value in zip(cells, range(1, size + 1), strict=True):
            here = {n: v for n, v in (("X", cell % 4), ("Y", cell // 4)) if n in grid.dims}
            assert float(grid.sel(here)) == value
