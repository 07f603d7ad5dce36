"""The record of a small labelled array, or of several -> the arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from usidx.errors import ReplayError
from usidx.results.packed import unpack_array
from usidx.results.schema import restore_attrs

__all__ = ["read_values"]


def read_values(told: Mapping[str, Any]) -> xr.DataArray | xr.Dataset:
    """Return a DataArray, or a Dataset, whose values, coordinates and attributes were recorded.

    Raises
    ------
    ReplayError
        The record does not fit together.
    """
    try:
        coords = {name: _read_variable(one) for name, one in told.get("coords", {}).items()}
        if "variables" in told:
            return xr.Dataset({name: _read_variable(one) for name, one in told["variables"].items()}, coords)
        return xr.DataArray(_read_variable(told), coords=coords, name=told.get("name"))
    except (ValueError, KeyError, TypeError, AttributeError) as err:
        raise ReplayError(f"the record of its values does not fit together ({err})") from err


def _read_variable(told: Mapping[str, Any]) -> xr.Variable:
    dims, dtype = [str(dim) for dim in told["dims"]], np.dtype(str(told["dtype"]))
    if dtype.kind not in "biufcU":
        raise ValueError(f"{dtype} is no type of numbers or texts")
    shape, attrs = list(told["shape"]), restore_attrs(told.get("attrs"))
    if "packed" in told:
        return xr.Variable(dims, unpack_array(told["packed"], str(dtype), shape), attrs)
    flat = [_read_cell(cell) for cell in told["values"]]
    return xr.Variable(dims, np.array(flat, dtype=dtype).reshape(shape), attrs)


def _read_cell(cell: Any) -> Any:
    return complex(float(cell["real"]), float(cell["imag"])) if isinstance(cell, dict) else cell
