"""Fields of a Dataset, as of a compound main dataset -> one array with a dim for the field, and back.

The fields stand side by side among the features, so the positions have one score for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from usidx.errors import ResultError, UnitsError
from usidx.label.roles import ROLE, SPECTROSCOPIC, Dims, refuse_unlabelled
from usidx.results.provenance import put_steps, read_steps

__all__ = ["FIELD", "Decomposable", "join_fields", "kept_fields", "split_fields"]

FIELD = "field"
Decomposable = xr.DataArray | xr.Dataset

#: Attributes of a field that come back with it.
_KEPT = ("long_name", "units", "dtype")


def join_fields(data: Decomposable, dim: Dims | None, *, any_units: bool = False) -> tuple[xr.DataArray, Dims | None]:
    """Return an array as it is, and a Dataset as one array whose last dim is the field; and the features.

    Raises
    ------
    RoleError
        It is neither.
    ResultError
        The fields are not numbers over the same dims.
    UnitsError
        They have several units, and `any_units` does not say that each is scaled later.
    """
    refuse_unlabelled(data, (xr.DataArray, xr.Dataset))
    if isinstance(data, xr.DataArray):
        return data, dim
    _check_fields(data)
    if not any_units:
        _refuse_units(data)
    dims = next(iter(data.data_vars.values())).dims
    stacked = data.drop_attrs(deep=False).to_dataarray(FIELD).transpose(*dims, FIELD)
    names = xr.Variable(FIELD, [str(name) for name in data.data_vars], {ROLE: SPECTROSCOPIC, "long_name": "Field"})
    stacked = stacked.assign_coords({FIELD: names})
    units = {v.attrs.get("units", "") for v in data.data_vars.values()}
    stacked.attrs = {"units": units.pop()} if len(units) == 1 else {}
    chosen = None if dim is None else (*((dim,) if isinstance(dim, str) else dim), FIELD)
    return put_steps(stacked.rename(None), read_steps(data)), chosen


def kept_fields(data: Decomposable) -> dict[str, Any]:
    """Return what a record keeps of the fields of a Dataset; nothing for an array."""
    refuse_unlabelled(data, (xr.DataArray, xr.Dataset))
    if isinstance(data, xr.DataArray):
        return {}
    described = {}
    for name, field in data.data_vars.items():
        known = {"dtype": str(field.dtype), **{k: str(v) for k, v in field.attrs.items() if k in _KEPT}}
        described[str(name)] = known
    return {"fields": described}


def split_fields(made: xr.DataArray, fields: Mapping[str, Any]) -> xr.Dataset:
    """Return the fields of an array as a Dataset, each with its name, units and kind of numbers."""
    found = {}
    for name, kept in fields.items():
        field = made.sel({FIELD: name}, drop=True).rename(name)
        field = field if np.dtype(str(kept["dtype"])).kind == "c" or field.dtype.kind != "c" else field.real
        field.attrs = {k: kept[k] for k in ("long_name", "units") if k in kept}
        found[name] = field
    return xr.Dataset(found)


def _check_fields(data: xr.Dataset) -> None:
    if not data.data_vars:
        raise ResultError("The Dataset has no variable: there is nothing to decompose.")
    dims = {str(name): tuple(map(str, v.dims)) for name, v in data.data_vars.items()}
    first = next(iter(dims))
    for name, own in dims.items():
        if set(own) != set(dims[first]) or data[name].dtype.kind not in "iufc":
            raise ResultError(
                f"Field {name!r} is {data[name].dtype} over {own}, field {first!r} is {data[first].dtype} over "
                f"{dims[first]}: fields that are decomposed together are numbers over the same dims. "
                f"Select those that are: data[[{first!r}, ...]]."
            )
    if FIELD in data.dims or FIELD in data.coords:
        raise ResultError(
            f"The Dataset already has a dim or coordinate {FIELD!r}, which stands for its variables. "
            f"Rename it first: data.rename({{{FIELD!r}: ...}})."
        )


def _refuse_units(data: xr.Dataset) -> None:
    units = {str(name): str(v.attrs.get("units", "")) for name, v in data.data_vars.items()}
    if len(set(units.values())) > 1:
        raise UnitsError(
            f"The fields have different units, {units}: whichever has the largest numbers would decide all. For svd "
            f"and pca pass scale='std'; or make them numbers alike, for example "
            f"data.assign({{n: (v / v.std()).assign_attrs(units='') for n, v in data.items()}})."
        )
