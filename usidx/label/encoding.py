"""A labelled array -> Layout and two-dimensional data; the inverse of decode."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import xarray as xr

from usidx.errors import LayoutError, RoleError
from usidx.format.grid import make_name
from usidx.format.layout import Array, Layout, Role, Side
from usidx.format.names import (
    BOOK_KEEPING,
    DEFAULT_DIMENSION,
    DEPENDENT_DIMENSION,
    INCOMPLETE_DIMENSION,
    PLACEHOLDER,
    PLACEHOLDER_UNITS,
    RAW_DATA,
    TAKEN,
)
from usidx.format.packing import pack_attribute
from usidx.format.shielded import unshield
from usidx.label.beside import check_names, number_steps, pack_beside
from usidx.label.coding import LABEL
from usidx.label.roles import POSITION, ROLE, SPECTROSCOPIC, find_role, position_dims
from usidx.label.units import clean

__all__ = ["Encoded", "divide_dims", "encode", "find_layout"]

# What the four ancillaries and the quantity hold already.
_OWN_ATTRIBUTES = frozenset({"units", "long_name"})


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """A labelled array as USID lays it out.

    Attributes
    ----------
    layout : Layout
        Everything but the data.
    data : ndarray or dask array, shape (positions, steps)
        As lazy as the array was.
    left_out : tuple of str
        Coordinates that USID cannot hold.
    """

    layout: Layout
    data: Any
    left_out: tuple[str, ...]


def encode(array: xr.DataArray, name: str | None = None) -> Encoded:
    """Lay a labelled array out as a main dataset.

    Nothing is computed but coordinates.

    Parameters
    ----------
    array : DataArray
        Dims with roles. Where some dims have roles, those without count as spectroscopic if there are position dims,
        else as position (``component`` of scores and of components).
    name : str, optional
        Of the main dataset; the array's own by default.

    Raises
    ------
    RoleError
        No dim or scalar coordinate has a role.
    LayoutError
        A dim is empty, or a name is none that a file can give back.
    """
    layout, left_out = find_layout(array, name)
    natural = array.transpose(*(d for side in divide_dims(array) for d in side))
    return Encoded(layout, natural.data.reshape(layout.shape), left_out)


def find_layout(array: xr.DataArray, name: str | None = None) -> tuple[Layout, tuple[str, ...]]:
    """Return what `encode` finds without touching the data: the layout, and the coordinates that USID cannot hold."""
    position, spectroscopic = divide_dims(array)
    check_names(array)
    empty = [d for d in array.dims if array.sizes[d] == 0]
    if empty:
        raise LayoutError(f"Dim {empty[0]!r} of {array.name!r} has size 0; a main dataset has at least one cell.")
    layout = Layout(
        name=str(name or array.name or RAW_DATA),
        quantity=_find_text(array.attrs, "long_name", str(array.name or "unknown")),
        units=_find_text(array.attrs, "units", ""),
        shape=(prod(array.sizes[d] for d in position), prod(array.sizes[d] for d in spectroscopic)),
        dtype=array.dtype,
        position=_encode_side(array, "position", position),
        spectroscopic=_encode_side(array, "spectroscopic", spectroscopic),
        attributes={_find_name(k): v for k, v in array.attrs.items() if k not in _OWN_ATTRIBUTES},
        hints=_make_main_hints(array, position + spectroscopic),
    )
    held = {
        *_list_side_coordinates(array, POSITION, position),
        *_list_side_coordinates(array, SPECTROSCOPIC, spectroscopic),
    }
    beside, left_out = pack_beside(array, held)
    return replace(layout, hints={**layout.hints, **({"beside": beside} if beside else {})}), left_out


def _find_name(name: Hashable) -> str:
    return unshield(name) if isinstance(name, str) else str(name)


def _find_text(attrs: Mapping[Any, Any], name: str, default: str) -> str:
    value = attrs.get(name, default)
    if isinstance(value, str):
        return unshield(value)
    return default if value is None else str(value)


def divide_dims(array: xr.DataArray) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Divide all dims of an array between rows and columns of a main dataset.

    Raises
    ------
    RoleError
        No dim or scalar coordinate has a role.
    """
    roles = {str(d): find_role(array, d) for d in array.dims}
    if not any(roles.values()) and not any(ROLE in c.attrs for c in array.coords.values()):
        raise RoleError(
            f"Array {array.name!r} with dims {array.dims} has no position or spectroscopic dims. "
            f"Mark them with da.usid.set_roles(position=[...], spectroscopic=[...])."
        )
    default = SPECTROSCOPIC if position_dims(array) else POSITION
    filled = {d: role or default for d, role in roles.items()}
    return tuple(d for d, r in filled.items() if r == POSITION), tuple(d for d, r in filled.items() if r != POSITION)


