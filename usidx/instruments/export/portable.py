"""Labelled arrays -> the names and attributes that netCDF, Zarr and JSON can hold; what they were called is kept."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import xarray as xr

from usidx.errors import UsidError
from usidx.io.write.attributes import convert_value
from usidx.label.coding import LABEL
from usidx.results.provenance import PROVENANCE, parse_steps, remove_seals

__all__ = ["clean_name", "make_jsonable", "make_portable", "make_portable_attrs"]

#: Attributes by which xarray, netCDF and HDF5 say how an array is stored: one of the user's own must not be taken so.
_RESERVED: Final = frozenset(
    {"_FillValue", "missing_value", "scale_factor", "add_offset", "_Unsigned", "dtype", "coordinates", "calendar"}
    | {"CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST", "_Netcdf4Dimid", "_Netcdf4Coordinates", "_NCProperties"}
    | {"_ARRAY_DIMENSIONS", "grid_mapping", "bounds", "_nc3_strict", "DIMENSION_LABELS", "_Encoding"}
)


def make_portable(data: xr.Dataset) -> xr.Dataset:
    """Return a Dataset that any of xarray's writers takes.

    Slashes in names become underscores (the name as it was is kept in the attribute ``usid_label``), attributes that
    have no type in netCDF become JSON texts.
    """
    taken: set[str] = set()
    names = {
        name: _choose_free_name(_join_words(data, clean_name(str(name))), taken)
        for name in dict.fromkeys([*data.dims, *data.variables])
    }
    renamed = {old: new for old, new in names.items() if old != new}
    clean = data.rename(renamed) if renamed else data.copy(deep=False)
    for old, new in names.items():
        if new not in clean.variables:
            continue
        variable = clean.variables[new]
        told = {LABEL: str(old)} if old != new and LABEL not in variable.attrs else {}
        variable.attrs = make_portable_attrs({**variable.attrs, **told})
        variable.encoding = {}
    clean.attrs = make_portable_attrs(data.attrs)
    clean.encoding = {}
    return clean


def _join_words(data: xr.Dataset, name: str) -> str:
    """Leave no space in the name of a coordinate that is no dim: netCDF lists these by names between spaces."""
    return "_".join(name.split()) if name in data.coords and name not in data.dims else name


def clean_name(name: str) -> str:
    """Return a name that HDF5, netCDF and Zarr can all give to an array: not empty, no slashes, no dots alone.

    Zarr takes a backslash, as in a label in TeX, for a slash.
    """
    plain = name.replace("/", "_").replace("\\", "_").replace("\0", "_").strip() or "_"
    return f"{plain}_" if set(plain) == {"."} or plain.startswith(".z") else plain


def _choose_free_name(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def make_portable_attrs(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    """Return attributes of texts, numbers and short arrays of them, under names that mean nothing to a reader."""
    found: dict[str, Any] = {}
    for name, value in attrs.items():
        shown = f"usid_{name}" if name in _RESERVED else str(name).replace("/", "_") or "_"
        found[shown] = _convert(str(name), value)
    return found


def _convert(name: str, value: Any) -> Any:
    if name == PROVENANCE and isinstance(value, str):
        recorded = parse_steps(value)
        return json.dumps(remove_seals(recorded)) if recorded else value
    stored = convert_value(value, name)[0]
    if isinstance(stored, bool | np.bool_):
        return int(stored)
    if np.iscomplexobj(stored):
        return json.dumps([str(one) for one in np.atleast_1d(stored)])
    if isinstance(stored, np.ndarray) and stored.dtype.kind in "OSU":
        return [one.decode() if isinstance(one, bytes) else str(one) for one in stored.reshape(-1)]
    if isinstance(stored, np.ndarray) and stored.dtype.kind == "b":
        return stored.astype(np.int8)
    return stored.decode("latin-1") if isinstance(stored, bytes) else stored


def make_jsonable(value: Any) -> Any:
    """Return a value as strict JSON holds it: numbers that are not finite as the texts ``NaN``, ``Infinity``.

    Raises
    ------
    UsidError
        It is none of what attributes hold.
    """
    if value is None or isinstance(value, str | bool):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, np.ndarray | np.generic):
        return make_jsonable(value.tolist())
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else _NOT_FINITE.get(value, "NaN")
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, Mapping):
        return {str(key): make_jsonable(one) for key, one in value.items()}
    if isinstance(value, Iterable):
        return [make_jsonable(one) for one in value]
    raise UsidError(f"A {type(value).__name__} cannot be written as JSON.")


_NOT_FINITE: Final = {math.inf: "Infinity", -math.inf: "-Infinity"}
