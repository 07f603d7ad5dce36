"""Standard deviations of samples -> the weights of least squares."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import RoleError, UsidError

__all__ = ["broadcast_sigma", "check_alignment", "invert_sigma"]

Array = npt.NDArray[Any]


def broadcast_sigma(data: xr.DataArray, sigma: float | xr.DataArray, dims: tuple[str, ...]) -> xr.DataArray:
    """Return the standard deviation as a DataArray that has all the fitted dims.

    Raises
    ------
    RoleError
        `sigma` has a dim that the data does not have.
    UsidError
        It is no real number.
    """
    spread = check_alignment("sigma", xr.DataArray(sigma), data)
    ones = xr.DataArray(np.ones([data.sizes[d] for d in dims]), dims=dims)
    return ones * spread


def check_alignment(option: str, value: xr.DataArray, data: xr.DataArray) -> xr.DataArray:
    """Return an argument that holds real numbers for cells of the data, in their order; refuse any other."""
    if value.dtype.kind not in "biuf":
        raise UsidError(f"{option}: found dtype {value.dtype}, wanted real numbers.")
    extra = [d for d in value.dims if d not in data.dims]
    if extra:
        raise RoleError(f"{option}: dim {extra[0]!r} is not among the dims {data.dims} that it may have.")
    known = [d for d in value.dims if d in value.coords and d in data.coords]
    wrong = [d for d in value.dims if value.sizes[d] != data.sizes[d]]
    wrong += [d for d in known if d not in wrong and not np.array_equal(value.coords[d], data.coords[d])]
    if wrong:
        raise RoleError(f"{option}: its coordinate along {wrong[0]!r} is not that of the data. Align the two first.")
    return value


def invert_sigma(sigma: Array, y: Array) -> Array:
    """Return the weight of each sample, 0 or NaN where it is not known.

    Raises
    ------
    UsidError
        A sample that is there has a standard deviation of zero or less. To leave it out would bend the fit: of counts
        it is the low ones, whose root is zero.
    """
    bad = (sigma <= 0) & np.isfinite(y) if bool((sigma <= 0).any()) else np.zeros((1, 1), bool)
    if bad.any():
        first = np.broadcast_to(sigma, bad.shape)[bad][0]
        raise UsidError(
            f"sigma: {int(bad.sum())} samples have a standard deviation of zero or less, the first of them {first}. "
            f"Give sigma=sigma.where(sigma > 0) to leave them out, a least value by sigma.clip(min=...), or fit counts "
            f"with loss='poisson', which needs no sigma."
        )
    with np.errstate(divide="ignore"):
        weight: Array = 1.0 / sigma
    return weight
