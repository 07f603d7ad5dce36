"""Labelled array of any dims -> a matrix of rows and columns, and back to labels.

The rows of a dask array stand in the order of its blocks, not of its dims: so no block is cut or joined, whatever the
chunks are. The way back undoes it, and nothing between needs the order.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import ResultError, RoleError
from usidx.label.naming import refuse_taken
from usidx.label.roles import Dims, split
from usidx.learn.matrix.sample import RowNumbers
from usidx.tasks.graph import reshape_blocks

__all__ = [
    "Matrix",
    "check_max_iter",
    "check_n",
    "check_seed",
    "choose_working_dtype",
    "count_cells",
    "number_rows",
    "refuse_dim",
    "to_matrix",
]

#: Blocks that have to be cut anew, because columns were cut, are made this large.
_BLOCK_BYTES = 2**25


@dataclass(frozen=True, slots=True)
class Matrix:
    """A labelled array as rows x columns.

    Attributes
    ----------
    values : ndarray or dask array, shape (rows, columns)
        Columns in the order of their dims, and whole in each block.
    labelled : DataArray, dims (*rows, *columns)
        Where the coordinates come from.
    """

    values: Any
    labelled: xr.DataArray
    rows: tuple[str, ...]
    columns: tuple[str, ...]

    @property
    def is_lazy(self) -> bool:
        """Say whether the values are still to be computed."""
        return isinstance(self.values, da.Array)

    def unfold(self, found: Any) -> xr.DataArray:
        """Label an array of the shape of the values with the dims (*rows, *columns)."""
        labelled = self.labelled
        if isinstance(found, da.Array):
            return labelled.copy(data=reshape_blocks(found, _list_chunks(labelled, (*self.rows, *self.columns))))
        return labelled.copy(data=found.reshape(labelled.shape))

    def label_rows(self, found: Any, dim: str | None = None) -> xr.DataArray:
        """Label an array (rows, width) with the dims of the rows and a new last dim; without one, width is 1."""
        width = found.shape[1]
        shape = (*(self.labelled.sizes[d] for d in self.rows), width)
        if isinstance(found, da.Array):
            found = reshape_blocks(found, (*_list_chunks(self.labelled, self.rows), (width,)))
        else:
            found = found.reshape(shape)
        coords = _keep_coords(self.labelled, self.rows)
        if dim is None:
            return xr.DataArray(found[..., 0], coords=coords, dims=self.rows)
        return _number(xr.DataArray(found, coords=coords, dims=(*self.rows, dim)), dim)

    def label_cells(self, found: Any, dims: tuple[str, ...], dim: str | None = None) -> xr.DataArray:
        """Label an array (width, cells), cells in order of `dims`, with a new first dim; without one, width is 1."""
        found = found.reshape((found.shape[0], *(self.labelled.sizes[d] for d in dims)))
        coords = _keep_coords(self.labelled, dims)
        if dim is None:
            return xr.DataArray(found[0], coords=coords, dims=dims)
        return _number(xr.DataArray(found, coords=coords, dims=(dim, *dims)), dim)


def to_matrix(data: xr.DataArray, dim: Dims | None = None, *, turned: bool = False) -> Matrix:
    """Lay an array out as samples x features.

    Parameters
    ----------
    data : DataArray
        Any dims; stays lazy where it is.
    dim : str or iterable of str, optional
        The features; by default the dims with the role spectroscopic.
    turned : bool, optional
        Lay it out as features x samples instead.

    Returns
    -------
    Matrix
        Its columns are whole in each block; a block is a block of `data` wherever that holds already. Half precision
        becomes single, and more than double becomes double.

    Raises
    ------
    RoleError
        A dim is not there, the array has no spectroscopic dim, or it is empty.
    """
    samples, features = split(data, dim)
    rows, columns = (features, samples) if turned else (samples, features)
    labelled = _convert(data).transpose(*rows, *columns)
    if not data.size:
        raise RoleError(f"Array {data.name!r} with sizes {dict(data.sizes)} is empty: there is nothing to learn from.")
    if labelled.chunks is None:
        return Matrix(_flatten(labelled, rows, columns), labelled, rows, columns)
    # A matrix product needs whole rows in each block; how many rows does not matter.
    labelled = _join_columns(labelled, columns)
    heights = tuple(int(np.prod(sizes, dtype=np.int64)) for sizes in product(*_list_chunks(labelled, rows)))
    flat = reshape_blocks(labelled.data, (heights, _measure_flat(labelled, rows, columns)[1:]))
    return Matrix(flat, labelled, rows, columns)


def choose_working_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype of results: single and double stay, integers become double, all in native byte order."""
    if dtype.kind == "c":
        return np.dtype(np.complex64 if dtype.itemsize <= 8 else np.complex128)
    return np.dtype(np.float32 if dtype.kind == "f" and dtype.itemsize <= 4 else np.float64)


