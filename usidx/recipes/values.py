"""The record of a small labelled array -> the array."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from usidx.errors import ReplayError
from usidx.results.schema import restore_attrs

__all__ = ["read_values"]


def read_values(told: Mapping[str, Any]) -> xr.DataArray:
    """Return a DataArray whose values, coordinates and attributes were recorded.

    Raises
    ------
    ReplayError
        The record does not fit together.
    """
    try:
        variable = _read_variable(told)
        coords = {name: _read_variable(one) for name, one in told.get("coords", {}).items()}
        return xr.DataArray(variable, coords=coords, name=told.get("name"))
    except (ValueError, KeyError, TypeError, AttributeError) as err:
        raise ReplayError(f"the record of its values does not fit together ({err})") from err


def _read_variable(told: Mapping[str, Any]) -> xr.Variable:
    dims, dtype = [str(dim) for dim in told["dims"]], np.dtype(str(told["dtype"]))
    if dtype.kind not in "biufcU":
        raise ValueError(f"{dtype} is no type of numbers or texts")
    flat = [_read_cell(cell) for cell in told["values"]]
    shape = list(told["shape"])
    return xr.Variable(dims, np.array(flat, dtype=dtype).reshape(shape), restore_attrs(told.get("attrs")))


def _read_cell(cell: Any) -> Any:
    return complex(float(cell["real"]), float(cell["imag"])) if isinstance(cell, dict) else cell
