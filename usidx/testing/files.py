"""N-D arrays to USID files by plain h5py, so that a test's expected values owe nothing to usidx.

Nothing here calls the format, read, label or write code. A file is made from an N-D array whose dims are listed
slowest first; the loops that fill the ancillary tables are written out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np
import numpy.typing as npt

from usidx.testing.sides import Column, DependentSpec, DimSpec, Order, Side, make_side, write_side

__all__ = ["Expected", "build_main", "build_sparse", "link", "open_group"]

Array = npt.NDArray[Any]
Target: TypeAlias = str | Path | h5py.Group

CHANNEL = "Measurement_000/Channel_000"


@dataclass(frozen=True, slots=True)
class Expected:
    """What a reader must find in a file that was built.

    Attributes
    ----------
    path : Path
        The file.
    main : str
        HDF5 path of the main dataset, with a leading slash.
    array : ndarray
        The N-D array, dims as in `dims`; dims of one step are kept.
    dims : tuple of str
        Slowest first, position dims first. A side that is not a complete grid is one dim, named after its role.
    coords : dict of str to (tuple of str, ndarray)
        Dims and values of each coordinate, as the file holds them.
    units : dict of str to str
        Unit of each coordinate, without stray white space.
    quantity, unit : str
        Of the main dataset.
    position, spectroscopic : Side
        What was written, for further mains that share it.
    """

    path: Path
    main: str
    array: Array
    dims: tuple[str, ...]
    coords: dict[str, tuple[tuple[str, ...], Array]]
    units: dict[str, str]
    quantity: str
    unit: str
    position: Side = field(repr=False)
    spectroscopic: Side = field(repr=False)

    @property
    def squeezed(self) -> tuple[tuple[str, ...], Array]:
        """Dims and array without the dims of one step."""
        kept = tuple(d for d, n in zip(self.dims, self.array.shape, strict=True) if n != 1)
        return kept, self.array.reshape(tuple(n for n in self.array.shape if n != 1))


def build_main(
    target: Target,
    array: npt.ArrayLike,
    position: Sequence[DimSpec] | Side,
    spectroscopic: Sequence[DimSpec] | Side = (),
    *,
    name: str = "Raw_Data",
    quantity: str = "Current",
    units: str = "nA",
    row_order: Order = "raster",
    step_order: Order = "raster",
    rows: int | None = None,
    position_columns: str | Sequence[str] = "fastest_first",
    spectroscopic_columns: str | Sequence[str] = "fastest_first",
    position_dependent: Sequence[DependentSpec] = (),
    spectroscopic_dependent: Sequence[DependentSpec] = (),
    seed: int = 0,
    storage: Mapping[str, Any] | None = None,
    **tables: Any,
) -> Expected:
    """Write an N-D array as a USID main dataset with its four ancillary datasets.

    Parameters
    ----------
    target : str, Path or h5py.Group
        A file, which is made or added to (the main lands in its first channel), or a group of an open file.
    array : array-like
        Dims (*position, *spectroscopic), slowest first; any dtype that HDF5 holds, either byte order.
    position, spectroscopic : sequence of (name, units, values), or Side
        The dims. Values with one number per step make an ordinary dim; values that have as many dims as the side
        (of size 1 where they do not vary) make a dim whose values depend on others. No dim at all is written as
        the old tools did: one step called "arb". A Side of another main in the same file is shared with it.
    name, quantity, units : str
        Of the main dataset.
    row_order, step_order : str or sequence of int
        The order in which the rows (columns) of the main were acquired: "raster", "snake" (every other line
        backwards), "right_to_left" (every line backwards), "reversed" (last cell first), "random", or the cells
        by number in C order. Cells may be left out or repeated.
    rows : int, optional
        Only the first so many rows exist, as after an aborted scan; they must not fill a smaller grid.
    position_columns, spectroscopic_columns : str or sequence of str
        Order of the columns in the ancillaries: "fastest_first", "slowest_first", or names.
    position_dependent, spectroscopic_dependent : sequence of (name, units, indices, values)
        Extra columns which dims determine; indices and values have as many dims as the side.
    seed : int
        For the order "random".
    storage : mapping, optional
        Passed to h5py for the main: chunks, compression, shuffle, fletcher32, maxshape...
    **tables
        How the ancillaries are stored, see `write_side`.

    Returns
    -------
    Expected
        What a reader must find.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> path = tempfile.mkdtemp() + "/scan.h5"
    >>> built = build_main(path, np.arange(6.0).reshape(2, 3, 1), [("Y", "m", [0, 1]), ("X", "m", [0, 1, 2])])
    >>> built.dims, built.array.shape
    (('Y', 'X', 'arb'), (2, 3, 1))
    """
    here = make_side(
        "position",
        position,
        order=row_order,
        columns=position_columns,
        dependent=position_dependent,
        seed=seed,
        rows=rows,
    )
    swept = make_side(
        "spectroscopic",
        spectroscopic,
        order=step_order,
        columns=spectroscopic_columns,
        dependent=spectroscopic_dependent,
        seed=seed,
    )
    values = np.asarray(array).reshape(here.shape + swept.shape)
    with open_group(target) as group:
        here, swept = write_side(group, here, **tables), write_side(group, swept, **tables)
        matrix = _lay_out_matrix(values, here, swept)
        main = group.create_dataset(name, data=matrix, **(storage or {}))
        link(main, here, swept, quantity=quantity, units=units)
        return _make_expected(main, values, here, swept)


def build_sparse(
    target: Target,
    array: npt.ArrayLike,
    position: Sequence[DimSpec],
    spectroscopic: Sequence[DimSpec] = (),
    **options: Any,
) -> Expected:
    """Write positions that lie on no grid, by the convention for sparse sampling.

    Each index column counts 0, 1, 2, ... alike; where the positions are is told by the values only.

    Parameters
    ----------
    target, spectroscopic, **options
        As for `build_main`.
    array : array-like
        Dims (position, *spectroscopic).
    position : sequence of (name, units, values)
        One value per position in each.

    Returns
    -------
    Expected
        With the dim "position" and the places as coordinates over it.
    """
    count = len(np.asarray(array))
    columns = tuple(
        Column(name, units, np.arange(count), np.asarray(values), ("position",)) for name, units, values in position
    )
    side = Side("position", ("position",), (count,), columns, np.arange(count), is_complete=False)
    return build_main(target, array, side, spectroscopic, **options)


def _lay_out_matrix(array: Array, position: Side, spectroscopic: Side) -> Array:
    """Lay the array out as the rows and columns of the file, one spectrum at a time."""
    matrix = np.empty((len(position.cells), len(spectroscopic.cells)), dtype=array.dtype)
    for row, cell in enumerate(position.cells):
        spectrum = array[np.unravel_index(cell, position.shape)].ravel()
        matrix[row] = spectrum[spectroscopic.cells]
    return matrix


def link(main: h5py.Dataset, position: Side, spectroscopic: Side, *, quantity: str, units: str) -> None:
    """Put the attributes on a dataset that make it a main dataset."""
    main.attrs["quantity"] = quantity
    main.attrs["units"] = units
    for side in (position, spectroscopic):
        for path, what in zip(side.paths, ("Indices", "Values"), strict=True):
            main.attrs[f"{side.role.capitalize()}_{what}"] = main.file[path].ref


def _make_expected(main: h5py.Dataset, array: Array, position: Side, spectroscopic: Side) -> Expected:
    dims: list[str] = []
    coords: dict[str, tuple[tuple[str, ...], Array]] = {}
    units: dict[str, str] = {}
    taken = {column.name for column in position.columns}
    for side in (position, spectroscopic):
        renamed = {c.name: c.name + "_spectroscopic" for c in spectroscopic.columns if c.name in taken}
        renamed = renamed if side is spectroscopic else {}
        dims += [renamed.get(d, d) for d in side.dims] if side.is_complete else [side.role]
        for column in side.columns:
            along, values = _make_coordinate(column, side)
            name = renamed.get(column.name, column.name)
            coords[name] = tuple(renamed.get(d, d) for d in along), values
            units[name] = " ".join(column.units.split())
    shown = _arrange_partial(array, position, spectroscopic)
    quantity, unit = main.attrs["quantity"], main.attrs["units"]
    path = Path(main.file.filename)
    return Expected(path, main.name, shown, tuple(dims), coords, units, quantity, unit, position, spectroscopic)


def _make_coordinate(column: Column, side: Side) -> tuple[tuple[str, ...], Array]:
    if not side.is_complete:
        return (side.role,), column.values.ravel()[side.cells]
    where = tuple(slice(None) if d in column.along else 0 for d in side.dims)
    return column.along, np.asarray(column.values[where])


def _arrange_partial(array: Array, position: Side, spectroscopic: Side) -> Array:
    """Return the array as it can be shown: rows in the order of the file where they fill no grid."""
    rows = array if position.is_complete else array.reshape(-1, *spectroscopic.shape)[position.cells]
    if spectroscopic.is_complete:
        return rows
    kept = rows.shape[: rows.ndim - len(spectroscopic.shape)]
    return rows.reshape(*kept, -1)[..., spectroscopic.cells]


@contextmanager
def open_group(target: Target) -> Iterator[h5py.Group]:
    """Give the group to write in: the one given, or the first channel of a file that is closed afterwards."""
    if isinstance(target, h5py.Group):
        yield target
        return
    with h5py.File(target, "a") as file:
        yield file.require_group(CHANNEL)