def _convert(data: xr.DataArray) -> xr.DataArray:
    """Return the array in numbers that can be summed without loss, and that libraries of linear algebra know."""
    dtype = choose_working_dtype(data.dtype)
    known = data.dtype.kind in "biu" or data.dtype.newbyteorder("=") == dtype
    return data if known else data.astype(dtype)


def number_rows(matrix: Matrix) -> RowNumbers:
    """Return the place of each row in the order of the dims: the same for any chunks."""
    if matrix.is_lazy and matrix.rows:
        return RowNumbers(tuple(map(tuple, _list_chunks(matrix.labelled, matrix.rows))))
    return RowNumbers(((len(matrix.values),),))


def refuse_dim(data: xr.DataArray, dim: str, *variables: str) -> None:
    """Refuse an array that already has the dim, or a dim or coordinate called as a variable, that the result adds."""
    refuse_taken(data, dim, *variables)


def check_n(n: Any, most: int, of_what: str, things: str = "components", or_else: str = "") -> None:
    """Refuse a number of components, or of other things, that cannot be."""
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or not 1 <= n <= most:
        raise ResultError(
            f"n={n!r} {things} of an array with {of_what}: n is a whole number from 1 to {most}{or_else}."
        )


def check_max_iter(max_iter: int) -> None:
    """Refuse a number of iterations that is none."""
    if isinstance(max_iter, bool) or not isinstance(max_iter, int | np.integer) or max_iter < 1:
        raise ResultError(f"max_iter={max_iter!r}: expected a whole number of iterations, at least one.")


def check_seed(random_state: int) -> int:
    """Return a seed as an ordinary number; refuse what is none, or would give other results the next time."""
    whole = isinstance(random_state, int | np.integer) and not isinstance(random_state, bool)
    if not whole or not 0 <= random_state < 2**32:
        raise ResultError(f"random_state={random_state!r}: a seed is a whole number from 0 to {2**32 - 1}.")
    return int(random_state)


def count_cells(data: xr.DataArray, dims: tuple[str, ...]) -> int:
    """Return how many cells the dims span."""
    return prod(data.sizes[d] for d in dims)


def _measure_flat(labelled: xr.DataArray, rows: tuple[str, ...], columns: tuple[str, ...]) -> tuple[int, int]:
    return count_cells(labelled, rows), count_cells(labelled, columns)


def _flatten(labelled: xr.DataArray, rows: tuple[str, ...], columns: tuple[str, ...]) -> npt.NDArray[Any]:
    height, width = _measure_flat(labelled, rows, columns)
    values = labelled.transpose(*columns, *rows).values
    if values.flags.c_contiguous:
        # Images stacked along a spectrum: the turned view spares a copy of everything.
        return values.reshape(width, height).T
    return labelled.values.reshape(height, width)


def _join_columns(labelled: xr.DataArray, columns: tuple[str, ...]) -> xr.DataArray:
    if all(len(c) == 1 for c in _list_chunks(labelled, columns)):
        return labelled
    # Columns in one piece; rows as many as make a block of a handy size.
    wanted = {i: -1 if d in columns else "auto" for i, d in enumerate(labelled.dims)}
    return labelled.copy(data=labelled.data.rechunk(wanted, block_size_limit=_BLOCK_BYTES))


def _list_chunks(labelled: xr.DataArray, dims: tuple[str, ...]) -> tuple[tuple[int, ...], ...]:
    """Return the chunks of the values alone: coordinates over several dims may be cut in another way."""
    return tuple(labelled.variable.chunksizes[d] for d in dims)


def _keep_coords(labelled: xr.DataArray, dims: tuple[str, ...]) -> xr.Coordinates:
    """Return the coordinates that lie over the dims alone, with their indexes as they are."""
    gone: list[Hashable] = [name for name, c in labelled.coords.items() if not set(c.dims) <= set(dims)]
    kept = labelled.coords.to_dataset().drop_vars(gone)
    return kept.coords


def _number(labelled: xr.DataArray, dim: str) -> xr.DataArray:
    return labelled.assign_coords({dim: np.arange(labelled.sizes[dim])})
