"""A labelled array -> a main dataset with its four ancillaries in an open file; data follows block by block."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from threading import Lock

import h5py
import numpy as np
import xarray as xr

from usidx.errors import ExistsError, LayoutError, UsidError, UsidWarning
from usidx.format import names
from usidx.format.grid import find_grid
from usidx.format.layout import Array, Role, Side
from usidx.format.placement import Axes, Placement
from usidx.io.read.usid.main import read_layout
from usidx.io.write.attributes import make_book_keeping, set_attributes, set_json
from usidx.io.write.blocks.storage import CONTIGUOUS, Storage, measure_extent
from usidx.io.write.blocks.target import MainTarget
from usidx.io.write.shelf import Kept, Shelf
from usidx.label.encoding import divide_dims, find_layout

__all__ = ["create_main", "find_free_name", "make_safe_name", "make_target"]


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
    layout, left_out = find_layout(array, name)
    _warn_left_out(left_out, array)
    _warn_of_stacked(array)
    if name in group:
        raise ExistsError(
            f"{group.name.rstrip('/')}/{name} exists in {group.file.filename!r}; it is never overwritten."
        )
    sides = (measure_extent([array.sizes[d] for d in side], _list_blocks(array, side)) for side in divide_dims(array))
    options = storage.make_options(layout.shape, layout.dtype, *sides)
    dataset = group.create_dataset(name, shape=layout.shape, dtype=layout.dtype, **options)
    own = {name: value for name, value in layout.attributes.items() if name not in names.TAKEN}
    set_attributes(dataset, {**make_book_keeping(), names.QUANTITY: layout.quantity, names.UNITS: layout.units, **own})
    set_json(dataset, names.MAIN_HINTS, layout.hints)
    rows = _link_side(group, dataset, layout.position, shelf)
    columns = _link_side(group, dataset, layout.spectroscopic, shelf)
    return dataset, MainTarget(dataset, _make_placement(array, rows, columns), shelf.lock)


def _check_type(array: xr.DataArray) -> None:
    """Refuse what HDF5 has no numbers for."""
    if array.dtype.kind not in "biufcV" or array.dtype.hasobject:
        raise LayoutError(
            f"{array.name!r} holds {array.dtype}; a main dataset holds numbers, or records of numbers. Convert it "
            "first, for example da.astype(float)."
        )


def make_target(dataset: h5py.Dataset, array: xr.DataArray) -> MainTarget:
    """Return the target for an array whose main dataset was created before."""
    layout = read_layout(dataset)
    rows, columns = find_grid(layout.position).rows, find_grid(layout.spectroscopic).rows
    return MainTarget(dataset, _make_placement(array, rows, columns), Lock())


def _make_placement(array: xr.DataArray, rows: Array | None, columns: Array | None) -> Placement:
    position, spectroscopic = divide_dims(array)
    natural = position + spectroscopic
    return Placement(
        Axes(tuple(array.sizes[d] for d in position), rows),
        Axes(tuple(array.sizes[d] for d in spectroscopic), columns),
        tuple(natural.index(str(d)) for d in array.dims),
    )


def _list_blocks(array: xr.DataArray, dims: Iterable[str]) -> list[tuple[int, ...]] | None:
    return [array.chunksizes[d] for d in dims] if array.chunks is not None else None


def _warn_left_out(left_out: Iterable[str], array: xr.DataArray) -> None:
    for name in left_out:
        warnings.warn(
            f"Coordinate {name!r} of {array.name!r} is not written: it holds {array.coords[name].dtype} over "
            f"{array.coords[name].dims}, and only numbers, texts and dates of up to 16 MB are kept. Make it an array "
            "of its own, or drop it.",
            UsidWarning,
            stacklevel=5,
        )


def _warn_of_stacked(array: xr.DataArray) -> None:
    """Say that places of several coordinates open without the index over them."""
    for name, index in array.indexes.items():
        levels = [str(level) for level in index.names]
        if name in array.dims and len(levels) > 1:
            warnings.warn(
                f"The stacked dim {name!r} of {array.name!r} is written with its coordinates {levels} along it, and "
                f"opens without an index over them; array.set_index({name}={levels}) makes it again.",
                UsidWarning,
                stacklevel=5,
            )


def _link_side(group: h5py.Group, dataset: h5py.Dataset, side: Side, shelf: Shelf) -> Array | None:
    """Refer to the side, written first unless an equal one is on the shelf; return where its rows go."""
    grid = find_grid(side)
    kept = shelf.find(side, grid)
    if kept is None:
        kept = Kept(side, grid, *_write_side(group, dataset, side))
        shelf.add(kept)
    dataset.attrs[names.name_ancillary(side.role, names.INDICES)] = kept.indices.ref
    dataset.attrs[names.name_ancillary(side.role, names.VALUES)] = kept.values.ref
    return kept.grid.rows


def _write_side(group: h5py.Group, dataset: h5py.Dataset, side: Side) -> tuple[h5py.Dataset, h5py.Dataset]:
    last = str(dataset.name).rsplit("/", 1)[-1]
    endings = (f"_{names.INDICES}", f"_{names.VALUES}")
    prefix = side.role.capitalize()
    if any(f"{prefix}{ending}" in group for ending in endings):
        prefix = find_free_name(group, f"{last}_{prefix}", endings)
    written = []
    for kind, matrix in ((names.INDICES, _convert_counters(side.indices)), (names.VALUES, side.values)):
        made = group.create_dataset(f"{prefix}_{kind}", data=_turn_matrix(matrix, side.role))
        made.attrs[names.LABELS] = _encode_texts(side.labels)
        made.attrs[names.UNITS] = _encode_texts(side.units)
        made.attrs[names.DIMENSION_TYPE] = np.array(side.types, dtype=np.uint8)
        set_attributes(made, make_book_keeping())
        written.append(made)
    set_json(written[1], names.COORDINATE_HINTS, side.hints)
    return written[0], written[1]


def _convert_counters(indices: Array) -> Array:
    """Return indices in the type that the old tools write, where they fit."""
    fits = bool(indices.min() >= 0) and bool(indices.max() <= np.iinfo(np.uint32).max)
    return indices.astype(np.uint32) if fits else indices


def _turn_matrix(matrix: Array, role: Role) -> Array:
    return np.ascontiguousarray(matrix if role == "position" else matrix.T)


def _encode_texts(texts: tuple[str, ...]) -> Array:
    """Return strings as the old tools write them: bytes of fixed length, UTF-8."""
    return np.array([t.encode() or b"" for t in texts], dtype=f"S{max(1, *(len(t.encode()) for t in texts))}")


def make_safe_name(name: str) -> str:
    """Return a name that the naming of results groups can hold: no hyphen, no slash, not only dots."""
    try:
        name.encode()
    except UnicodeEncodeError as err:
        raise UsidError(f"The name {name!r} is no UTF-8 text, and HDF5 holds no other; give name=...") from err
    safe = name.replace("-", "_").replace("/", "_").replace("\0", "_").strip()
    return safe if safe.strip(".") else "Data"  # HDF5 takes a dot for the group itself


def find_free_name(group: h5py.Group, name: str, endings: tuple[str, ...] = ("",)) -> str:
    """Return the name, or where it is taken with any of the endings, the name and a free number after those taken."""

    def is_taken(candidate: str) -> bool:
        return any(f"{candidate}{ending}" in group for ending in endings)

    if not is_taken(name):
        return name
    # Doubling and halving asks a few times, where counting up would ask for each that is there.
    taken, free = -1, 0
    while is_taken(f"{name}_{free:03d}"):
        taken, free = free, 2 * free + 1
    while free - taken > 1:
        middle = (taken + free) // 2
        taken, free = (middle, free) if is_taken(f"{name}_{middle:03d}") else (taken, middle)
    return f"{name}_{free:03d}"
