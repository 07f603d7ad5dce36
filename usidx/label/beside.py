"""Coordinates that the tables cannot hold -> JSON beside them, and back: texts, dates, complex numbers, second ones.

Other programs take each dimension of a table for a dim of the data, and each value for a real number. So only what
labels a dim goes there, as numbers; what it was, and whatever else there is along the dims, is kept as JSON.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Final

import numpy as np
import xarray as xr

from usidx.errors import LayoutError, UsidError
from usidx.format.grid import make_name
from usidx.format.packing import pack, pack_attribute, unpack, unpack_attributes
from usidx.label.roles import ROLE

__all__ = ["add_beside", "check_names", "number_steps", "pack_beside"]

#: Bytes of all these coordinates of an array: they are read whenever it is opened.
_LARGEST: Final = 16 << 20
# Whole numbers beyond are not told apart by the type that a table has for all its columns.
_EXACT: Final = 2**53


def check_names(array: xr.DataArray) -> None:
    """Refuse names that would come back as others.

    Raises
    ------
    LayoutError
        One has a slash, control characters, or blanks other than single ones between words.
    """
    for name in (*array.dims, *array.coords):
        if isinstance(name, str) and make_name(name) != name:
            raise LayoutError(
                f"{name!r} of {array.name!r} cannot be the name of a dim or coordinate in a file: no slash, no control "
                f"characters, single blanks. Rename it: array.rename({{{name!r}: {make_name(name) or 'other'!r}}})."
            )


def number_steps(coordinate: xr.DataArray) -> xr.DataArray:
    """Return the coordinate of a dim as real numbers: dates as seconds, what is no number as 0, 1, 2, ..."""
    kind = coordinate.dtype.kind
    if kind in "iufb":
        return coordinate
    kept = {k: v for k, v in coordinate.attrs.items() if k == ROLE}
    if kind not in "mM":
        return xr.DataArray(np.arange(coordinate.size), dims=coordinate.dims, name=coordinate.name, attrs=kept)
    counted = coordinate.values.astype(f"{kind}8[ns]").astype(np.int64)
    seconds = np.where(np.isnat(coordinate.values), np.nan, counted / 1e9)
    told = {**kept, "units": "s" if kind == "m" else "seconds since 1970-01-01"}
    return xr.DataArray(seconds, dims=coordinate.dims, name=coordinate.name, attrs=told)


def pack_beside(array: xr.DataArray, held: set[str]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return JSON of the coordinates that are not held as they are, and the names of those that it cannot hold."""
    packed: dict[str, Any] = {}
    left_out: list[str] = []
    room = _LARGEST
    for name, coordinate in array.coords.items():
        if _is_exact(coordinate) and str(name) in held:
            continue
        if coordinate.dtype == object and _is_stacked(array, name):
            continue  # its levels are coordinates of their own
        room -= coordinate.nbytes
        try:
            if room < 0:
                raise UsidError("there is no room for it")
            values = pack(np.asarray(coordinate.values))
        except UsidError:
            left_out.append(str(name))
            continue
        attrs = {str(k): pack_attribute(v, str(k)) for k, v in coordinate.attrs.items()}
        packed[str(name)] = {"dims": [str(d) for d in coordinate.dims], "values": values, "attrs": attrs}
    return packed, tuple(left_out)


def _is_exact(coordinate: xr.DataArray) -> bool:
    """Say whether a table holds the values as they are."""
    if coordinate.dtype.kind not in "iufb":
        return False
    is_whole = coordinate.dtype.kind in "iu" and coordinate.dtype.itemsize == 8 and bool(coordinate.size)
    return not is_whole or bool(coordinate.max() <= _EXACT and coordinate.min() >= -_EXACT)


def _is_stacked(array: xr.DataArray, name: Hashable) -> bool:
    index = array.indexes.get(name)
    return index is not None and index.nlevels > 1


def add_beside(variables: dict[str, xr.Variable], recorded: Any, sizes: Mapping[str, int]) -> None:
    """Give the coordinates of an array what was kept beside the tables, as far as it fits the dims."""
    for name, told in recorded.items() if isinstance(recorded, dict) else ():
        if not isinstance(told, dict) or not isinstance(told.get("dims"), list):
            continue
        values = unpack(told.get("values"))
        values = np.asarray(values) if isinstance(values, np.ndarray | np.generic) else np.empty(0, object)
        dims = [str(d) for d in told["dims"]]
        kept = [d for d in dims if d in sizes]
        wanted = [sizes[d] for d in kept]
        if name in sizes and kept != [name]:
            continue  # of a dim a coordinate of the same name is along it
        if values.ndim != len(dims) or values.size != np.prod(wanted, dtype=np.int64) or values.dtype == object:
            continue
        attrs = told.get("attrs")
        variables[make_name(name)] = xr.Variable(
            kept, values.reshape(wanted), unpack_attributes(attrs if isinstance(attrs, dict) else {})
        )