def _encode_side(array: xr.DataArray, role: Role, dims: tuple[str, ...]) -> Side:
    """Build index and value matrices: one column per coordinate of the side, the fastest dim first."""
    found = _list_side_coordinates(array, role, dims)
    if not found:
        return _make_placeholder_side(role)
    sizes = tuple(array.sizes[d] for d in dims)
    is_flat = _is_flat(found, dims, role)
    counters = {n for n in found if is_flat and (n == role or n.removesuffix("_index") in set(found) - {n})}
    kept = {n: c for n, c in found.items() if n not in counters}
    titles = {n: _make_title(c) for n, c in found.items()}
    columns = [
        _make_flat_column(c, _find_counters(array, n, found), sizes) if is_flat else _make_column(n, c, dims, sizes)
        for n, c in kept.items()
    ]
    return Side(
        role=role,
        labels=tuple(titles[n] for n in kept),
        units=tuple(_find_text(c.attrs, "units", "") for c in kept.values()),
        indices=np.stack([index for index, _ in columns], axis=1),
        values=np.stack([values for _, values in columns], axis=1),
        types=tuple(_choose_type(n, c, dims, is_flat=is_flat) for n, c in kept.items()),
        hints=_make_side_hints(found, titles, sizes, dims, is_flat=is_flat),
    )


def _make_title(coordinate: xr.DataArray) -> str:
    """Return the label as it was found in a file, as long as the name still comes from it."""
    name, label = str(coordinate.name), coordinate.attrs.get(LABEL)
    if not isinstance(label, str) or not name.startswith(make_name(label)):
        return name
    return unshield(label)


def _make_side_hints(
    found: Mapping[str, xr.DataArray],
    titles: Mapping[str, str],
    sizes: tuple[int, ...],
    dims: tuple[str, ...],
    *,
    is_flat: bool,
) -> dict[str, Any]:
    """Record what the matrices cannot hold; coordinates by the name that the grid will give them."""
    names = {n: make_name(t) for n, t in titles.items()}
    hints: dict[str, Any] = {"coordinates": {names[n]: _make_hint(c, names) for n, c in found.items()}}
    if is_flat:
        hints["flat"] = True
    if 1 in sizes:
        hints["kept"] = [names[d] for d, n in zip(dims, sizes, strict=True) if n == 1]
    return hints


def _list_side_coordinates(array: xr.DataArray, role: str, dims: tuple[str, ...]) -> dict[str, xr.DataArray]:
    """Return what becomes a dimension of one side: its dims, fastest first, then what hangs on them, then scalars."""
    found = {d: _find_dim_coordinate(array, d, dims) for d in reversed(dims)}
    for name, coordinate in array.coords.items():
        # Programs take each dimension of a table for a dim; of flat rows they are the places.
        is_place = ROLE not in coordinate.attrs and bool(coordinate.dims) and dims == (role,)
        is_own = coordinate.attrs.get(ROLE) == role or is_place
        if str(name) not in found and is_own and set(coordinate.dims) <= set(dims) and coordinate.dtype.kind in "iufb":
            found[str(name)] = coordinate
    return found


def _find_dim_coordinate(array: xr.DataArray, dim: str, dims: tuple[str, ...]) -> xr.DataArray:
    coordinate = (
        number_steps(array.coords[dim])
        if dim in array.coords
        else xr.DataArray(np.arange(array.sizes[dim]), dims=dim, name=dim)
    )
    if not set(coordinate.dims) <= set(dims):
        raise LayoutError(
            f"Coordinate {dim!r} of {array.name!r} varies over {coordinate.dims}, both position and spectroscopic "
            f"dims; a main dataset keeps the two apart."
        )
    return coordinate


