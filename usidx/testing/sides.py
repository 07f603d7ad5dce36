"""What a file holds about one side, its positions or its spectroscopic steps, written by plain loops.

Nothing here calls the format, read, label or write code, so that a test's expected values owe nothing to usidx.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

__all__ = ["Column", "Side", "make_side", "order_of_cells", "write_side"]

Array = npt.NDArray[Any]
DimSpec = tuple[str, str, Any]
DependentSpec = tuple[str, str, Any, Any]
Order = str | Sequence[int] | Array


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the ancillary tables: a dim, or something that dims determine.

    Attributes
    ----------
    name, units : str
        As written to the file, stray white space included.
    index, values : ndarray
        Over the whole grid of the side, slowest dim first.
    along : tuple of str
        The dims that the values depend on.
    """

    name: str
    units: str
    index: Array
    values: Array
    along: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Side:
    """What a file holds about its positions, or about its spectroscopic steps.

    Attributes
    ----------
    role : str
        "position" or "spectroscopic".
    dims, shape : tuple
        The grid, slowest first.
    columns : tuple of Column
        In the order of the file.
    cells : ndarray of int
        The cell of the grid (counted in C order) that each row of the file holds.
    is_complete : bool
        Whether each cell is there exactly once.
    paths : tuple of str
        Where the indices and the values lie in the file; empty until they are written.
    """

    role: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    columns: tuple[Column, ...]
    cells: Array
    is_complete: bool
    paths: tuple[str, ...] = ()


def order_of_cells(order: Order, shape: tuple[int, ...], *, seed: int = 0) -> Array:
    """Return the cells of a grid (numbered in C order) in the order in which they were acquired."""
    if not isinstance(order, str):
        return np.asarray(order, dtype=int)
    count = int(np.prod(shape, dtype=int))
    if order == "raster":
        return np.arange(count)
    if order == "reversed":
        return np.arange(count)[::-1]
    if order == "random":
        return np.random.default_rng(seed).permutation(count)
    return _order_lines(order, count, shape[-1])


def _order_lines(order: str, count: int, length: int) -> Array:
    if order not in {"snake", "right_to_left"}:
        raise ValueError(f"Unknown order {order!r}; use raster, snake, right_to_left, reversed or random.")
    cells: list[int] = []
    for line, start in enumerate(range(0, count, length)):
        forth = list(range(start, start + length))
        cells += forth[::-1] if order == "right_to_left" or line % 2 else forth
    return np.array(cells, dtype=int)


def make_side(
    role: str,
    dims: Sequence[DimSpec] | Side,
    *,
    order: Order = "raster",
    columns: str | Sequence[str] = "fastest_first",
    dependent: Sequence[DependentSpec] = (),
    seed: int = 0,
    rows: int | None = None,
) -> Side:
    """Describe a side from its dims; the arguments are those of `build_main`."""
    if isinstance(dims, Side):
        return dims
    dims = dims or [("arb", "a.u.", [1.0])]
    names = tuple(name for name, _, _ in dims)
    shape = tuple(_count_steps(np.asarray(values), place) for place, (_, _, values) in enumerate(dims))
    found = [_make_dim_column(place, spec, names, shape) for place, spec in enumerate(dims)]
    found += [_make_dependent_column(*spec, names=names, shape=shape) for spec in dependent]
    cells = order_of_cells(order, shape, seed=seed)[:rows]
    is_complete = sorted(cells.tolist()) == list(range(int(np.prod(shape))))
    return Side(role, names, shape, _arrange(found, columns, len(dims)), cells, is_complete)


def _count_steps(values: Array, place: int) -> int:
    return int(values.shape[place] if values.ndim > 1 else values.shape[0])


def _make_dim_column(place: int, spec: DimSpec, names: tuple[str, ...], shape: tuple[int, ...]) -> Column:
    name, units, values = spec[0], spec[1], np.asarray(spec[2])
    lone = tuple(n if place == k else 1 for k, n in enumerate(shape))
    if values.ndim == 1:
        values = values.reshape(lone)
    along = tuple(d for k, d in enumerate(names) if k == place or values.shape[k] > 1)
    index = np.broadcast_to(np.arange(shape[place]).reshape(lone), shape)
    return Column(name, units, index, np.broadcast_to(values, shape), along)


