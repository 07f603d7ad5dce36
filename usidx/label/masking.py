"""Labelled array and a mask -> the array with NaN where cells are left out."""

from __future__ import annotations

import xarray as xr

from usidx.errors import RoleError

__all__ = ["apply_mask"]


def apply_mask(data: xr.DataArray, mask: xr.DataArray | None) -> xr.DataArray:
    """Return the array with NaN where the mask is true; integers become floats."""
    if mask is None:
        return data
    strange = not isinstance(mask, xr.DataArray) or not set(mask.dims) <= set(data.dims) or mask.dtype != bool
    if strange:
        found = f"{mask.dtype} over {mask.dims}" if isinstance(mask, xr.DataArray) else f"a {type(mask).__name__}"
        raise RoleError(
            f"A mask is a DataArray of bool, true where cells are left out, over dims among {data.dims}; "
            f"this one is {found}."
        )
    for dim in map(str, mask.dims):
        _check_cells(data, mask, dim)
    return data.where(~mask)


def _check_cells(data: xr.DataArray, mask: xr.DataArray, dim: str) -> None:
    """Refuse a mask of other cells: xarray would leave out those that are not in both, and say nothing."""
    same = mask.sizes[dim] == data.sizes[dim]
    if same and dim in mask.indexes and dim in data.indexes:
        same = mask.indexes[dim].equals(data.indexes[dim])
    if not same:
        raise RoleError(
            f"The mask has other cells along {dim!r} than array {data.name!r}: {mask.sizes[dim]} and "
            f"{data.sizes[dim]}, or with other coordinates. Make it like the array first, for example with "
            f"mask.reindex_like(data, fill_value=True)."
        )