def _is_flat(coordinates: Mapping[str, xr.DataArray], dims: tuple[str, ...], role: Role) -> bool:
    """Say whether the side is one dim that only counts places, with their coordinates along it."""
    if dims != (role,) or len(coordinates) < 2:
        return False
    counter = coordinates[role]
    others = [c for n, c in coordinates.items() if n != role and c.dims]
    return bool(others) and bool((counter.values == np.arange(counter.size)).all()) and "units" not in counter.attrs


def _find_counters(array: xr.DataArray, name: str, found: Mapping[str, xr.DataArray]) -> Array | None:
    """Return the counters of a coordinate of flat rows: those beside it, or of stacked dims their own steps."""
    if f"{name}_index" in found:
        return found[f"{name}_index"].values.astype(np.int64)
    is_stacked = name in array.indexes and array.indexes[name].nlevels > 1
    return np.unique(array[name].values, return_inverse=True)[1].reshape(-1) if is_stacked else None


def _make_flat_column(coordinate: xr.DataArray, index: Array | None, sizes: tuple[int, ...]) -> tuple[Array, Array]:
    """Return index and value for each place; without counters of its own a coordinate numbers the places."""
    if not coordinate.dims:
        return np.zeros(sizes, dtype=np.int64), np.broadcast_to(coordinate.values, sizes)
    return np.arange(sizes[0]) if index is None else index, coordinate.values


def _make_column(
    name: str, coordinate: xr.DataArray, dims: tuple[str, ...], sizes: tuple[int, ...]
) -> tuple[Array, Array]:
    """Return index and value of one coordinate for each row in C order."""
    over = coordinate.transpose(*(d for d in dims if d in coordinate.dims))
    values = np.broadcast_to(
        over.values.reshape([sizes[i] if d in over.dims else 1 for i, d in enumerate(dims)]), sizes
    )
    counted = [d for d in dims if (d == name if name in dims else d in over.dims)]
    shape = [sizes[i] if d in counted else 1 for i, d in enumerate(dims)]
    index = np.broadcast_to(np.arange(prod(shape)).reshape(shape), sizes)
    return index.reshape(-1), values.reshape(-1)


def _choose_type(name: str, coordinate: xr.DataArray, dims: tuple[str, ...], *, is_flat: bool) -> int:
    if is_flat:
        return INCOMPLETE_DIMENSION if coordinate.dims else DEFAULT_DIMENSION
    return DEPENDENT_DIMENSION if coordinate.dims and name not in dims else DEFAULT_DIMENSION


def _make_hint(coordinate: xr.DataArray, names: Mapping[str, str]) -> dict[str, Any]:
    attrs = {str(k): pack_attribute(v, str(k)) for k, v in coordinate.attrs.items() if k not in (ROLE, LABEL)}
    return {"dims": [names[str(d)] for d in coordinate.dims], "dtype": coordinate.dtype.str, "attrs": attrs}


def _make_placeholder_side(role: Role) -> Side:
    return Side(
        role=role,
        labels=(PLACEHOLDER,),
        units=(PLACEHOLDER_UNITS,),
        indices=np.zeros((1, 1), dtype=np.int64),
        values=np.zeros((1, 1)),
        types=(DEFAULT_DIMENSION,),
        hints={"placeholder": True, "coordinates": {}},
    )


def _make_main_hints(array: xr.DataArray, natural: Sequence[str]) -> dict[str, Any]:
    hints: dict[str, Any] = {}
    if tuple(array.dims) != tuple(natural) or 1 in array.shape:  # dims of one step have no place among the others
        hints["dims"] = [str(d) for d in array.dims]
    absent = sorted(_OWN_ATTRIBUTES - set(array.attrs))
    reserved = {k: pack_attribute(v, k) for k, v in array.attrs.items() if not _is_kept(k, v)}
    own = sorted(BOOK_KEEPING & set(array.attrs))
    found = {"absent": absent, "attributes": reserved, "own": own}
    return hints | {name: told for name, told in found.items() if told}


def _is_kept(name: Hashable, value: Any) -> bool:
    """Say whether an attribute comes back from where the format has a place for it, or has a place of its own."""
    if name in _OWN_ATTRIBUTES:
        return isinstance(value, str) and value == (clean(value) if name == "units" else value.strip())
    return name not in TAKEN