def _make_dependent_column(
    name: str,
    units: str,
    index: npt.ArrayLike,
    values: npt.ArrayLike,
    *,
    names: tuple[str, ...],
    shape: tuple[int, ...],
) -> Column:
    found = np.asarray(values)
    along = tuple(d for d, n in zip(names, found.shape, strict=True) if n > 1)
    return Column(name, units, np.broadcast_to(np.asarray(index), shape), np.broadcast_to(found, shape), along)


def _arrange(found: list[Column], order: str | Sequence[str], n_dims: int) -> tuple[Column, ...]:
    if order == "slowest_first":
        return tuple(found)
    if order == "fastest_first":
        return tuple(found[:n_dims][::-1] + found[n_dims:])
    return tuple(next(c for c in found if c.name == name) for name in order)


def write_side(
    group: h5py.Group,
    side: Side,
    *,
    index_dtype: str = "u4",
    value_dtype: str = "f4",
    label_storage: str = "bytes",
    prefixes: Mapping[str, str] | None = None,
    dim_types: Mapping[str, int] | None = None,
    region_references: bool = False,
) -> Side:
    """Write the two ancillary tables of a side; a side that is written already is left alone.

    Parameters
    ----------
    group : h5py.Group
        Where the tables land.
    side : Side
        What they hold.
    index_dtype, value_dtype : str
        NumPy dtypes of the tables.
    label_storage : {"bytes", "vlen", "scalar"}
        Labels and units as fixed-length bytes, as variable-length strings, or one string (for one column).
    prefixes : mapping, optional
        By role, what the names of the tables begin with instead of ``Position_`` or ``Spectroscopic_``.
    dim_types : mapping, optional
        By name, the entries of the attribute ``type`` (0 default, 1 incomplete, 2 dependent); 0 where not named.
    region_references : bool
        Whether each label is also an attribute that holds a region reference to its column.
    """
    if side.paths:
        return side
    prefix = (prefixes or {}).get(side.role, side.role.capitalize() + "_")
    indices, values = _fill_tables(side, index_dtype, value_dtype)
    paths = []
    for name, table in (("Indices", indices), ("Values", values)):
        dataset = group.create_dataset(prefix + name, data=table if side.role == "position" else table.T)
        dataset.attrs["labels"] = _encode_texts([c.name for c in side.columns], label_storage)
        dataset.attrs["units"] = _encode_texts([c.units for c in side.columns], label_storage)
        if dim_types is not None:
            dataset.attrs["type"] = np.array([dim_types.get(c.name, 0) for c in side.columns])
        if region_references:
            _add_region_references(dataset, side)
        paths.append(dataset.name)
    written = tuple(Column(c.name, c.units, c.index, c.values.astype(value_dtype), c.along) for c in side.columns)
    return Side(side.role, side.dims, side.shape, written, side.cells, side.is_complete, tuple(paths))


def _fill_tables(side: Side, index_dtype: str, value_dtype: str) -> tuple[Array, Array]:
    """Fill the tables row by row: which step of each column a row is at, and its value there."""
    shape = len(side.cells), len(side.columns)
    indices, values = np.zeros(shape, index_dtype), np.zeros(shape, value_dtype)
    for place, column in enumerate(side.columns):
        for row, cell in enumerate(side.cells):
            where = np.unravel_index(cell, side.shape)
            indices[row, place] = column.index[where]
            values[row, place] = column.values[where]
    return indices, values


def _encode_texts(texts: list[str], storage: str) -> Any:
    if storage == "bytes":
        return np.array([text.encode() for text in texts])
    if storage == "vlen":
        return np.array(texts, dtype=h5py.string_dtype())
    if storage != "scalar" or len(texts) != 1:
        raise ValueError(f"Cannot store {texts!r} as {storage!r}; use 'bytes', 'vlen', or 'scalar' for one label.")
    return texts[0]


def _add_region_references(dataset: h5py.Dataset, side: Side) -> None:
    for place, column in enumerate(side.columns):
        region = (slice(None), place) if side.role == "position" else (place, slice(None))
        dataset.attrs[column.name] = dataset.regionref[region]
