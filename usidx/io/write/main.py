"""A labelled array -> a main dataset with its four ancillaries in an open file; data follows block by block."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import h5py
import numpy as np
import xarray as xr

from usidx.errors import ExistsError, LayoutError, UsidWarning
from usidx.format import names
from usidx.format.grid import Grid, grid_of
from usidx.format.layout import Array, Role, Side
from usidx.format.placement import Axes, Placement
from usidx.io.read.usid.main import ancillaries_of, read_layout
from usidx.io.write.attributes import book_keeping, set_attributes, set_json
from usidx.io.write.blocks.storage import CONTIGUOUS, Storage, extent
from usidx.io.write.blocks.target import MainTarget
from usidx.label.encoding import encode, sides_of

__all__ = ["Shelf", "create_main", "free_name", "safe_name", "target_of"]


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    """One side that lies in the file already."""

    role: Role
    grid: Grid
    indices: h5py.Dataset
    values: h5py.Dataset


@dataclass(slots=True, eq=False)
class Shelf:
    """Sides in a file that further mains may refer to instead of writing equal ones."""

    kept: list[_Kept] = field(default_factory=list)
    lock: Any = field(default_factory=Lock)

    def add_main(self, main: h5py.Dataset) -> None:
        """Offer the sides of a main dataset."""
        layout, found = read_layout(main), ancillaries_of(main)
        for side in (layout.position, layout.spectroscopic):
            title = side.role.capitalize()
            self.kept.append(_Kept(side.role, grid_of(side), found[f"{title}_Indices"], found[f"{title}_Values"]))

    def find(self, role: Role, grid: Grid) -> _Kept | None:
        """Return a side of that role that opens as the same dims and coordinates."""
        return next((k for k in self.kept if k.role == role and _equal_grids(k.grid, grid)), None)


def _equal_grids(a: Grid, b: Grid) -> bool:
    """Compare what two sides open as; how the rows are ordered does not matter."""
    # Dims of size 1 come in the order of the file, which says nothing.
    if [d for d in _sizes(a) if d[1] > 1] != [d for d in _sizes(b) if d[1] > 1] or a.is_flat != b.is_flat:
        return False
    ones, others = ({c.name: c for c in g.coordinates} for g in (a, b))
    return set(ones) == set(others) and all(
        c.label.strip() == others[n].label.strip()
        and c.units.strip() == others[n].units.strip()
        and [d for d, s in zip(c.dims, c.values.shape, strict=True) if s > 1]
        == [d for d, s in zip(others[n].dims, others[n].values.shape, strict=True) if s > 1]
        and np.array_equal(np.squeeze(c.values), np.squeeze(others[n].values), equal_nan=True)
        for n, c in ones.items()
    )


def _sizes(grid: Grid) -> list[tuple[str, int]]:
    return list(zip(grid.dims, grid.shape, strict=True))


def create_main(
    group: h5py.Group, array: xr.DataArray, name: str, shelf: Shelf, *, storage: Storage = CONTIGUOUS
) -> tuple[h5py.Dataset, MainTarget]:
    """Create a main dataset without data, linked to ancillaries of its own or to equal ones on the shelf.

    Parameters
    ----------
    group : h5py.Group
        Where it goes.
    array : DataArray
        Dims with roles; a structured dtype becomes a compound dataset.
    name : str
        Of the dataset.
    shelf : Shelf
        Sides that may be shared; new ones are added.
    storage : Storage
        Compression and chunks.

    Returns
    -------
    tuple
        The dataset, and the target to store the array's blocks into.

    Raises
    ------
    ExistsError
        The name is taken.
    RoleError, LayoutError
        The array cannot be laid out as a main dataset.
    """
    _check_type(array)
    encoded = encode(array, name)
    _warn_left_out(encoded.left_out, array)
    if name in group:
        raise ExistsError(
            f"{group.name.rstrip('/')}/{name} exists in {group.file.filename!r}; it is never overwritten."
        )
    layout = encoded.layout
    sides = (extent([array.sizes[d] for d in side], _blocks(array, side)) for side in sides_of(array))
    options = storage.options(layout.shape, layout.dtype, *sides)
    dataset = group.create_dataset(name, shape=layout.shape, dtype=layout.dtype, **options)
    set_attributes(dataset, {names.QUANTITY: layout.quantity, names.UNITS: layout.units, **layout.attributes})
    set_attributes(dataset, book_keeping())
    set_json(dataset, names.MAIN_HINTS, layout.hints)
    rows = _link_side(group, dataset, layout.position, shelf)
    columns = _link_side(group, dataset, layout.spectroscopic, shelf)
    return dataset, MainTarget(dataset, _placement(array, rows, columns), shelf.lock)


def _check_type(array: xr.DataArray) -> None:
    """Refuse what HDF5 has no numbers for."""
    if array.dtype.kind not in "biufcV" or array.dtype.hasobject:
        raise LayoutError(
            f"{array.name!r} holds {array.dtype}; a main dataset holds numbers, or records of numbers. Convert it "
            "first, for example da.astype(float)."
        )


def target_of(dataset: h5py.Dataset, array: xr.DataArray) -> MainTarget:
    """Return the target for an array whose main dataset was created before."""
    layout = read_layout(dataset)
    rows, columns = grid_of(layout.position).rows, grid_of(layout.spectroscopic).rows
    return MainTarget(dataset, _placement(array, rows, columns), Lock())


def _placement(array: xr.DataArray, rows: Array | None, columns: Array | None) -> Placement:
    position, spectroscopic = sides_of(array)
    natural = position + spectroscopic
    return Placement(
        Axes(tuple(array.sizes[d] for d in position), rows),
        Axes(tuple(array.sizes[d] for d in spectroscopic), columns),
        tuple(natural.index(str(d)) for d in array.dims),
    )


def _blocks(array: xr.DataArray, dims: Iterable[str]) -> list[tuple[int, ...]] | None:
    return [array.chunksizes[d] for d in dims] if array.chunks is not None else None


def _warn_left_out(left_out: Iterable[str], array: xr.DataArray) -> None:
    for name in left_out:
        warnings.warn(
            f"Coordinate {name!r} of {array.name!r} is not written: USID keeps numbers along position or along "
            f"spectroscopic dims, and this is {array.coords[name].dtype} over {array.coords[name].dims}.",
            UsidWarning,
            stacklevel=5,
        )


def _link_side(group: h5py.Group, dataset: h5py.Dataset, side: Side, shelf: Shelf) -> Array | None:
    """Refer to the side, written first unless an equal one is on the shelf; return where its rows go."""
    grid = grid_of(side)
    kept = shelf.find(side.role, grid)
    if kept is None:
        kept = _Kept(side.role, grid, *_write_side(group, dataset, side))
        shelf.kept.append(kept)
    title = side.role.capitalize()
    dataset.attrs[f"{title}_Indices"] = kept.indices.ref
    dataset.attrs[f"{title}_Values"] = kept.values.ref
    return kept.grid.rows


def _write_side(group: h5py.Group, dataset: h5py.Dataset, side: Side) -> tuple[h5py.Dataset, h5py.Dataset]:
    title = side.role.capitalize()
    last = str(dataset.name).rsplit("/", 1)[-1]
    is_free = f"{title}_Indices" not in group and f"{title}_Values" not in group
    prefix = title if is_free else free_name(group, f"{last}_{title}", ("_Indices", "_Values"))
    written = []
    for kind, matrix in (("Indices", _counters(side.indices)), ("Values", side.values)):
        made = group.create_dataset(f"{prefix}_{kind}", data=_turned(matrix, side.role))
        made.attrs[names.LABELS] = _texts(side.labels)
        made.attrs[names.UNITS] = _texts(side.units)
        made.attrs[names.DIMENSION_TYPE] = np.array(side.types, dtype=np.uint8)
        set_attributes(made, book_keeping())
        written.append(made)
    set_json(written[1], names.COORDINATE_HINTS, side.hints)
    return written[0], written[1]


def _counters(indices: Array) -> Array:
    """Return indices in the type that the old tools write, where they fit."""
    fits = bool(indices.min() >= 0) and bool(indices.max() <= np.iinfo(np.uint32).max)
    return indices.astype(np.uint32) if fits else indices


def _turned(matrix: Array, role: Role) -> Array:
    return np.ascontiguousarray(matrix if role == "position" else matrix.T)


def _texts(texts: tuple[str, ...]) -> Array:
    """Return strings as the old tools write them: bytes of fixed length, UTF-8."""
    return np.array([t.encode() or b"" for t in texts], dtype=f"S{max(1, *(len(t.encode()) for t in texts))}")


def safe_name(name: str) -> str:
    """Return a name that the naming of results groups can hold: no hyphen, no slash."""
    return name.replace("-", "_").replace("/", "_").strip() or "Data"


def free_name(group: h5py.Group, name: str, endings: tuple[str, ...] = ("",)) -> str:
    """Return the name, or where it is taken with any of the endings, the name and the first free number."""
    candidate, number = name, 0
    while any(f"{candidate}{ending}" in group for ending in endings):
        candidate, number = f"{name}_{number:03d}", number + 1
    return candidate
