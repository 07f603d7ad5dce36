"""Curves over a bias -> the bias, once it is clear that it is one."""

from __future__ import annotations

from typing import Final

import numpy as np
import xarray as xr

from usidx.errors import RoleError, UnitsError, UsidError
from usidx.label.roles import choose_dims

__all__ = ["read_bias"]

_CALLED: Final = ("bias",)


def read_bias(data: xr.DataArray, dim: str | None) -> xr.DataArray:
    """Return the bias of real curves, the coordinate of one dim.

    Raises
    ------
    RoleError
        It is not clear along which dim the bias runs, or the bias changes from place to place.
    UnitsError
        The bias has no numbers, or some of them are not finite.
    UsidError
        The data is not real.
    """
    (swept,) = choose_dims(data, dim, 1, called=_CALLED)
    if swept not in data.coords or data.coords[swept].dtype.kind not in "iuf":
        raise UnitsError(f"Dim {swept!r} has no coordinate of numbers; assign the bias to it.")
    bias: xr.DataArray = data.coords[swept]
    if bias.dims != (swept,):
        raise RoleError(f"The bias {swept!r} has the dims {bias.dims}; it should be the same for all curves.")
    if not np.isfinite(bias.values).all():
        raise UnitsError(f"Coordinate {swept!r}: {int((~np.isfinite(bias.values)).sum())} values are not finite.")
    if data.dtype.kind not in "iuf":
        raise UsidError(f"Array {data.name!r} is of dtype {data.dtype}; a curve over the bias should be real.")
    return bias
