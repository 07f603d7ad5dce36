"""Array and names that a result adds -> refused where the array has them already."""

from __future__ import annotations

import xarray as xr

from usidx.errors import ResultError

__all__ = ["refuse_taken"]


def refuse_taken(data: xr.DataArray, *names: str) -> None:
    """Refuse an array that has a dim or coordinate called as something that the result adds.

    Raises
    ------
    ResultError
        It says which, and how to rename it.
    """
    for name in names:
        if name in data.dims or name in data.coords:
            raise ResultError(
                f"Array {data.name!r} already has a dim or coordinate {name!r}, which the result adds. "
                f"Rename it first: data.rename({{{name!r}: ...}})."
            )
