"""Array and dims -> the two dims of its images, with the axes along them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import SelectionError, UsidError
from usidx.label.roles import POSITION, Dims, choose_dims
from usidx.signal.axis import Axis, read_axis, read_steps

__all__ = ["choose_image_dims", "read_axes", "read_mask", "read_pair", "read_places"]

Array = npt.NDArray[Any]


def choose_image_dims(data: xr.DataArray, dims: Dims | None) -> tuple[str, str]:
    """Return the two dims of an image; by default those of the positions, in the order of the array.

    Raises
    ------
    RoleError
        One is not there, they are not two, or it is not clear which are meant.
    SelectionError
        There is nothing along one of them.
    """
    first, second = choose_dims(data, dims, 2, role=POSITION)
    for dim in (first, second):
        if not data.sizes[dim]:
            raise SelectionError(f"Dim {dim!r} of {data.name!r} is empty.")
    return first, second


def read_axes(data: xr.DataArray, dims: Sequence[str]) -> tuple[Axis, Axis]:
    """Return the even axes along the two dims of an image.

    Raises
    ------
    UnitsError
        The steps of one differ.
    """
    return read_axis(data, dims[0]), read_axis(data, dims[1])


def read_places(data: xr.DataArray, dims: Sequence[str]) -> tuple[Array, Array]:
    """Return the coordinates of the two dims of an image, counted from 0 where there are none.

    Raises
    ------
    UnitsError
        One is no real number, or not finite.
    """
    return read_steps(data, dims[0])[0], read_steps(data, dims[1])[0]


def read_pair(value: Any, name: str, *, least: float = -np.inf) -> tuple[float, float]:
    """Return a number for each of the two dims, from one for both or a pair.

    Raises
    ------
    UsidError
        It is neither, not finite, or less than may be.
    """
    try:
        found = np.broadcast_to(np.asarray(value, np.float64), (2,))
    except (TypeError, ValueError) as err:
        raise UsidError(f"{name}={value!r}; it should be a number, or one for each of the two dims.") from err
    if not np.isfinite(found).all() or (found < least).any():
        raise UsidError(f"{name}={value!r}; it should be finite{'' if least == -np.inf else f', {least:g} at least'}.")
    return float(found[0]), float(found[1])


def read_mask(mask: xr.DataArray, data: xr.DataArray, dims: tuple[str, str]) -> Array:
    """Return which samples of an image are left out, over both dims.

    Raises
    ------
    UsidError
        It is not of true and false, or differs along other dims.
    """
    if mask.dtype != bool or not set(mask.dims) <= set(dims):
        raise UsidError(
            f"The mask is {mask.dtype} over {mask.dims}; it should be of true and false over {dims}. What is to be "
            f"left out of some images only is made missing: data.where(~mask)."
        )
    if any(mask.sizes[d] != data.sizes[d] for d in mask.dims):
        raise UsidError(f"The mask has sizes {dict(mask.sizes)}, and the image {[data.sizes[d] for d in dims]}.")
    like = xr.DataArray(np.zeros([data.sizes[d] for d in dims], bool), dims=dims)
    return np.asarray((like | mask.drop_vars(list(mask.coords))).transpose(*dims).values)
