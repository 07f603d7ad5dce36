"""One side of a main dataset -> dims, coordinates and where each row belongs.

Cells are placed by their indices alone. The order of labels and the rates at which indices change decide nothing but
the order of the dims, which is slowest first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import prod

import numpy as np

from usidx.errors import GridError
from usidx.escapes import escape_controls
from usidx.format.layout import Array, Side
from usidx.format.names import DEFAULT_DIMENSION, DEPENDENT_DIMENSION, INCOMPLETE_DIMENSION

__all__ = ["Coordinate", "Grid", "find_grid", "make_name"]

# Beyond this many dimensions the search for independent ones would take too long; no instrument has so many.
_MOST_DIMENSIONS = 12


@dataclass(frozen=True, slots=True, eq=False)
class Coordinate:
    """Values of one dimension of the file over dims of the grid.

    Attributes
    ----------
    name : str
        Unique within the side; the label, made usable as a name.
    label, units : str
        As found in the file.
    dims : tuple of str
        Over which the values change; empty for a size-1 dimension that is not a dim of the grid.
    values : ndarray
        One axis per dim.
    """

    name: str
    label: str
    units: str
    dims: tuple[str, ...]
    values: Array


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """How the rows (or columns) of a main dataset fill an N-D block.

    Attributes
    ----------
    dims : tuple of str
        Slowest first; dims of size 1 come before the others.
    shape : tuple of int
        Their sizes; the product is the number of rows.
    rows : ndarray of int64 or None
        Row of the file for each cell in C order; None where the rows lie in that order already.
    coordinates : tuple of Coordinate
        One for each dimension of the file.
    is_flat : bool
        True where the rows fill no grid (sparse, spiral, aborted): a single dim counts them.
    """

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    rows: Array | None
    coordinates: tuple[Coordinate, ...]
    is_flat: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Column:
    number: int
    name: str
    codes: Array  # 0 .. size-1, by rank of the index
    size: int


def find_grid(side: Side) -> Grid:
    """Find how one side fills a grid.

    Parameters
    ----------
    side : Side
        Labels, indices and values, in the order of the file.

    Returns
    -------
    Grid
        A complete grid in any order of acquisition becomes N-D. Dimensions that others determine become coordinates
        over them. Rows that fill no grid stay flat, along one dim named after the role.

    Raises
    ------
    GridError
        There is no row, or there are too many dimensions.
    """
    if side.size == 0 or not side.labels:
        raise GridError(
            f"The {side.role} side has {side.size} rows and {len(side.labels)} dimensions; both must be > 0."
        )
    if len(side.labels) > _MOST_DIMENSIONS:
        raise GridError(f"The {side.role} side has {len(side.labels)} dimensions; at most {_MOST_DIMENSIONS} are read.")
    columns = [_make_column(side, number, name) for number, name in enumerate(_make_names_unique(side))]
    chosen = None if side.hints.get("flat") is True else _find_independent(side, columns)
    if chosen is None:
        return _make_flat_grid(side, columns)
    return _make_full_grid(side, columns, _order_slowest_first(side, chosen))


def _make_names_unique(side: Side) -> list[str]:
    names: list[str] = []
    for number, label in enumerate(side.labels):
        name = make_name(label) or f"{side.role}_{number}"
        while name in names:
            name += f"_{number}"
        names.append(name)
    return names


def make_name(label: str) -> str:
    """Return the name of the dim with that label: a slash would be a path in a DataTree."""
    return escape_controls(" ".join(label.split()).replace("/", "_"))


def _make_column(side: Side, number: int, name: str) -> _Column:
    index = np.ascontiguousarray(side.indices[:, number])
    lowest, highest = int(index.min()), int(index.max())
    if highest - lowest < 4 * index.size:  # marking what occurs beats sorting
        index = index if lowest == 0 else index - lowest
        present = np.zeros(highest - lowest + 1, dtype=bool)
        present[index] = True
        size = int(np.count_nonzero(present))
        return _Column(number, name, index if size == present.size else (np.cumsum(present) - 1)[index], size)
    values, codes = np.unique(index, return_inverse=True)
    return _Column(number, name, codes.reshape(-1), int(values.size))


def _is_complete(columns: Sequence[_Column], size: int) -> bool:
    """Whether as many rows as cells hit every cell, and so each once."""
    if prod(c.size for c in columns) != size:
        return False
    is_hit = np.zeros(size, dtype=bool)
    is_hit[_number_cells(columns)] = True
    return bool(is_hit.all())


def _number_cells(columns: Sequence[_Column]) -> Array:
    """Return the C-order cell number of each row; the last column is the fastest."""
    cells = columns[0].codes if columns else np.zeros(1, dtype=np.int64)
    for column in columns[1:]:
        cells = cells * column.size + column.codes
    return cells


def _find_independent(side: Side, columns: Sequence[_Column]) -> list[_Column] | None:
    """Return the dimensions that span a complete grid, None where the rows are flat."""
    active = [c for c in columns if c.size > 1]
    if _is_complete(active, side.size):
        return active
    marked = side.types if len(side.types) == len(columns) else (DEFAULT_DIMENSION,) * len(columns)
    if INCOMPLETE_DIMENSION in marked:
        return None
    unmarked = [c for c in active if marked[c.number] != DEPENDENT_DIMENSION]
    if len(unmarked) < len(active) and _is_complete(unmarked, side.size):
        return unmarked
    spanning = next(_list_spanning_sets(active, side.size), None)
    # Columns that count the rows alike (sparse sampling numbers each place in every dimension) name no dim of a grid.
    if spanning is None or (len(spanning[0]) == 1 and len(spanning) > 1):
        return None
    return spanning[0]


def _list_spanning_sets(active: Sequence[_Column], size: int) -> Iterator[list[list[_Column]]]:
    """Yield, for falling numbers of dimensions, the sets of that many which span a complete grid."""
    for count in range(len(active) - 1, 0, -1):
        found = [list(some) for some in combinations(active, count) if _is_complete(some, size)]
        if found:
            yield found


def _order_slowest_first(side: Side, columns: Sequence[_Column]) -> list[_Column]:
    """Order dims by how often their index changes; where rows follow no nested loop, by the order of the file."""
    changes = {c.name: int(np.count_nonzero(np.diff(c.codes))) for c in columns}
    in_file = _order_slowest_first_in_file(side, columns)
    ordered = sorted(in_file, key=lambda c: changes[c.name])  # stable: ties keep the order of the file
    cells = 1
    for column in ordered:
        cells *= column.size
        if changes[column.name] > cells - 1:  # more often than any nested loop would
            return in_file
    return ordered


def _order_slowest_first_in_file(side: Side, columns: Sequence[_Column]) -> list[_Column]:
    return list(columns) if side.slowest_first else list(reversed(columns))


def _make_full_grid(side: Side, columns: Sequence[_Column], chosen: Sequence[_Column]) -> Grid:
    single = [c for c in _order_slowest_first_in_file(side, columns) if c.size == 1]
    ordered = [*single, *chosen]
    dims, shape = tuple(c.name for c in ordered), tuple(c.size for c in ordered)
    cells = _number_cells(ordered)
    in_order = bool((cells == np.arange(side.size)).all())
    rows = None if in_order else np.argsort(cells, kind="stable")
    coordinates = tuple(_make_coordinate(side, c, dims, shape, rows) for c in columns)
    return Grid(dims, shape, rows, coordinates, is_flat=False)


def _make_coordinate(
    side: Side, column: _Column, dims: tuple[str, ...], shape: tuple[int, ...], rows: Array | None
) -> Coordinate:
    values, codes = side.values[:, column.number], column.codes
    if rows is not None:
        values, codes = values[rows], codes[rows]
    values, codes = values.reshape(shape), codes.reshape(shape)
    hinted = _read_hinted_dims(side, column.name)
    kept = []
    for axis, (dim, size) in enumerate(zip(dims, shape, strict=True)):
        if dim == column.name or dim in hinted or (size > 1 and (_varies(values, axis) or _varies(codes, axis))):
            kept.append(dim)
    picked = tuple(slice(None) if dim in kept else 0 for dim in dims)
    return Coordinate(
        column.name, side.labels[column.number], side.units[column.number], tuple(kept), values[picked].copy()
    )


def _read_hinted_dims(side: Side, name: str) -> Sequence[str]:
    """Return the dims over which an earlier write held the coordinate, were its values equal along them."""
    dims = side.get_hint(name).get("dims")
    return dims if isinstance(dims, list) else ()


def _varies(values: Array, axis: int) -> bool:
    first = np.take(values, [0], axis=axis)
    same = values == first
    if values.dtype.kind == "f":
        same |= np.isnan(values) & np.isnan(first)
    return not bool(same.all())


def _make_flat_grid(side: Side, columns: Sequence[_Column]) -> Grid:
    dim = side.role
    names = _name_flat_coordinates(dim, columns)
    coordinates = []
    for column, name in zip(columns, names, strict=True):
        values = side.values[:, column.number]
        dims = (dim,) if column.size > 1 or _varies(values, 0) else ()
        values = values.copy() if dims else values[0].copy()
        coordinates.append(Coordinate(name, side.labels[column.number], side.units[column.number], dims, values))
    coordinates += _make_index_coordinates(side, columns, names, dim)
    return Grid((dim,), (side.size,), None, tuple(coordinates), is_flat=True)


def _name_flat_coordinates(dim: str, columns: Sequence[_Column]) -> list[str]:
    """Name the coordinates along a flat dim; a label that is the dim's own name gets a number."""
    taken = {dim} | {c.name for c in columns}
    names = []
    for column in columns:
        name = column.name if column.name != dim else f"{dim}_{column.number}"
        while name != column.name and name in taken:
            name += "_"
        names.append(name)
    return names


def _make_index_coordinates(side: Side, columns: Sequence[_Column], names: Sequence[str], dim: str) -> list[Coordinate]:
    """Keep the counters of rows that lie on a grid with holes, where the values do not tell them."""
    active = [(c, name) for c, name in zip(columns, names, strict=True) if c.size > 1]
    if all(c.size == side.size for c, _ in active):
        return []  # sparse convention: the counters number the rows and say nothing more
    ranks = {c.number: np.unique(side.values[:, c.number], return_inverse=True)[1].reshape(-1) for c, _ in active}
    if all((ranks[c.number] == c.codes).all() for c, _ in active):
        return []
    return [
        Coordinate(f"{name}_index", f"{name}_index", "", (dim,), side.indices[:, c.number])
        for c, name in active
        if f"{name}_index" not in names
    ]
